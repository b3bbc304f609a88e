"""Folders that hold something else are named in one finding, and what can be judged is judged."""

from typing import Any

import pytest

from k2compat.checkpoint import ExpectedTensor, validate
from k2compat.samples import tiny_config
from tests.checkpoint.validations import bad
from tests.support.memory_source import MemorySource, memory_source


def folder(names: list[str], config: dict[str, Any], **files: bytes) -> MemorySource:
    tensors = [ExpectedTensor(name, (2, 2), ("BF16",), "required") for name in names]
    source = memory_source(config, tensors=tensors)
    source.contents |= {name: (data, len(data)) for name, data in files.items()}
    return source


CONFIG = tiny_config("bf16")
FOLDERS: dict[str, MemorySource] = {
    "foreign-lora": folder(
        ["base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight"],
        CONFIG,
        **{"adapter_config.json": b"{}"},
    ),
    "foreign-draft": folder(["d2t", "t2d", "fc.weight", "midlayer.mlp.up_proj.weight"], CONFIG),
    "foreign-deepseek-v32": folder(
        ["model.layers.0.self_attn.indexer.wk.weight"], {**CONFIG, "model_type": "deepseek_v32"}
    ),
    "foreign-mlx": folder(
        [
            "language_model.model.layers.1.mlp.switch_mlp.up_proj.weight",
            "language_model.model.layers.1.mlp.switch_mlp.up_proj.scales",
        ],
        {**CONFIG, "quantization": {"group_size": 64, "bits": 4}},
    ),
    "foreign-ktransformers": folder(
        [f"blk.1.ffn_up_exps.{e}.numa.0.{part}" for e in (0, 1) for part in ("weight", "scale")],
        CONFIG,
    ),
}


@pytest.mark.parametrize("code", FOLDERS)
def test_it_is_named_in_one_finding(code: str) -> None:
    validation = validate(FOLDERS[code])
    assert [finding.code for finding in bad(validation)] == [code]
    assert validation.coverage.judged == 0
    assert validation.variant in validation.not_checked[1]


def test_its_files_are_judged_all_the_same() -> None:
    source = FOLDERS["foreign-mlx"]
    contents = {
        name: (data[:-9], size - 9) if name.endswith(".safetensors") else (data, size)
        for name, (data, size) in source.contents.items()
    }
    codes = {finding.code for finding in bad(validate(MemorySource("model", contents)))}
    assert codes > {"foreign-mlx"}


def test_a_draft_is_known_by_its_class() -> None:
    config = {**CONFIG, "architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama"}
    (finding,) = bad(validate(folder(["model.norm.weight"], config)))
    assert finding.code == "foreign-draft"
