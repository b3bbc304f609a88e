"""How weights are stored, as a config says; what is not known is named and left alone."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint import validate
from k2compat.checkpoint.model.ignore_list import IgnoreList, PatternError
from k2compat.checkpoint.model.quantization import Quantization, read_quantization
from k2compat.checkpoint.reporting.collector import FileFindings
from k2compat.samples import tiny_config
from tests.support.drafts import draft

FP8: dict[str, Any] = tiny_config()["quantization_config"]
INT4: dict[str, Any] = tiny_config("int4")["quantization_config"]


def read(config: object) -> tuple[Quantization, list[str]]:
    defects = FileFindings("config.json")
    quantization = read_quantization(config, defects)
    return quantization, [finding.code for finding in defects.findings()]


def int4(**weights: Any) -> dict[str, Any]:
    group = INT4["config_groups"]["group_0"]
    groups = {"group_0": {**group, "weights": {**group["weights"], **weights}}}
    return {**INT4, "config_groups": groups}


def test_the_known_ones() -> None:
    assert read(None) == (Quantization("bf16"), [])
    assert read({}) == (Quantization("bf16"), [])
    assert read(FP8)[0].sizes == {"b0": 128, "b1": 128}
    assert read(INT4)[0].sizes == {"packed": 8, "group": 32}
    assert read(int4(num_bits=8))[0].name == "int8"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": None}, "fp8"),
        ({**FP8, "fmt": "e5m2"}, "fp8"),
        ({**FP8, "ignored_layers": "all"}, "fp8"),
        ({**FP8, "ignored_layers": ["x" * 300]}, "fp8"),
        ({**INT4, "format": "marlin"}, "compressed-tensors"),
        ({**INT4, "config_groups": {}}, "compressed-tensors"),
        ({**INT4, "config_groups": {"g": 1}}, "compressed-tensors"),
        ({**INT4, "ignore": "lm_head"}, "compressed-tensors"),
        ({**INT4, "ignore": [3]}, "compressed-tensors"),
        (int4(symmetric=False), "compressed-tensors"),
        (int4(actorder="group"), "compressed-tensors"),
        (int4(group_size=-1), "compressed-tensors"),
        (int4(num_bits="4"), "compressed-tensors"),
        (int4(num_bits=4.0), "compressed-tensors"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": ["awq"]}, "unknown"),
        ({"quant_method": "a\x1b[0m"}, r"a\x1b[0m"),
    ],
)
def test_the_unknown_ones(config: dict[str, Any], name: str) -> None:
    quantization, codes = read(config)
    assert not quantization.is_known
    assert quantization.name == name
    assert codes == ["quantization-unknown"]


def test_what_is_no_object() -> None:
    assert read("fp8") == (Quantization("bf16"), ["architecture-value"])


@pytest.mark.parametrize("pattern", ["re:(", "re:" + "a" * 300, "re:(x{999}){999}", "re:\\p{L}"])
def test_an_expression_that_engines_refuse_or_cannot_afford_is_not_followed(pattern: str) -> None:
    assert not read({**INT4, "ignore": [pattern]})[0].is_known


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        (r"re:(?:model\.)?lm_head", "lm_head"),
        (r"re:.*(q|k|v|o)_proj(\.weight)?$", "model.layers.1.self_attn.o_proj"),
        (
            r"re:.*layers\.\d+\.mlp\.experts\.\d+\.(gate|up|down)_proj",
            "model.layers.1.mlp.experts.0.up_proj",
        ),
        (r"re:model\.(layers)\.1\.(?:x|[a-z_]+)+\.o_proj", "model.layers.1.self_attn.o_proj"),
        ("re:[[m]odel.*o_proj", "model.layers.1.self_attn.o_proj"),
    ],
)
def test_an_ordinary_expression_is_followed(pattern: str, ignored: str) -> None:
    quantization, codes = read({**INT4, "ignore": [pattern]})
    assert codes == []
    assert not quantization.covers("linear", [ignored])
    assert quantization.covers("projection", ["model.layers.1.self_attn.kv_b_proj"])


@given(st.from_regex(r"[a-z.*+?()|\\d]{1,12}", fullmatch=True), st.text("abc._1", max_size=12))
def test_an_expression_matches_as_in_compressed_tensors(expression: str, name: str) -> None:
    """compressed-tensors matches with Python's re, from the name's start."""
    try:
        expected = re.compile(expression).match(name) is not None
    except re.error:
        with pytest.raises(PatternError):
            IgnoreList([f"re:{expression}"])
    else:
        assert (name in IgnoreList([f"re:{expression}"])) == expected


def test_an_expression_that_runs_for_ever_ends_at_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("k2compat.checkpoint.model.ignore_list.SECONDS_MAX", 0.05)
    ignored = IgnoreList(["re:(?:.|..)+[!?]", "x"])
    assert "a" * 60 not in ignored
    assert ignored.is_exhausted
    assert "b" * 60 not in ignored
    assert "x" in ignored


def test_lists_with_the_same_patterns_are_equal() -> None:
    assert IgnoreList(["a"]) == IgnoreList(["a"]) != IgnoreList(["b"])
    assert len({IgnoreList(["a"]), IgnoreList(["a"])}) == 1


def test_a_checkpoint_whose_ignore_list_takes_too_long_is_judged_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k2compat.checkpoint.model.ignore_list.SECONDS_MAX", 0.05)
    made = draft("int4")
    ignore = [*INT4["ignore"], "re:(?:.|..)+[!?]"]
    made.config["quantization_config"] = {**INT4, "ignore": ignore}
    report = validate(made.write(tmp_path)).report
    (finding,) = (one for one in report if one.code == "quantization-unknown")
    assert "takes too long" in finding.message
    assert not report.has_errors


def test_too_many_patterns_are_not_followed() -> None:
    assert not read({**INT4, "ignore": ["x"] * 10_000})[0].is_known


def test_what_is_ignored_stays_as_it_is() -> None:
    quantization = read(INT4)[0]
    assert quantization.covers("projection", ["model.layers.1.mlp.experts.0.up_proj"])
    assert not quantization.covers("projection", ["model.layers.1.self_attn.o_proj"])
    assert not quantization.covers("linear", ["language_model.lm_head", "lm_head"])
    assert not quantization.covers("", ["model.norm"])
    kept = read({**FP8, "modules_to_not_convert": ["shared_experts"]})[0]
    assert not kept.covers("projection", ["model.layers.1.mlp.shared_experts.up_proj"])
    assert kept.covers("projection", ["model.layers.1.mlp.experts.0.up_proj"])
    assert not kept.covers("linear", ["lm_head"])


@pytest.mark.parametrize("block", [[128], [128, 0], [128, True], [128, 10**30], "128", {}])
def test_blocks_of_no_size(block: object) -> None:
    quantization, codes = read({**FP8, "weight_block_size": block})
    assert not quantization.is_known
    assert codes == ["architecture-value", "quantization-unknown"]
