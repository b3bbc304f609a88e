"""A sound checkpoint is called sound, and what is none is refused."""

import os
import shutil
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.errors import RefusedError
from k2compat.samples import VARIANTS
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import LAYER_1, draft
from tests.support.models import make_model


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sound_checkpoint_of_each_variant(tmp_path: Path, variant: str) -> None:
    validation = validate(draft(variant).write(tmp_path))
    assert bad(validation) == []
    assert validation.format == "safetensors"
    assert validation.tensors == len(draft(variant).places)
    assert validation.bytes == draft(variant).index["metadata"]["total_size"]
    assert [file.path for file in validation.files] == list(draft(variant).shards)


def test_the_sample_is_sound(tmp_path: Path) -> None:
    validation = validate(make_model(tmp_path / "model"))
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 fp8"


def test_a_checkpoint_in_one_file_needs_no_index(tmp_path: Path) -> None:
    made = draft()
    made.shards = {"model.safetensors": [t for shard in made.shards.values() for t in shard]}
    made.index = {}
    assert bad(validate(made.write(tmp_path))) == []
    alone = tmp_path / "alone" / "weights.safetensors"
    alone.parent.mkdir()
    shutil.copy(tmp_path / "model.safetensors", alone)
    assert bad(validate(alone)) == []
    assert bad(validate(alone, config=tmp_path)) == []


def test_a_shard_alone_is_judged_for_itself(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    assert bad(validate(tmp_path / LAYER_1)) == []
    validation = validate(tmp_path / LAYER_1, config=tmp_path)
    assert bad(validation) == []
    assert "23 tensors in files that were not or could not be read" in validation.not_checked
    made.change("layers.1.mlp.gate.weight", shape=(5, 256))
    made.reindex()
    made.write(tmp_path)
    (finding,) = bad(validate(tmp_path / LAYER_1, config=tmp_path))
    assert finding.where == f"{tmp_path}/{LAYER_1}: tensor model.layers.1.mlp.gate.weight"


@pytest.mark.parametrize(
    "style", ["model-{}-of-{}", "model-{:05}-of-{:06}", "model-{:05}-of-{:05}", "pytorch_{}_{}"]
)
def test_any_numbering_is_accepted(tmp_path: Path, style: str) -> None:
    made = draft()
    total = len(made.shards)
    made.shards = {
        style.format(number, total) + ".safetensors": shard
        for number, shard in enumerate(made.shards.values(), start=1)
    }
    made.reindex()
    assert bad(validate(made.write(tmp_path))) == []


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(RefusedError) as caught:
            validate(path)
        return caught.value.code

    (tmp_path / "config.json").write_text("{}")
    assert refusal(tmp_path) == "weights-missing"
    assert refusal(tmp_path / "config.json") == "weights-missing"
    assert refusal(tmp_path / "absent") == "not-found"
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "weights-missing"
    (tmp_path / "empty.gguf").mkdir()
    assert refusal(tmp_path / "empty.gguf") == "weights-missing"


def test_other_files_beside_a_sound_checkpoint(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    for name in ("adapter_model.safetensors", "consolidated.safetensors", "original/a.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / LAYER_1).read_bytes())
    for name in ("optimizer.bin", "scheduler.pt", "trainer_state.json", "figures/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    validation = validate(tmp_path)
    assert bad(validation) == []
    beside = [f.where for f in validation.report if f.code == "weights-beside"]
    assert beside == [
        f"{tmp_path}/adapter_model.safetensors",
        f"{tmp_path}/consolidated.safetensors",
    ]
    assert validation.tensors == 69


def test_an_adapter_beside_a_checkpoint_without_index(tmp_path: Path) -> None:
    made = draft()
    whole = [tensor for shard in made.shards.values() for tensor in shard]
    made.shards = {"model.safetensors": whole, "adapter_model.safetensors": whole[:1]}
    made.index = {}
    assert bad(validate(made.write(tmp_path))) == []


def test_shards_may_count_from_nought(tmp_path: Path) -> None:
    made = draft()
    made.index = {}
    total = len(made.shards)
    made.shards = {
        f"model-{number}-of-{total}.safetensors": shard
        for number, shard in enumerate(made.shards.values())
    }
    assert codes(validate(made.write(tmp_path))) == ["index-missing"]


def test_progress_counts_files(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    validate(draft().write(tmp_path), progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
