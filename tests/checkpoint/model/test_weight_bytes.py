"""The bytes that an engine loads, against the sum over every single tensor."""

from collections.abc import Mapping
from typing import Any

import pytest

from k2compat.checkpoint import expected_tensors, loaded_bytes
from k2compat.errors import RefusedError
from tests.support.configs import config_values

DTYPE_BYTES = {"BF16": 2, "F8_E4M3": 1, "F32": 4, "I32": 4}


def one_by_one(config: Mapping[str, Any]) -> tuple[int, int, int]:
    needed = [tensor for tensor in expected_tensors(config) if tensor.kind == "required"]
    sizes = {tensor.name: tensor.elements * DTYPE_BYTES[tensor.dtypes[0]] for tensor in needed}
    routed = [size for name, size in sizes.items() if ".mlp.experts." in name]
    return sum(routed), sum(sizes.values()) - sum(routed), len(routed)


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "repo",
    [
        "moonshotai/Kimi-K2-Instruct",
        "moonshotai/Kimi-K2-Thinking",
        "moonshotai/Kimi-K2.5",
        "deepseek-ai/DeepSeek-V3",
    ],
)
def test_the_sums_are_those_of_every_single_tensor(repo: str) -> None:
    config = config_values(repo)
    assert loaded_bytes(config) == one_by_one(config)


def test_an_unknown_quantisation_has_no_sums() -> None:
    config = config_values("moonshotai/Kimi-K2-Instruct")
    assert loaded_bytes(config | {"quantization_config": {"quant_method": "awq"}}) is None


def test_a_config_of_another_architecture_is_refused() -> None:
    with pytest.raises(RefusedError):
        loaded_bytes({"model_type": "llama"})
