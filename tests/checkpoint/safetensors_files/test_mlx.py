"""An MLX conversion is one finding, and its tensors are judged by the config's settings."""

from typing import Any

import pytest

from k2compat.checkpoint import ExpectedTensor, validate
from k2compat.checkpoint.reporting import Validation
from k2compat.samples import tiny_config
from tests.checkpoint.validations import bad
from tests.support.memory_source import memory_source
from tests.support.mlx_conversion import OVERRIDES, is_packed, mlx_shapes, packed_shapes

DEFAULT = {"group_size": 32, "bits": 4, "mode": "affine"}


def conversion(quantization: dict[str, Any]) -> dict[str, ExpectedTensor]:
    made: dict[str, ExpectedTensor] = {}
    for name, shape in mlx_shapes(tiny_config("bf16")).items():
        module = name.removesuffix(".weight")
        own = {**quantization, **quantization.get(module, {})}
        parts = {"weight": (shape, "BF16")}
        if is_packed(name, shape):
            parts = packed_shapes(shape, own["bits"], own["group_size"])
        for suffix, (stored, dtype) in parts.items():
            full = f"{module}.{suffix}" if name.endswith(".weight") else name
            made[full] = ExpectedTensor(full, stored, (dtype,), "required")
    return made


def judge(quantization: dict[str, Any], tensors: dict[str, ExpectedTensor]) -> Validation:
    """With the config that mlx-lm writes: the settings twice, without a quant_method."""
    settings = {"quantization": quantization, "quantization_config": quantization}
    config = {**tiny_config("bf16"), **settings}
    return validate(memory_source(config, tensors=tensors.values()))


def codes(validation: Validation) -> list[str]:
    return sorted({finding.code for finding in bad(validation)})


@pytest.mark.parametrize("quantization", [DEFAULT, {**DEFAULT, **OVERRIDES}])
def test_a_whole_conversion_is_one_finding_and_judged_whole(quantization: dict[str, Any]) -> None:
    validation = judge(quantization, conversion(quantization))
    assert codes(validation) == ["foreign-mlx"]
    assert validation.coverage.judged == validation.coverage.all == validation.tensors


@pytest.mark.parametrize(
    ("settings", "code", "expected"),
    [
        ({"bits": 8}, "quantization-bits", "8 bits in groups of 32"),
        ({"group_size": 16}, "quantization-group-size", "4 bits in groups of 16"),
        ({"mode": "mxfp4"}, "quantization-settings", "4 bits in groups of 32, without biases"),
    ],
)
def test_settings_that_the_tensors_do_not_have_are_one_finding(
    settings: dict[str, Any], code: str, expected: str
) -> None:
    finding, foreign = bad(judge({**DEFAULT, **settings}, conversion(DEFAULT)))
    assert (foreign.code, finding.code) == ("foreign-mlx", code)
    assert (finding.expected, finding.actual) == (expected, "4 bits in groups of 32")
    assert finding.count == sum(name.endswith(".scales") for name in conversion(DEFAULT))
    assert finding.message.startswith("layers 0–1: ")


def test_settings_of_single_modules_that_these_do_not_have() -> None:
    found = bad(judge({**DEFAULT, **OVERRIDES}, conversion(DEFAULT)))
    assert [(each.code, each.count) for each in found] == [
        ("quantization-bits", 1),
        ("quantization-bits", 1),
        ("foreign-mlx", 1),
    ]


def test_biases_that_are_missing_everywhere_are_one_finding() -> None:
    tensors = {n: each for n, each in conversion(DEFAULT).items() if not n.endswith(".biases")}
    assert codes(judge(DEFAULT, tensors)) == ["foreign-mlx", "quantization-settings"]


@pytest.mark.sample(7)
@pytest.mark.parametrize("name", sorted(conversion(DEFAULT)))
def test_each_tensor_that_is_missing_or_misshapen_is_found(name: str) -> None:
    tensors = conversion(DEFAULT)
    target = tensors.pop(name)
    # Without its scales a module is taken for one that is not packed.
    assert set(codes(judge(DEFAULT, tensors))) & {"tensor-missing", "tensor-shape"}
    tensors[name] = target._replace(shape=(3, *(target.shape or ())))
    assert codes(judge(DEFAULT, tensors)) == ["foreign-mlx", "tensor-shape"]


def test_an_override_for_a_module_that_is_not_packed() -> None:
    router = {"model.layers.1.mlp.gate": {"group_size": 32, "bits": 8}}
    found = codes(judge({**DEFAULT, **router}, conversion(DEFAULT)))
    assert found == ["foreign-mlx", "tensor-missing", "tensor-shape"]
    assert codes(judge({**DEFAULT, "model.layers.1.mlp.gate": False}, conversion(DEFAULT))) == [
        "foreign-mlx"
    ]


def test_a_tensor_that_no_module_has() -> None:
    tensors = conversion(DEFAULT)
    name = "model.layers.1.mlp.experts.0.up_proj.weight"
    tensors[name] = ExpectedTensor(name, (128, 256), ("BF16",), "required")
    assert codes(judge(DEFAULT, tensors)) == ["foreign-mlx", "tensor-unexpected"]


def test_settings_that_cannot_be_read_leave_packed_dimensions_open() -> None:
    damaged = {**DEFAULT, "bits": "4", "group_size": 0}
    assert codes(judge(damaged, conversion(DEFAULT))) == ["foreign-mlx"]
    for settings in ([1], {**DEFAULT, "mode": "mxfp4"}):
        found = codes(judge(settings, conversion(DEFAULT)))  # type: ignore[arg-type]
        assert found[0] == "foreign-mlx"


def test_a_layer_for_multi_token_prediction_is_dropped() -> None:
    config = {**tiny_config("bf16"), "num_nextn_predict_layers": 1, "quantization": DEFAULT}
    tensors = conversion(DEFAULT)
    validation = validate(memory_source(config, tensors=tensors.values()))
    assert codes(validation) == ["foreign-mlx"]


def test_a_config_of_another_architecture_judges_nothing() -> None:
    config = {**tiny_config("bf16"), "hidden_size": "x", "quantization": DEFAULT}
    validation = validate(memory_source(config, tensors=conversion(DEFAULT).values()))
    assert validation.coverage.judged == 0
    assert "foreign-mlx" in codes(validation)
