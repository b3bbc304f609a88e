"""Every scheme: what its modules lack, have too much or have wrong is found; sound ones are not."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from k2compat.checkpoint import ExpectedTensor, validate
from k2compat.checkpoint.model import (
    SCHEMES,
    SUFFIXES,
    expected_blocks,
    expected_tensors,
    read_architecture,
)
from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.model.quantization_configs.reading import DIALECTS
from k2compat.checkpoint.reporting import Validation
from k2compat.samples import tiny_config
from k2compat.samples.configs import QUANTIZATIONS
from tests.checkpoint.validations import bad
from tests.support.memory_source import memory_source

VARIANTS = ("fp8", "int4", *QUANTIZATIONS)
WITH_UNIFORM = ("nvfp4+", "nvfp4-awq+", "modelslim+")
"""The same, with the tensors that all modules of a kind have, or none."""

DAMAGES = {
    "missing": ("tensor-missing", "tensor-scale-missing"),
    "dtype": ("tensor-dtype", "tensor-dtype"),
    "shape": ("tensor-shape", "tensor-scale-shape"),
    "surplus": ("tensor-unexpected", "tensor-unexpected"),
}
"""The code of each damage to a weight, and to a tensor that describes it."""


class SchemeTensor(NamedTuple):
    """A tensor that a scheme stores for a module.

    Attributes:
        scheme: Its key in the table.
        tensor: Of the first module that has it.
        is_scale: Whether it describes another tensor.
    """

    scheme: str
    tensor: ExpectedTensor
    is_scale: bool

    @property
    def suffix(self) -> str:
        return self.tensor.name.rpartition(".")[2]


@cache
def scheme_tensors(variant: str) -> tuple[SchemeTensor, ...]:
    """One of each suffix of each scheme of a variant, for each kind of module."""
    architecture, _ = read_architecture(config_of(variant))
    assert architecture is not None
    by_name = {tensor.name: tensor for tensor in sound(variant)}
    found: dict[object, SchemeTensor] = {}
    for block in expected_blocks(architecture):
        for rest, kind in block.kinds.items():
            tensor = by_name.get(block.prefix + rest)
            if tensor is None or kind.module is None or kind.module.storage is None:
                continue
            scheme = kind.module.storage.scheme
            found.setdefault(
                (scheme, rest.rpartition(".")[2], kind.part),
                SchemeTensor(scheme, tensor, kind.is_scale),
            )
    return tuple(found.values())


@cache
def sound(variant: str) -> tuple[ExpectedTensor, ...]:
    kinds = ("legacy",) if variant.endswith("+") else ("legacy", "uniform")
    return tuple(
        tensor._replace(kind="required")
        for tensor in expected_tensors(config_of(variant))
        if tensor.kind not in kinds
    )


def config_of(variant: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(tiny_config(variant.removesuffix("+"))))
    return config


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


def with_damage(
    variant: str, target: ExpectedTensor, replacement: list[ExpectedTensor]
) -> list[ExpectedTensor]:
    return [
        each
        for tensor in sound(variant)
        for each in (replacement if tensor is target else [tensor])
    ]


@pytest.mark.parametrize("variant", [*VARIANTS, *WITH_UNIFORM])
def test_a_sound_checkpoint_has_no_finding_and_no_tensor_unjudged(variant: str) -> None:
    validation = judge(config_of(variant), list(sound(variant)))
    assert bad(validation) == []
    assert validation.coverage.judged == validation.coverage.all == len(sound(variant))


@pytest.mark.sample(5)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("variant", [*VARIANTS, *WITH_UNIFORM])
def test_each_damage_to_each_tensor_of_each_scheme_has_its_code(variant: str, damage: str) -> None:
    for one in scheme_tensors(variant):
        tensors = with_damage(variant, one.tensor, damaged(one.tensor, damage))
        found = [finding.code for finding in bad(judge(config_of(variant), tensors))]
        # Where the shape decides the byte count, the index's total differs, too.
        assert [code for code in found if code != "index-total-size"] == [
            DAMAGES[damage][one.is_scale]
        ], one


@given(st.sampled_from([*VARIANTS, *WITH_UNIFORM]), st.sampled_from(sorted(DAMAGES)), st.data())
def test_each_damage_to_any_tensor_of_a_module_is_found(
    variant: str, damage: str, data: st.DataObject
) -> None:
    target = data.draw(st.sampled_from([one for one in sound(variant) if "_proj." in one.name]))
    tensors = with_damage(variant, target, damaged(target, damage))
    found = {finding.code for finding in bad(judge(config_of(variant), tensors))}
    expected = {*DAMAGES[damage], "tensor-precision", "tensor-transposed"}
    assert found & expected, (target, found)
    assert found <= expected | {"index-total-size"}


@pytest.mark.sample(5)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tensor_of_another_scheme_in_one_module_is_found(variant: str) -> None:
    """As a conversion of a conversion leaves it behind."""
    own = {one.suffix for one in scheme_tensors(variant)}
    for scheme in {one.scheme for one in scheme_tensors(variant)}:
        own |= {tensor.suffix for tensor in SCHEMES[scheme].tensors if tensor.uniform}
    first = scheme_tensors(variant)[0].tensor
    for suffix in sorted(SUFFIXES - own):
        name = f"{first.name.rpartition('.')[0]}.{suffix}"
        stray = ExpectedTensor(name, (3,), ("F32",), "required")
        found = [
            finding.code for finding in bad(judge(config_of(variant), [*sound(variant), stray]))
        ]
        assert found == ["tensor-unexpected"], name


def stored_otherwise(variant: str, **changed: object) -> list[ExpectedTensor] | None:
    """A variant's tensors with its first group stored in another way; None where that is alike."""
    architecture, _ = read_architecture(config_of(variant))
    assert architecture is not None
    groups = list(architecture.quantization.groups)
    number = next(number for number, group in enumerate(groups) if group.storage is not None)
    storage = groups[number].storage
    assert storage is not None
    other = storage._replace(**changed)  # type: ignore[arg-type]
    groups[number] = structs.replace(groups[number], storage=other)
    quantization = structs.replace(architecture.quantization, groups=tuple(groups))
    tensors = [
        one
        for one in expected_tensors(replace(architecture, quantization=quantization))
        if one.is_usual
    ]
    return None if tensors == list(sound(variant)) else tensors


