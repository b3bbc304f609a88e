"""The sample checkpoint is sound by the judgement of the libraries that read such files."""

import json
from pathlib import Path

import gguf
import pytest
from safetensors import safe_open

from k2compat.family import FINGERPRINTS, KIMI_K2, fingerprint_of
from k2compat.samples import checkpoint_files, tiny_config, write_gguf
from tests.support.models import make_model


def test_the_config_keeps_the_fingerprint_and_the_order() -> None:
    config = tiny_config()
    assert fingerprint_of(config) == KIMI_K2
    assert FINGERPRINTS[KIMI_K2].items() <= config.items()
    assert list(json.loads(checkpoint_files()["config.json"])) == list(config)
    assert next(iter(config)) == "architectures"


def test_the_shards_hold_what_the_index_says(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    index = json.loads((model / "model.safetensors.index.json").read_text())
    for shard in sorted(set(index["weight_map"].values())):
        with safe_open(model / shard, framework="np") as reader:
            expected = {name for name, place in index["weight_map"].items() if place == shard}
            assert set(reader.keys()) == expected


@pytest.mark.parametrize("joint_mla", [True, False])
def test_the_gguf_is_one(tmp_path: Path, joint_mla: bool) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, joint_mla=joint_mla)
    reader = gguf.GGUFReader(path)
    names = {tensor.name for tensor in reader.tensors}
    assert ("blk.0.attn_kv_b.weight" in names) is joint_mla
    assert ("blk.0.attn_k_b.weight" in names) is not joint_mla
