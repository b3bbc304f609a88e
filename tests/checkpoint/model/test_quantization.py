"""How weights are stored, as a config says; what is not known is named and left alone."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint import validate
from k2compat.checkpoint.model import (
    Quantization,
    differences,
    quantization,
    read_quantization,
    stored_precision,
)
from k2compat.checkpoint.model.module_patterns import ModulePatterns, PatternError
from k2compat.checkpoint.model.quantization import evaluate, shape_of, storage
from k2compat.checkpoint.reporting import FileFindings
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


def covers(quantization: Quantization, kind: str, names: list[str]) -> bool:
    return quantization.storage_of(kind, names) is not None


def scaled(strategy: str, **weights: Any) -> dict[str, Any]:
    made = int4(type="float", num_bits=8, strategy=strategy, **weights)
    return {**made, "format": "float-quantized"}


def test_the_known_ones() -> None:
    assert read(None) == (Quantization("bf16"), [])
    assert read({}) == (Quantization("bf16"), [])
    assert read(FP8)[0].storages == (storage("deepseek-fp8", {"b0": 128, "b1": 128}),)
    assert read(INT4)[0].storages == (storage("ct-packed", {"group": 32}, bits=4),)
    assert read(int4(num_bits=8))[0].name == "int8"
    assert read(int4(num_bits=4.0))[0].name == "int4"


def test_groups_of_compressed_tensors_that_quantise_nothing() -> None:
    cache = {"num_bits": 8, "type": "float"}
    for config in (
        {**INT4, "config_groups": {}, "kv_cache_scheme": cache},
        {**INT4, "format": "dense"},
        {**INT4, "config_groups": {"g": {"targets": ["Linear"], "weights": None}}},
    ):
        quantization, codes = read(config)
        assert (quantization.name, quantization.is_plain, codes) == ("bf16", True, [])
    assert read({**INT4, "config_groups": {}, "kv_cache_scheme": cache})[0].kv_cache_bits == 8


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": None}, "fp8"),
        ({**FP8, "fmt": "e5m2"}, "fp8"),
        ({**FP8, "ignored_layers": "all"}, "fp8"),
        ({**FP8, "ignored_layers": ["x" * 300]}, "fp8"),
        ({**FP8, "ignored_layers": ["x"] * 600}, "fp8"),
        ({**INT4, "format": "marlin"}, "compressed-tensors"),
        ({**INT4, "config_groups": {}}, "compressed-tensors"),
        ({**INT4, "config_groups": {"g": 1}}, "compressed-tensors"),
        ({**INT4, "ignore": "lm_head"}, "compressed-tensors"),
        ({**INT4, "ignore": [3]}, "compressed-tensors"),
        (int4(group_size=-1), "compressed-tensors"),
        (int4(num_bits="4"), "compressed-tensors"),
        (int4(num_bits=9), "compressed-tensors"),
        (int4(num_bits=0), "compressed-tensors"),
        ({**INT4, "config_groups": {"g": {"targets": []}}}, "compressed-tensors"),
        (
            {**INT4, "config_groups": {"g": {**INT4["config_groups"]["group_0"], "targets": []}}},
            "compressed-tensors",
        ),
        ({**INT4, "sparsity_config": {"format": "sparse-24-bitmask"}}, "compressed-tensors"),
        ({**INT4, "format": "float-quantized"}, "compressed-tensors"),
        (scaled("group_and_more"), "compressed-tensors"),
        (scaled("block"), "compressed-tensors"),
        (scaled("block", block_structure=[128, 0]), "compressed-tensors"),
        ({"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}, "fp8_pb_wo"),
        ({"quant_method": "modelopt", "quant_algo": ["NVFP4"]}, "modelopt"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 0}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "mixed_precision"),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {"lm_head": 1},
            },
            "mixed_precision",
        ),
        ({"quant_method": "quark"}, "quark"),
        ({"quant_method": "quark", "global_quant_config": 1}, "quark"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int4"}}}, "quark"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "awq"),
        ({"quant_method": "awq", "bits": 3}, "awq"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "gptq"),
        ({"quant_method": "w4afp8", "group_size": "all"}, "w4afp8"),
        ({"quant_method": "ascend"}, "ascend"),
        ({"quant_method": "ascend", "model.norm.weight": "W1A1"}, "ascend"),
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


@pytest.mark.parametrize("pattern", ["re:(", "re:a?" + "a" * 300, "re:(x{999}){999}", "re:\\p{L}"])
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
    assert not covers(quantization, "linear", [ignored])
    assert covers(quantization, "projection", ["model.layers.1.self_attn.kv_b_proj"])


@given(st.from_regex(r"[a-z.*+?()|\\d]{1,12}", fullmatch=True), st.text("abc._1", max_size=12))
def test_an_expression_matches_as_in_compressed_tensors(expression: str, name: str) -> None:
    """compressed-tensors matches with Python's re, from the name's start."""
    try:
        expected = re.compile(expression).match(name) is not None
    except re.error:
        with pytest.raises(PatternError):
            ModulePatterns([f"re:{expression}"])
    else:
        assert (name in ModulePatterns([f"re:{expression}"])) == expected


def test_an_expression_that_runs_for_ever_ends_at_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("k2compat.checkpoint.model.module_patterns.SECONDS_MAX", 0.05)
    ignored = ModulePatterns(["re:(?:.|..)+[!?]", "x"])
    assert "a" * 60 not in ignored
    assert ignored.is_exhausted
    assert "b" * 60 not in ignored
    assert "x" in ignored


def test_lists_with_the_same_patterns_are_equal() -> None:
    assert ModulePatterns(["a"]) == ModulePatterns(["a"]) != ModulePatterns(["b"])
    assert len({ModulePatterns(["a"]), ModulePatterns(["a"])}) == 1


def test_a_checkpoint_whose_ignore_list_takes_too_long_is_judged_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k2compat.checkpoint.model.module_patterns.SECONDS_MAX", 0.05)
    made = draft("int4")
    ignore = [*INT4["ignore"], "re:(?:.|..)+[!?]"]
    made.config["quantization_config"] = {**INT4, "ignore": ignore}
    report = validate(made.write(tmp_path)).report
    (finding,) = (one for one in report if one.code == "quantization-unknown")
    assert "takes too long" in finding.message
    assert not report.has_errors


@pytest.mark.parametrize("patterns", [["x"] * 300_000, ["re:.*x"] * 600])
def test_too_many_patterns_are_not_followed(patterns: list[str]) -> None:
    assert not read({**INT4, "ignore": patterns})[0].is_known


def test_what_is_ignored_stays_as_it_is() -> None:
    quantization = read(INT4)[0]
    assert covers(quantization, "projection", ["model.layers.1.mlp.experts.0.up_proj"])
    assert not covers(quantization, "projection", ["model.layers.1.self_attn.o_proj"])
    assert not covers(quantization, "linear", ["language_model.lm_head", "lm_head"])
    assert not covers(quantization, "", ["model.norm"])
    kept = read({**FP8, "modules_to_not_convert": ["shared_experts"]})[0]
    assert not covers(kept, "projection", ["model.layers.1.mlp.shared_experts.up_proj"])
    assert covers(kept, "projection", ["model.layers.1.mlp.experts.0.up_proj"])
    assert not covers(kept, "linear", ["lm_head"])


@pytest.mark.parametrize("block", [[128], [128, 0], [128, True], [128, 10**30], "128", {}])
def test_blocks_of_no_size(block: object) -> None:
    quantization, codes = read({**FP8, "weight_block_size": block})
    assert not quantization.is_known
    assert codes == ["architecture-value", "quantization-unknown"]


def test_each_spelling_of_a_pattern() -> None:
    asked_twice = ModulePatterns(["re:.*mlp"])
    assert "model.mlp" in asked_twice
    assert "model.mlp" in asked_twice
    assert "model.layers.3.mlp" in ModulePatterns(["model.layers.3.mlp"])
    assert "model.layers.3.mlp.up_proj" not in ModulePatterns(["model.layers.3.mlp"])
    assert "model.layers.3.mlp.up_proj" in ModulePatterns(["model.layers.3.mlp"], "below")
    assert "model.layers.31.mlp" not in ModulePatterns(["model.layers.3"], "below")
    assert "model.layers.3.mlp" in ModulePatterns(["model.layers.3*"])
    assert "model.layers.3.self_attn.o_proj" in ModulePatterns(["*self_attn*"])
    assert "model.layers.3.mlp" in ModulePatterns(["layers.3"], "substring")
    assert "model.layers.3.mlp" not in ModulePatterns(["layers.4"], "substring")
    assert "model.layers.3.mlp" in ModulePatterns([r"re:model\.layers\.3\.mlp$"])
    assert "model.layers.3.mlp.up_proj" not in ModulePatterns([r"re:model\.layers\.3\.mlp$"])
    assert "model.layers.3.mlp.up_proj" in ModulePatterns([r"re:model\.layers\.3\.mlp"])


@pytest.mark.parametrize("scale", [{"group_size": 32}, {}])
def test_groups_of_scaled_weights(scale: dict[str, Any]) -> None:
    config = scaled("group", **scale)
    size = scale.get("group_size", 32)
    assert read(config)[0].storages == (storage("ct-fp8", {"b0": 1, "b1": size}),)


def test_modules_with_settings_of_their_own_may_stay_as_they_are() -> None:
    config = {
        "quant_method": "quark",
        "layer_quant_config": {"*self_attn*": {}},
        "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
    }
    quantization, codes = read(config)
    assert codes == []
    assert not covers(quantization, "projection", ["model.layers.0.self_attn.o_proj"])
    assert covers(quantization, "projection", ["model.layers.0.mlp.up_proj"])


def test_unknown_storages_are_compared_by_name() -> None:
    first, second = read({"quant_method": "a"})[0], read({"quant_method": "b"})[0]
    assert [what for what, *_ in differences(first, second)] == ["the scheme"]
    assert list(differences(first, first)) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, ("bf16", 1, None)),
        (FP8, ("fp8", 128, None)),
        (INT4, ("int4", 32, None)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ("nvfp4", 16, None)),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, ("fp8", 1, None)),
        ({"quant_method": "other"}, None),
    ],
)
def test_the_precision_of_the_routed_experts(config: object, expected: object) -> None:
    assert stored_precision(config) == expected


@given(
    st.fixed_dictionaries(
        {"quant_method": st.sampled_from(["fp8", "w4afp8", "awq"])},
        optional={
            "fmt": st.sampled_from(["e4m3", "e5m2", None]),
            "activation_scheme": st.sampled_from(["dynamic", "static"]),
            "weight_block_size": st.none()
            | st.lists(st.sampled_from([0, 1, 32, 64, 127, 128, 129, 1 << 40, True, 1.0]))
            | st.sampled_from([[128, 128], [64, 64], [128, 64], [1, 1], (128, 128)]),
            "scale_fmt": st.just("ue8m0"),
        },
    )
)
def test_the_short_way_to_published_fp8_gives_what_its_dialect_gives(config: Any) -> None:
    """A list of nothing changes nothing, and such a config is no published one."""
    assert stored_precision(config) == stored_precision({**config, "ignored_layers": []})


def test_published_fp8_is_known_without_the_dialects() -> None:
    program = (
        "import sys\n"
        "from k2compat.checkpoint import stored_precision\n"
        f"assert stored_precision({FP8!r}).name == 'fp8'\n"
        "assert 'k2compat.checkpoint.model.quantization_configs' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("pattern", "module"),
    [
        ("model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.up_proj"),
        ("re:.*shared_experts.gate_up_proj$", "model.layers.1.mlp.shared_experts.gate_proj"),
        ("*.fused_qkv_a_proj_with_mqa", "model.layers.0.self_attn.kv_a_proj_with_mqa"),
        ("model.layers.0.self_attn.fused_qkv_a_proj", "model.layers.0.self_attn.q_a_proj"),
    ],
)
def test_the_name_of_joined_modules_covers_each_of_them(pattern: str, module: str) -> None:
    """vLLM and SGLang: packed_modules_mapping."""
    assert module in ModulePatterns([pattern])
    assert "model.layers.0.mlp.down_proj" not in ModulePatterns([pattern])


def test_a_part_of_a_name_covers_what_is_below_it() -> None:
    """SGLang compares each part of a module's name with Model Optimizer's list."""
    patterns = ModulePatterns(["self_attn", "mlp.gate"], "below")
    assert "model.layers.0.self_attn.o_proj" in patterns
    assert "model.layers.0.mlp.gate" not in patterns
    assert "model.layers.0.self_attn.o_proj" not in ModulePatterns(["self_attn"])


def test_each_scheme_of_the_table_is_there() -> None:
    path = Path(quantization.__file__).with_name("schemes.toml")
    whole = tomllib.loads(path.read_text("utf-8"))["scheme"]
    assert list(quantization.SCHEMES) == list(whole)
    assert len(quantization.SCHEMES) == len(whole)
    for name, members in whole.items():
        assert len(quantization.SCHEMES[name].tensors) == len(members["tensors"])


def test_another_name_is_none_of_them() -> None:
    with pytest.raises(KeyError):
        quantization.SCHEMES["int3"]


NAMES = st.sampled_from(["H", "nh", "d0", "7"])
SIZES = {"H": 5, "nh": 3, "d0": 11}


@given(st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_sums_of_products_are_those_of_arithmetic(products: list[list[str]]) -> None:
    text = " + ".join("*".join(product) for product in products)
    assert evaluate(text, SIZES) == eval(text, {}, SIZES)


@pytest.mark.parametrize(
    ("text", "value"),
    [("d0/H", 3), ("d0 / H", 3), ("d0/nh/2", 2), ("nh*H + 1", 16), ("128", 128), ("", 0)],
)
def test_a_division_rounds_up(text: str, value: int) -> None:
    assert evaluate(text, SIZES) == value


def test_an_unknown_size_has_no_value() -> None:
    assert evaluate("H*rows + 1", SIZES) is None
    with pytest.raises(KeyError, match="rows"):
        shape_of(["H", "rows"], SIZES)


@pytest.mark.parametrize("text", ["H H", "H*", "+H", "H-1", "(H)", "H**2", "H+"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no sum of products"):
        evaluate(text, SIZES)
