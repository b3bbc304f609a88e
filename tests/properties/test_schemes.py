"""Every scheme: what its modules lack, have too much or have wrong is found; sound ones are not."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint import ExpectedTensor, validate
from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.model.tensors import expected_tensors
from k2compat.checkpoint.reporting import Validation
from k2compat.samples import tiny_config
from k2compat.samples.configs import QUANTIZATIONS
from tests.checkpoint.validations import bad
from tests.support.memory_source import memory_source

VARIANTS = ("fp8", "int4", *QUANTIZATIONS)
WITH_UNIFORM = ("nvfp4+", "nvfp4-awq+", "modelslim+")
"""The same, with the tensors that all modules of a kind have, or none."""

FOUND = {
    "missing": {"tensor-missing", "tensor-scale-missing", "quantization-settings"},
    "dtype": {"tensor-dtype", "tensor-precision", "quantization-scheme"},
    "shape": {"tensor-shape", "tensor-scale-shape", "tensor-transposed", "quantization-scheme"},
    "surplus": {"tensor-unexpected"},
}
"""The codes of each damage to one tensor."""


@cache
def sound(variant: str) -> tuple[ExpectedTensor, ...]:
    kinds = ("legacy",) if variant.endswith("+") else ("legacy", "uniform")
    return tuple(
        tensor._replace(kind="required")
        for tensor in expected_tensors(config_of(variant))
        if tensor.kind not in kinds
    )


def config_of(variant: str) -> dict[str, Any]:
    return tiny_config(variant.removesuffix("+"))


def judge(config: dict[str, Any], tensors: list[ExpectedTensor]) -> Validation:
    return validate(memory_source(config, tensors=tensors))


def damaged(tensor: ExpectedTensor, damage: str) -> list[ExpectedTensor]:
    shape = tensor.shape or ()
    if damage == "missing":
        return []
    if damage == "dtype":
        dtype = next(each for each in ("I16", "F64") if each not in tensor.dtypes)
        return [tensor._replace(dtypes=(dtype,))]
    if damage == "shape":
        return [tensor._replace(shape=(*shape, 3) if len(shape) < 2 else (shape[0] + 7, shape[1]))]
    return [tensor, tensor._replace(name=tensor.name.rpartition(".")[0] + ".extra_scale")]


@pytest.mark.parametrize("variant", [*VARIANTS, *WITH_UNIFORM])
def test_a_sound_checkpoint_has_no_finding_and_no_tensor_unjudged(variant: str) -> None:
    validation = judge(config_of(variant), list(sound(variant)))
    assert bad(validation) == []
    assert validation.coverage.judged == validation.coverage.all == len(sound(variant))


@given(st.sampled_from([*VARIANTS, *WITH_UNIFORM]), st.sampled_from(sorted(FOUND)), st.data())
def test_each_damage_to_any_tensor_of_a_module_is_found(
    variant: str, damage: str, data: st.DataObject
) -> None:
    of_modules = [one for one in sound(variant) if "_proj." in one.name]
    target = data.draw(st.sampled_from(of_modules))
    tensors = [
        each
        for tensor in sound(variant)
        for each in (damaged(tensor, damage) if tensor is target else [tensor])
    ]
    found = {finding.code for finding in bad(judge(config_of(variant), tensors))}
    assert found & FOUND[damage], (target, found)
    # One damage is one finding, with its byte count where the shape decides it.
    assert found <= FOUND[damage] | {"index-total-size"}


@given(st.sampled_from([*VARIANTS, *WITH_UNIFORM]), st.data())
def test_a_quantised_module_stored_as_it_is_is_one_finding(
    variant: str, data: st.DataObject
) -> None:
    """Half a conversion: one module of the quantised checkpoint is the original's."""
    plain = {tensor.name: tensor for tensor in sound("bf16")}
    modules = sorted(
        name.removesuffix(".weight")
        for name, tensor in plain.items()
        if "_proj." in name and not any(one == tensor for one in sound(variant) if one.name == name)
    )
    module = data.draw(st.sampled_from(modules))
    kept = [one for one in sound(variant) if one.name.rpartition(".")[0] != module]
    (finding,) = bad(judge(config_of(variant), [*kept, plain[f"{module}.weight"]]))
    assert finding.code == "module-not-quantised"
    assert finding.count == 1


EXCLUSIONS: dict[str, Any] = {
    "fp8": ("modules_to_not_convert", ["o_proj"]),
    "nvfp4-weight-only": ("exclude_modules", ["lm_head", "model.layers.*.self_attn.o_proj"]),
    "modelopt-fp8": ("exclude_modules", ["lm_head", "*o_proj*"]),
    "int4-act-order": ("ignore", ["lm_head", "re:.*o_proj$"]),
    "ct-fp8-channel": (
        "ignore",
        ["lm_head", *(f"model.layers.{i}.self_attn.o_proj" for i in (0, 1))],
    ),
    "ct-int8": ("ignore", ["lm_head", r"re:model\.layers\.\d+\.self_attn\.o_proj"]),
    "quark-fp8": ("exclude", ["lm_head", "*o_proj"]),
    "gptq": (
        "dynamic",
        {"-:.*self_attn.*": {}, "-:.*down_proj": {}, "+:.*shared_experts.*": {"bits": 8}},
    ),
    "awq": ("modules_to_not_convert", ["self_attn", "down_proj"]),
}


