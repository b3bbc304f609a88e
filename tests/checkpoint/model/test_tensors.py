"""What a checkpoint should hold: the real figures, exactly, and the rules behind them."""

from typing import Any

import pytest

from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.model.tensors import ExpectedTensor, expected_tensors
from tests.support.configs import config_values


def values(repo: str) -> dict[str, Any]:
    return config_values(repo)


def size(tensor: ExpectedTensor) -> int:
    return tensor.elements * DTYPE_BITS[tensor.dtypes[0]] // 8


# Tensors, elements and bytes as the repos on the Hub have them; Kimi-K2-Instruct alone has the
# legacy inv_freq buffers.
@pytest.mark.parametrize(
    ("repo", "legacy", "tensors", "elements", "total_bytes"),
    [
        ("moonshotai/Kimi-K2-Instruct", True, 139_644, 1_026_470_731_056, 1_029_173_256_720),
        ("moonshotai/Kimi-K2-Thinking", False, 208_215, 170_267_038_208, 594_205_904_896),
        ("moonshotai/Kimi-K2.5", False, 208_550, 170_738_182_128, 595_148_192_736),
        ("deepseek-ai/DeepSeek-V3", False, 91_991, 684_531_386_000, 688_574_839_360),
        ("deepseek-ai/DeepSeek-R1", False, 91_991, 684_531_386_000, 688_574_839_360),
    ],
)
def test_the_figures_are_those_of_the_real_checkpoints(
    repo: str, legacy: bool, tensors: int, elements: int, total_bytes: int
) -> None:
    count = element_sum = byte_sum = 0
    for tensor in expected_tensors(values(repo)):
        if legacy or tensor.kind != "legacy":
            count += 1
            element_sum += tensor.elements
            byte_sum += size(tensor)
    assert (count, element_sum, byte_sum) == (tensors, elements, total_bytes)


def test_parameters_without_scales_and_buffers() -> None:
    tensors = expected_tensors(values("moonshotai/Kimi-K2-Instruct"))
    weights = (tensor for tensor in tensors if not tensor.name.endswith(("_scale_inv", "inv_freq")))
    assert sum(tensor.elements for tensor in weights) == 1_026_408_232_448