def differing_settings(variant: str) -> Iterator[tuple[str, list[ExpectedTensor]]]:
    """The code, and the tensors, of each setting of the variant's first scheme."""
    architecture, _ = read_architecture(config_of(variant))
    assert architecture is not None
    first = architecture.quantization.storages[0]
    for name, size in first.sizes:
        code = "quantization-bits" if name == "bits" else "quantization-group-size"
        other = {"bits": 8 if size == 4 else 4}.get(name, 64 if size != 64 else 32)
        sizes = tuple((each, other if each == name else of) for each, of in first.sizes)
        tensors = stored_otherwise(variant, sizes=sizes)
        if tensors is not None:
            yield code, tensors
    for trait in sorted({name for each in SCHEMES[first.scheme].tensors for name in each.when}):
        code = "quantization-symmetry" if trait == "asymmetric" else "quantization-settings"
        traits = first.traits ^ {trait}
        tensors = stored_otherwise(variant, traits=traits)
        if tensors is not None:
            yield code, tensors


@pytest.mark.sample(3)
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_setting_that_the_tensors_do_not_have_has_its_code(variant: str) -> None:
    for code, tensors in differing_settings(variant):
        found = {finding.code for finding in bad(judge(config_of(variant), tensors))}
        assert found == {code}


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


Exclude = Callable[[dict[str, Any], str], None]
"""Adds a module to what a quantization_config leaves as it is."""


def listed(*members: str) -> Exclude:
    """By a list; of several names the one that the config has."""

    def exclude(settings: dict[str, Any], module: str) -> None:
        name = next((each for each in members if each in settings), members[0])
        settings[name] = [*(settings.get(name) or []), module]

    return exclude


