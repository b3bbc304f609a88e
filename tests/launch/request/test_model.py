"""The model: a folder's config, or what is assumed of a name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.checkpoint import loaded_bytes
from k2compat.errors import RefusedError
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.model import LaunchModel, read_model
from tests.support.amount import examples
from tests.support.configs import config_values


def json_values() -> st.SearchStrategy[Any]:
    """Whatever a config could hold in the place of a name."""
    plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    return plain | st.lists(plain, max_size=2) | st.dictionaries(st.just("quant_method"), plain)


def folder_with(tmp_path: Path, config: dict[str, Any]) -> Path:
    folder = tmp_path / "模型 K2"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("moonshotai/Kimi-K2-Instruct", {"fp8"}),
        ("moonshotai/Kimi-K2-Thinking", {"reasoning", "int4"}),
        ("moonshotai/Kimi-K2.5", {"reasoning", "vision", "int4"}),
        ("deepseek-ai/DeepSeek-V3", {"deepseek", "fp8"}),
    ],
)
def test_a_folder_says_what_the_model_is(tmp_path: Path, name: str, facts: set[str]) -> None:
    folder = folder_with(tmp_path, config_values(name))
    model = read_model(str(folder))
    assert model.facts == facts
    assert str(model.name) == str(folder)
    told = [finding.code for finding in model.findings]
    assert told == (["model-not-kimi"] if "deepseek" in facts else [])


def test_a_relative_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with(tmp_path, config_values("moonshotai/Kimi-K2-Instruct"))
    monkeypatch.chdir(tmp_path)
    assert str(read_model(folder.name).name) == str(folder)


def test_a_patched_folder_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    config = config_values("moonshotai/Kimi-K2-Instruct") | {"model_type": "deepseek_v3"}
    assert "patched" in read_model(str(folder_with(tmp_path, config))).facts


def test_a_quantisation_in_a_file_of_its_own_counts(tmp_path: Path) -> None:
    """As nvidia/DeepSeek-V3.1-NVFP4 has it: config.json describes none."""
    config = config_values("moonshotai/Kimi-K2-Instruct")
    del config["quantization_config"]
    folder = folder_with(tmp_path, config)
    assert "bf16" in read_model(str(folder)).facts
    described = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}}
    (folder / "hf_quant_config.json").write_text(json.dumps(described), encoding="utf-8")
    assert "nvfp4" in read_model(str(folder)).facts
    (folder / "hf_quant_config.json").write_text("{", encoding="utf-8")
    assert "bf16" in read_model(str(folder)).facts


def test_without_quantisation_the_weights_are_bf16(tmp_path: Path) -> None:
    config = config_values("moonshotai/Kimi-K2-Instruct")
    del config["quantization_config"]
    assert read_model(str(folder_with(tmp_path, config))).facts == {"bf16"}


@settings(max_examples=examples(50), deadline=None)
@given(model_type=json_values(), quantisation=json_values(), nested=json_values())
def test_a_hostile_config_is_a_model_without_known_facts(
    model_type: Any, quantisation: Any, nested: Any
) -> None:
    config = {"model_type": model_type, "quantization_config": quantisation, "text_config": nested}
    assert LaunchModel(Argument.literal("/k2"), config).facts <= {
        "bf16",
        "fp8",
        "int4",
        "reasoning",
    }


def test_a_quantisation_that_is_not_known_is_no_precision(tmp_path: Path) -> None:
    config = config_values("moonshotai/Kimi-K2-Instruct")
    config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP9"}
    assert read_model(str(folder_with(tmp_path, config))).facts == frozenset()


@pytest.mark.parametrize(
    ("name", "assumed", "facts"),
    [
        ("$MODEL_PATH", "Kimi-K2-Instruct", {"fp8"}),
        ("moonshotai/Kimi-K2-Instruct", "Kimi-K2-Instruct", {"fp8"}),
        ("hf://moonshotai/Kimi-K2-Instruct-0905", "Kimi-K2-Instruct-0905", {"fp8"}),
        ("/models/Kimi_K2_Thinking", "Kimi-K2-Thinking", {"reasoning", "int4"}),
        ("moonshotai/Kimi-K2.6", "Kimi-K2.5", {"reasoning", "vision", "int4"}),
    ],
)
def test_a_name_is_assumed_to_be_what_it_says(name: str, assumed: str, facts: set[str]) -> None:
    model = read_model(name)
    assert model.facts == facts
    (finding,) = model.findings
    assert finding.code == "model-assumed"
    assert assumed in finding.message


def test_a_config_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="qwen3_moe: no model of the Kimi-K2 family") as caught:
        read_model(str(folder_with(tmp_path, {"model_type": "qwen3_moe"})))
    assert caught.value.code == "model-other-architecture"


@pytest.mark.parametrize("name", ["moonshotai/Kimi-K3", "/models/kimi_linear-48B", "Kimi K3 Base"])
def test_another_architecture_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_model(name)
    assert caught.value.code == "model-other-architecture"


def test_another_architecture_is_refused_by_its_config(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, config_values("moonshotai/Kimi-K3"))
    with pytest.raises(RefusedError) as caught:
        read_model(str(folder))
    assert caught.value.code == "model-other-architecture"


def test_what_holds_no_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        read_model(str(tmp_path))
    assert caught.value.code == "model-without-config"
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RefusedError) as caught:
        read_model(str(file))
    assert caught.value.code == "not-a-folder"


@pytest.mark.parametrize("name", ["", "-rf", "a\nb", "\x1b[2J"])
def test_what_can_be_no_argument_is_refused(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_model(name)
    assert caught.value.code == "value-malformed"


@pytest.mark.parametrize("name", ["Qwen/Qwen3-235B-A22B", "/models/DeepSeek-R1", "zai-org/GLM-4.6"])
def test_the_name_of_another_model_is_a_warning(name: str) -> None:
    codes = {finding.code: finding.severity for finding in read_model(name).findings}
    assert codes["model-other-name"] == "warning"


@pytest.mark.parametrize(
    "name", ["unsloth/Kimi-K2-Instruct", "$MODEL", "/k2", "Kimi-K2-qwen-draft"]
)
def test_any_other_name_is_none(name: str) -> None:
    assert [finding.code for finding in read_model(name).findings] == ["model-assumed"]


def test_a_model_type_that_an_edit_of_the_text_made_is_named(tmp_path: Path) -> None:
    """`sed s/kimi_k2/deepseek_v3/` makes deepseek_v35 of kimi_k25."""
    (tmp_path / "config.json").write_text('{"model_type": "deepseek_v35"}')
    with pytest.raises(RefusedError) as caught:
        read_model(str(tmp_path))
    assert caught.value.code == "model-other-architecture"
    assert "made it of kimi_k25" in caught.value.message


def test_what_is_assumed_of_a_name_is_what_checkpoint_sums() -> None:
    for name in (
        *("Kimi-K2-Instruct", "Kimi-K2-Instruct-0905", "Kimi-K2-Thinking", "Kimi-K2.5"),
        *("nvidia/Kimi-K2.5-NVFP4", "nvidia/Kimi-K2.6-NVFP4", "nvidia/Kimi-K2-Thinking-NVFP4"),
        *("amd/Kimi-K2.5-MXFP4", "amd/Kimi-K2-Thinking-MXFP4"),
        *("RedHatAI/Kimi-K2-Instruct-quantized.w4a16", "x/Kimi-K2-Instruct-0905-AWQ"),
    ):
        model = read_model(name)
        loaded = loaded_bytes(
            {**model.text_config, "quantization_config": model.text_config["quantization_config"]}
        )
        assert loaded is not None
        assert model.loaded_bytes == (loaded.routed, loaded.other), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvidia/Kimi-K2.5-NVFP4", {"nvfp4", "vision", "reasoning"}),
        ("nvidia/Kimi-K2.7-Code-NVFP4", {"nvfp4", "vision", "reasoning"}),
        ("nvidia/Kimi-K2-Thinking-NVFP4", {"nvfp4", "reasoning"}),
        ("amd/Kimi-K2.5-MXFP4", {"mxfp4", "vision", "reasoning"}),
        ("amd/Kimi-K2-Thinking-MXFP4", {"mxfp4", "reasoning"}),
        ("RedHatAI/Kimi-K2-Instruct-quantized.w4a16", {"int4"}),
    ],
)
def test_the_names_of_quantised_repos(name: str, expected: set[str]) -> None:
    assert read_model(name).facts == expected


def test_a_wrapper_s_quantisation_may_stand_at_the_top(tmp_path: Path) -> None:
    config = dict(read_model("nvidia/Kimi-K2.6-NVFP4").config)
    inner = dict(config["text_config"])
    config["quantization_config"] = inner.pop("quantization_config")
    (tmp_path / "config.json").write_text(json.dumps({**config, "text_config": inner}))
    assert "nvfp4" in read_model(str(tmp_path)).facts


@pytest.mark.parametrize(
    ("template", "thinks"),
    [("{% if x %}<think>{% endif %}", True), ("{% if x %}{% endif %}", False), ("", True)],
)
def test_a_chat_template_tells_whether_the_model_thinks(
    tmp_path: Path, template: str, thinks: bool
) -> None:
    config = read_model("Kimi-K2-Thinking").config  # INT4, as Instruct can be, too
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text(template)
    assert ("reasoning" in read_model(str(tmp_path)).facts) is thinks


def test_an_unknown_quantisation_is_no_fact(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "kimi_k2", "quantization_config": {"quant_method": "x"}})
    )
    assert read_model(str(tmp_path)).facts == frozenset()
    huge = tmp_path / "tokenizer_config.json"
    huge.write_bytes(b"{%<think>" + b" " * 2**23)
    assert read_model(str(tmp_path)).facts == frozenset()
