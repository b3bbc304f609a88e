"""Model types outside of the family, and a folder whose GGUFs lie elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.model import assume_member
from k2compat.errors import RefusedError
from k2compat.family import OTHER_ARCHITECTURES, RELATIVES, SED_ACCIDENTS, SWITCHABLE, WRAPPERS
from k2compat.samples import VARIANTS, tiny_config
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import draft
from tests.support.models import make_ggufs, make_model


def test_what_sed_makes_of_a_wrapper_is_named_and_judged(tmp_path: Path) -> None:
    made = draft("kimi_k25")
    made.change("model.norm.weight", shape=(3,))
    made.reindex()
    text = json.dumps(made.config).replace("kimi_k2", "deepseek_v3")
    made.config = json.loads(text)
    assert made.config["model_type"] == "deepseek_v35"
    validation = validate(made.write(tmp_path))
    assert codes(validation) == ["architecture-model-type", "tensor-shape"]
    first = bad(validation)[0]
    assert first.fix == f"""sed -i 's/"deepseek_v35"/"kimi_k25"/' {tmp_path}/config.json"""
    assert validation.coverage.judged == validation.tensors
    assert validation.variant.startswith("kimi_k25")


@pytest.mark.sample(5)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_type_of_a_fork_is_named_and_everything_else_judged(tmp_path: Path, variant: str) -> None:
    made = draft(variant)
    text = made.config.get("text_config", made.config)
    made.config["model_type"] = text["model_type"] = "kimi_k99"
    validation = validate(made.write(tmp_path))
    assert set(codes(validation)) == {"architecture-model-type"}
    assert all(finding.fix is None for finding in bad(validation))
    assert validation.coverage.judged == validation.tensors


@pytest.mark.parametrize(
    "model_type", [*SWITCHABLE, *WRAPPERS, *RELATIVES, *OTHER_ARCHITECTURES, None, 3]
)
def test_a_type_that_engines_know_stays(model_type: object) -> None:
    config = {**tiny_config("bf16"), "model_type": model_type}
    assert assume_member(config, "config.json") == (config, ())


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama", "hidden_size": 4096},
        {"model_type": "qwen", "text_config": {"model_type": "qwen_text"}},
        {"model_type": "qwen", "text_config": None},
    ],
)
def test_another_model_is_not_taken_for_a_member(config: dict[str, Any]) -> None:
    assert assume_member(config, "config.json") == (config, ())


def test_no_command_is_printed_for_a_file_on_the_hub() -> None:
    config = {**tiny_config("kimi_k25"), "model_type": next(iter(SED_ACCIDENTS))}
    _, (finding,) = assume_member(config, "hf://org/repo/config.json")
    assert finding.fix is None


def test_the_type_of_an_inner_config_is_judged_whatever_the_outer_one_is(tmp_path: Path) -> None:
    made = draft("kimi_k25")
    made.config["model_type"] = "kimi_k2"
    made.config["text_config"]["model_type"] = "kimi_k99"
    found = validate(made.write(tmp_path)).report
    assert "architecture-model-type" in {finding.code for finding in found}


@pytest.mark.parametrize("with_index", [True, False])
def test_ggufs_in_a_linked_folder_alone_are_named(tmp_path: Path, with_index: bool) -> None:
    make_ggufs(tmp_path / "ggufs")
    model = make_model(tmp_path / "model")
    for path in model.glob("*.safetensors"):
        path.unlink()
    if not with_index:
        (model / "model.safetensors.index.json").unlink()
    (model / "linked").symlink_to(tmp_path / "ggufs")
    validation = validate(model, engine="ktransformers")
    assert validation.format == "gguf"
    found = set(codes(validation))
    assert {"weights-linked-folder", "ktransformers-linked-folder"} <= found
    assert "shard-missing" not in found


def test_a_linked_folder_without_ggufs_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "model" / "linked").symlink_to(tmp_path / "other")
    with pytest.raises(RefusedError) as refusal:
        validate(tmp_path / "model")
    assert refusal.value.code == "weights-missing"