@pytest.mark.parametrize("variant", EXCLUSIONS)
def test_an_excluded_module_that_is_quantised_is_one_finding_a_kind(variant: str) -> None:
    config = config_of(variant)
    member, value = EXCLUSIONS[variant]
    config["quantization_config"][member] = value
    found = bad(judge(config, list(sound(variant))))
    assert {finding.code for finding in found} == {"module-quantised"}
    assert len(found) <= 3
    # The other way round, with the same two configs.
    excluded = config_of(variant)
    tensors = [one for one in expected_tensors(config) if one.is_usual]
    found = bad(judge(excluded, tensors))
    assert {finding.code for finding in found} == {"module-not-quantised"}


@pytest.mark.parametrize(
    ("variant", "path", "value", "code"),
    [
        ("int4", "weights.group_size", 64, "quantization-group-size"),
        ("int4", "weights.num_bits", 8, "quantization-bits"),
        ("int4", "weights.symmetric", False, "quantization-symmetry"),
        ("int4-asymmetric", "weights.symmetric", True, "quantization-symmetry"),
        ("int4-act-order", "weights.actorder", None, "quantization-settings"),
        ("ct-mxfp4", "weights.group_size", 16, "quantization-group-size"),
        ("ct-fp8-block", "weights.block_structure", [64, 64], "quantization-group-size"),
        ("ct-int8-static", "weights.symmetric", True, "quantization-symmetry"),
        ("ct-nvfp4", "input_activations", None, "quantization-settings"),
        ("nvfp4-weight-only", ".quant_algo", "NVFP4", "quantization-settings"),
        ("fp8", ".weight_block_size", [64, 64], "quantization-group-size"),
        ("modelopt-fp8", ".quant_algo", "NVFP4", "quantization-scheme"),
        ("awq", ".group_size", 64, "quantization-group-size"),
        ("gptq", ".group_size", 32, "quantization-group-size"),
        ("gptq", ".quant_method", "awq", "quantization-mismatch"),
        ("quark-mxfp4", "global.weight.group_size", 16, "quantization-group-size"),
    ],
)
def test_settings_that_differ_from_the_tensors_are_one_kind_of_finding(
    variant: str, path: str, value: object, code: str
) -> None:
    config = json.loads(json.dumps(config_of(variant)))
    settings = config["quantization_config"]
    if path.startswith("global."):
        settings, path = settings["global_quant_config"], path.removeprefix("global.")
    elif not path.startswith("."):
        settings = settings["config_groups"]["group_0"]
    *parents, last = path.removeprefix(".").split(".")
    for parent in parents:
        settings = settings[parent]
    settings[last] = value
    found = bad(judge(config, list(sound(variant))))
    assert {finding.code for finding in found} == {code}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_config_without_its_quantization_is_one_finding(variant: str) -> None:
    config = config_of(variant)
    del config["quantization_config"]
    codes = [finding.code for finding in bad(judge(config, list(sound(variant))))]
    assert codes.count("quantization-undeclared") == 1
    # What remains is about single modules that a config of its own would have to name.
    assert {*codes} <= {
        "quantization-undeclared",
        "module-quantised",
        "quantization-scheme",
        "module-not-quantised",
    }


def test_no_scheme_lacks_a_sample() -> None:
    from k2compat.checkpoint.model import SCHEMES, read_architecture

    used = set()
    for variant in VARIANTS:
        architecture, _ = read_architecture(config_of(variant))
        assert architecture is not None
        used |= {storage.scheme for storage in architecture.quantization.storages}
    assert used == set(SCHEMES)


def test_every_dtype_of_the_schemes_is_one_of_safetensors() -> None:
    from k2compat.checkpoint.model import SCHEMES

    for scheme in SCHEMES.values():
        for tensor in scheme.tensors:
            assert {*tensor.dtypes} <= DTYPE_BITS.keys()


def test_a_quantised_router_is_an_info_where_sources_contradict_each_other() -> None:
    """amd/Kimi-K2-Thinking-MXFP4: its card calls the router quantised, another project does not."""
    router = "model.layers.1.mlp.gate.weight"
    tensors = [one for one in sound("quark-mxfp4") if one.name != router]
    tensors.append(ExpectedTensor(router, (4, 128), ("U8",), "required"))
    tensors.append(ExpectedTensor(f"{router}_scale", (4, 8), ("U8",), "required"))
    validation = judge(config_of("quark-mxfp4"), tensors)
    assert bad(validation) == []
    found = [one for one in validation.report if one.code == "quantization-unconfirmed"]
    assert [one.count for one in found] == [1]


def test_modules_that_no_rule_describes_do_not_hide_a_missing_quantization() -> None:
    config = config_of("ct-mxfp4")
    del config["quantization_config"]
    tensors = list(sound("ct-mxfp4"))
    expert = [one for one in tensors if "layers.1.mlp.experts.0.up_proj" in one.name]
    tensors += [one._replace(name=one.name.replace("experts.0.", "extra.")) for one in expert]
    codes = {finding.code for finding in bad(judge(config, tensors))}
    assert codes == {"quantization-undeclared", "tensor-unexpected"}


def test_scalars_may_be_stored_as_one_element() -> None:
    tensors = [
        one._replace(shape=(1,)) if one.shape == () else one for one in sound("modelopt-fp8")
    ]
    assert bad(judge(config_of("modelopt-fp8"), tensors)) == []
    uniform = [
        one._replace(shape=(1,)) if one.name.endswith("k_scale") else one for one in sound("nvfp4+")
    ]
    assert bad(judge(config_of("nvfp4"), uniform)) == []
