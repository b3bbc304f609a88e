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
    made.config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    scale = made.shards[LAYER_1][0]._replace(name="model.layers.1.self_attn.k_proj.k_scale")
    made.shards[LAYER_1].append(scale)
    made.reindex()
    validation = validate(made.write(tmp_path / "a"))
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 nvfp4"
    assert "quantization-unknown" in {finding.code for finding in validation.report}
    assert "tensors quantised as nvfp4" in validation.not_checked
    made.shards[OUTSIDE].append(scale._replace(name="model.layers.1.stranger"))
    made.drop(lambda name: "experts.1.up_proj" in name or name == "model.norm.weight")
    made.reindex()
    assert codes(validate(made.write(tmp_path / "b"))) == [
        "tensor-missing",
        "tensor-missing",
        "tensor-unexpected",
    ]


def test_what_modelopt_says_beside_the_config(tmp_path: Path) -> None:
    made = draft("bf16")
    made.change(EXPERT, dtypes=("U8",))
    made.reindex()
    made.write(tmp_path)
    assert codes(validate(tmp_path)) == ["tensor-dtype"]
    path = tmp_path / "hf_quant_config.json"
    path.write_text('{"quantization": {"quant_algo": "NVFP4"}}')
    assert bad(validate(tmp_path)) == []
    assert validate(tmp_path).variant == "kimi_k2 nvfp4"
    path.write_text("{")
    assert codes(validate(tmp_path)) == ["config-not-json"]
    assert codes(validate(draft().write(tmp_path))) == []


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
