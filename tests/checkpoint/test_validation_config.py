"""What validation makes of a config: odd text, quantisations, another model's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.errors import RefusedError
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import LAYER_1, OUTSIDE, draft
from tests.support.file_damage import put_fifo

EXPERT = "layers.1.mlp.experts.2.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: "\ufeff" + text, "config-byte-order-mark"),
        (lambda text: text.replace("{", '{"model_type": "kimi_k2", ', 1), "config-duplicate-key"),
        (lambda text: text[:-1], "config-not-json"),
        (lambda text: "[]", "config-not-object"),
    ],
)
def test_an_odd_config_text(tmp_path: Path, change: Callable[[str], str], code: str) -> None:
    draft().write(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(change(path.read_text()))
    assert code in codes(validate(tmp_path))


def test_line_endings_of_windows_are_told(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    (tmp_path / "config.json").write_bytes(
        json.dumps(made.config, indent=1).encode().replace(b"\n", b"\r\n")
    )
    validation = validate(tmp_path)
    assert bad(validation) == []
    assert "companion-line-endings" in {finding.code for finding in validation.report}


def test_an_unknown_quantisation_is_not_judged(tmp_path: Path) -> None:
    made = draft()
    made.config["quantization_config"] = {"quant_method": "other"}
    scale = made.shards[LAYER_1][0]._replace(name="model.layers.1.self_attn.k_proj.k_scale")
    made.shards[LAYER_1].append(scale)
    made.reindex()
    validation = validate(made.write(tmp_path / "a"))
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 other"
    assert "quantization-unknown" in {finding.code for finding in validation.report}
    assert "tensors quantised as other" in validation.not_checked
    made.shards[OUTSIDE].append(scale._replace(name="model.layers.1.stranger"))
    made.drop(lambda name: "experts.1.up_proj" in name or name == "model.norm.weight")
    made.reindex()
    assert codes(validate(made.write(tmp_path / "b"))) == [
        "tensor-missing",
        "tensor-missing",
        "tensor-unexpected",
    ]


def test_a_quantisation_that_model_optimizer_describes_in_a_file_of_its_own(tmp_path: Path) -> None:
    """nvidia/DeepSeek-V3.1-NVFP4 has nothing about it in config.json."""
    made = draft("nvfp4-weight-only")
    described = made.config.pop("quantization_config")
    described.pop("quant_method")
    made.write(tmp_path)
    assert codes(validate(tmp_path))[:1] == ["quantization-undeclared"]
    path = tmp_path / "hf_quant_config.json"
    path.write_text(json.dumps({"producer": {"name": "modelopt"}, "quantization": described}))
    assert bad(validate(tmp_path)) == []
    assert validate(tmp_path).variant == "kimi_k2 nvfp4"
    path.write_text("{")
    assert "config-not-json" in codes(validate(tmp_path))
    for nothing in ("{}", '{"quantization": {"kv_cache_quant_algo": "FP8"}}'):
        path.write_text(nothing)
        assert codes(validate(tmp_path))[:1] == ["quantization-undeclared"]


def test_two_configs_that_disagree_are_an_error(tmp_path: Path) -> None:
    made = draft("nvfp4")
    made.write(tmp_path)
    ignored = made.config["quantization_config"]["ignore"]
    same = {"quant_algo": "NVFP4", "group_size": 16, "kv_cache_quant_algo": "FP8"}
    path = tmp_path / "hf_quant_config.json"

    def found(**changes: object) -> list[str]:
        path.write_text(
            json.dumps({"quantization": {**same, "exclude_modules": ignored, **changes}})
        )
        return [finding.message for finding in bad(validate(tmp_path))]

    assert found() == []
    assert found(exclude_modules=[pattern.removesuffix("*") for pattern in ignored]) == []
    for changes, words in (
        ({"exclude_modules": ignored[1:]}, "the modules they exclude"),
        ({"quant_algo": "FP8"}, "the scheme"),
        ({"group_size": 32}, "their settings"),
        ({"kv_cache_quant_algo": None}, "the KV cache"),
    ):
        (message,) = found(**changes)
        assert message.endswith(f"differ in {words}")


def test_a_nested_config_and_its_wrapper_that_disagree_are_an_error(tmp_path: Path) -> None:
    made = draft("kimi_k25")
    inner = made.config["text_config"]["quantization_config"]
    made.config["quantization_config"] = inner
    assert bad(validate(made.write(tmp_path / "a"))) == []
    made.config["quantization_config"] = {**inner, "ignore": ["lm_head"]}
    assert codes(validate(made.write(tmp_path / "b"))) == ["quantization-conflict"]


def test_the_description_of_modelslim(tmp_path: Path) -> None:
    made = draft("modelslim")
    described = made.config.pop("quantization_config")
    described.pop("quant_method")
    made.write(tmp_path)
    path = tmp_path / "quant_model_description.json"
    path.write_text(json.dumps(described))
    validation = validate(tmp_path)
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 w8a8+w4a8"
    path.write_text("[")
    assert "companion-damaged" in codes(validate(tmp_path))
    path.unlink()
    put_fifo(path)
    assert "file-is-special" in codes(validate(tmp_path))


def test_a_list_below_another_prefix_than_the_tensors_is_one_error(tmp_path: Path) -> None:
    made = draft("nvfp4")
    patterns = made.config["quantization_config"]["ignore"]
    made.config["quantization_config"]["ignore"] = [
        pattern.replace("model.layers", "language_model.layers") for pattern in patterns
    ]
    (finding,) = bad(validate(made.write(tmp_path)))
    assert finding.code == "ignore-prefix"
    assert (finding.expected, finding.actual) == ("model.layers", "language_model.layers")


def test_another_config_is_held_against_the_weights(tmp_path: Path) -> None:
    draft().write(tmp_path / "model")
    other = draft("bf16").write(tmp_path / "other")
    assert codes(validate(tmp_path / "model", config=other)) == ["quantization-undeclared"]
    with pytest.raises(RefusedError, match="does not exist") as caught:
        validate(tmp_path / "model", config=tmp_path / "absent.json")
    assert caught.value.code == "not-found"
    (tmp_path / "empty.json").touch()
    with pytest.raises(RefusedError, match="is empty") as caught:
        validate(tmp_path / "model", config=tmp_path / "empty.json")
    assert caught.value.code == "not-readable"


def test_a_config_that_cannot_be_read(tmp_path: Path) -> None:
    draft().write(tmp_path)
    put_fifo(tmp_path / "config.json")
    validation = validate(tmp_path)
    assert codes(validation) == ["file-is-special"]
    assert validation.variant == "unknown"
    assert (
        "the tensors against a config: there is none that fits their names"
        in validation.not_checked
    )
