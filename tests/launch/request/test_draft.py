"""--draft: what a folder or a name is, and whether it goes with the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.request.draft import Draft, check_draft, read_draft
from k2compat.launch.request.model import LaunchModel, read_model
from tests.support.draft_folders import LLAMA, LLAMA_TENSORS, write_draft, write_weights
from tests.support.models import make_model

MODEL = read_model("moonshotai/Kimi-K2-Instruct")
VISION = read_model("moonshotai/Kimi-K2.5")


def refusal(text: str, model: LaunchModel = MODEL) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read_draft(text, model)
    return caught.value


def codes(draft: Draft, model: LaunchModel = MODEL) -> list[str]:
    return [finding.code for finding in (*draft.findings, *check_draft(draft, model))]


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("lightseekorg/kimi-k2.5-eagle3-mla", {"eagle3", "mla_draft"}),
        ("nvidia/Kimi-K2.5-Thinking-Eagle3", {"eagle3", "mla_draft"}),
        ("hf://AQ-MedAI/Kimi-K2-Instruct-eagle3", {"eagle3"}),
        ("$DRAFT", {"eagle3", "draft_folder"}),
        ("/no/such/draft-mla", {"eagle3", "mla_draft", "draft_folder"}),
    ],
)
def test_a_name_is_assumed_to_be_what_it_says(name: str, facts: set[str]) -> None:
    for model in (MODEL, VISION):
        draft = read_draft(name, model)
        assert draft.facts == facts
        assert codes(draft, model) == ["draft-assumed"]
    assert "://" not in str(draft.name)


@pytest.mark.parametrize("architecture", ["Eagle3DeepseekV2ForCausalLM", "Eagle3LlamaForCausalLM"])
def test_a_folder_is_known_by_its_class(tmp_path: Path, architecture: str) -> None:
    write_draft(tmp_path / "draft", {**LLAMA, "architectures": [architecture]})
    draft = read_draft(str(tmp_path / "draft"), MODEL)
    assert str(draft.name) == str(tmp_path / "draft")
    assert draft.facts == {"eagle3", "draft_folder"}
    assert codes(draft) == []


def test_a_folder_is_known_by_its_tensors(tmp_path: Path) -> None:
    """Speculators and others write their own class."""
    write_draft(tmp_path, {**LLAMA, "architectures": "LlamaForCausalLM"})
    draft = read_draft(str(tmp_path), MODEL)
    assert draft.stored is not None
    assert set(draft.stored) == set(LLAMA_TENSORS)


def test_a_draft_in_another_format_has_no_known_sizes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    draft = read_draft(str(tmp_path), MODEL)
    assert draft.stored is None
    assert codes(draft) == []


def test_a_whole_model_is_no_draft(tmp_path: Path) -> None:
    error = refusal(str(make_model(tmp_path / "model")))
    assert error.code == "draft-not-eagle3"
    assert "whole model" in error.message


@pytest.mark.parametrize(
    "name", ["moonshotai/Kimi-K2.5", "nvidia/Kimi-K2.6-NVFP4", "deepseek-ai/DeepSeek-V3"]
)
def test_the_name_of_a_whole_model_is_no_draft(name: str) -> None:
    error = refusal(name)
    assert error.code == "draft-not-eagle3"
    assert "a whole model" in error.message


def test_the_model_is_not_its_own_draft() -> None:
    assert refusal("$MODEL", read_model("$MODEL")).code == "draft-not-eagle3"


def test_an_adapter_is_no_draft(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 1}')
    write_weights(tmp_path, {"base_model.model.score.weight": (2, 2)})
    assert "LoRA" in refusal(str(tmp_path)).message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "nothing in it"),
        ({"model_type": "deepseek_v32"}, "DeepSeek-V3.2"),
    ],
)
def test_another_model_is_no_draft(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    write_draft(tmp_path, config, {"model.norm.weight": (2,)})
    assert words in refusal(str(tmp_path)).message


def test_what_has_no_weights_is_no_draft(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)).code == "draft-not-eagle3"
    (tmp_path / "file").write_text("")
    assert refusal(str(tmp_path / "file")).code == "not-a-folder"
    assert refusal("-x").code == "value-malformed"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"hidden_size": 4096}, ["draft-mismatch"]),
        # The draft may be narrower than the model whose states it takes.
        ({"hidden_size": 4096, "target_hidden_size": 7168}, []),
        ({"target_hidden_size": 4096}, ["draft-mismatch"]),
        ({"vocab_size": 129280}, ["draft-mismatch"]),
        ({"hidden_size": 5120, "vocab_size": 129280}, ["draft-mismatch", "draft-mismatch"]),
        ({"draft_vocab_size": None}, []),
        ({"hidden_size": None}, []),
    ],
)
def test_its_states_and_tokens_are_the_model_s(
    tmp_path: Path, change: dict[str, Any], found: list[str]
) -> None:
    draft = read_draft(str(write_draft(tmp_path, {**LLAMA, **change})), VISION)
    assert codes(draft, VISION) == found


def test_fewer_tokens_need_a_map(tmp_path: Path) -> None:
    tensors = {name: shape for name, shape in LLAMA_TENSORS.items() if name != "d2t"}
    assert codes(read_draft(str(write_draft(tmp_path, LLAMA, tensors)), MODEL)) == [
        "draft-map-missing"
    ]
    whole = {**LLAMA, "draft_vocab_size": LLAMA["vocab_size"]}
    assert codes(read_draft(str(write_draft(tmp_path, whole, tensors)), MODEL)) == []


class TestOwnLayer:
    """--draft mtp: the layer that DeepSeek-V3's checkpoint stores, and Kimi-K2's does not."""

    @pytest.mark.parametrize("model", [MODEL, VISION])
    def test_kimi_k2_has_none(self, model: LaunchModel) -> None:
        error = refusal("mtp", model)
        assert error.code == "draft-not-stored"
        assert "num_nextn_predict_layers is 0" in error.message

    @pytest.mark.parametrize("name", ["deepseek-ai/DeepSeek-V3", "$MODEL_PATH"])
    def test_of_what_was_not_read_nothing_is_claimed(self, name: str) -> None:
        error = refusal("mtp", read_model(name))
        assert error.code == "draft-not-stored"
        assert "was not read here" in error.message

    def test_a_config_alone_is_believed(self) -> None:
        model = LaunchModel(MODEL.name, {**MODEL.config, "num_nextn_predict_layers": 1})
        assert read_draft("mtp", model).facts == {"mtp"}

    def test_a_folder_must_store_it(self, tmp_path: Path) -> None:
        folder = make_model(tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        config["num_nextn_predict_layers"] = 1
        (folder / "config.json").write_text(json.dumps(config))
        assert "have no tensor of layer" in refusal("mtp", read_model(str(folder))).message
        layer = config["num_hidden_layers"]
        write_weights(folder, {f"model.layers.{layer}.eh_proj.weight": (2, 2)})
        assert read_draft("mtp", read_model(str(folder))).kind == "mtp"