def modelopt(settings: dict[str, Any], module: str) -> None:
    settings.get("quantized_layers", {}).pop(module, None)
    listed("ignore", "exclude_modules")(settings, module)


EXCLUDE: dict[str, Exclude] = {
    "fp8": listed("modules_to_not_convert"),
    "w4afp8": listed("modules_to_not_convert"),
    "compressed-tensors": listed("ignore"),
    "modelopt": modelopt,
    "modelopt_fp4": modelopt,
    "quark": listed("exclude"),
    "awq": listed("modules_to_not_convert"),
    "gptq": lambda settings, module: settings["dynamic"].update({f"-:{re.escape(module)}$": {}}),
    "ascend": lambda settings, module: settings.update({f"{module}.weight": "FLOAT"}),
}
"""How each dialect excludes a module."""


HALVES = ("gate_proj", "up_proj", "q_a_proj", "kv_a_proj_with_mqa")
"""Modules that engines join with another one."""


def test_no_dialect_lacks_a_way_to_exclude() -> None:
    assert EXCLUDE.keys() == DIALECTS.keys()


@pytest.mark.sample(3)
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_scheme_in_an_excluded_module_is_one_finding(variant: str) -> None:
    """And the other way round: a module that stays as it is though the config includes it."""
    sound_config = config_of(variant)
    for scheme in {one.scheme: one for one in scheme_tensors(variant)}.values():
        config = config_of(variant)
        settings = config["quantization_config"]
        module = scheme.tensor.name.rpartition(".")[0]
        EXCLUDE[settings["quant_method"]](settings, module)
        finding, *fused = bad(judge(config, list(sound(variant))))
        assert (finding.code, finding.count) == ("module-quantised", 1), module
        # Engines load some modules together with another, which is quantised still.
        expected = ["quantization-fused"] if module.endswith(HALVES) else []
        assert [each.code for each in fused] == expected, module
        kept = [one for one in expected_tensors(config) if one.is_usual]
        (finding,) = bad(judge(sound_config, kept))
        assert (finding.code, finding.count) == ("module-not-quantised", 1), module


LISTS: dict[str, Any] = {
    "fp8": ("modules_to_not_convert", ["o_proj"]),
    "nvfp4-weight-only": ("exclude_modules", ["lm_head", "model.layers.*.self_attn.o_proj"]),
    "modelopt-fp8": ("exclude_modules", ["lm_head", "*o_proj*"]),
    "int4-act-order": ("ignore", ["lm_head", "re:.*o_proj$"]),
    "ct-int8": ("ignore", ["lm_head", r"re:model\.layers\.\d+\.self_attn\.o_proj"]),
    "quark-fp8": ("exclude", ["lm_head", "*o_proj"]),
    "gptq": (
        "dynamic",
        {"-:.*self_attn.*": {}, "-:.*down_proj": {}, "+:.*shared_experts.*": {"bits": 8}},
    ),
    "awq": ("modules_to_not_convert", ["self_attn", "down_proj"]),
}
"""Patterns in the spellings of published lists."""


@pytest.mark.parametrize("variant", LISTS)
def test_excluded_modules_that_are_quantised_are_one_finding_a_kind(variant: str) -> None:
    config = config_of(variant)
    member, value = LISTS[variant]
    config["quantization_config"][member] = value
    found = bad(judge(config, list(sound(variant))))
    assert {finding.code for finding in found} == {"module-quantised"}
    assert len(found) <= 3
    # The other way round, with the same two configs.
    tensors = [one for one in expected_tensors(config) if one.is_usual]
    found = bad(judge(config_of(variant), tensors))
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


@pytest.mark.sample(5)
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


def test_no_tensor_of_the_table_lacks_a_sample() -> None:
    used = {
        (one.scheme, one.suffix)
        for variant in [*VARIANTS, *WITH_UNIFORM]
        for one in scheme_tensors(variant)
    }
    in_table = {
        (name, tensor.suffix) for name, scheme in SCHEMES.items() for tensor in scheme.tensors
    }
    assert used == in_table


def test_every_dtype_of_the_schemes_is_one_of_safetensors() -> None:
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
