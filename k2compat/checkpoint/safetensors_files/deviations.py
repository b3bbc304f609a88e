"""Deviations of tensors from the config: one value for each such tensor."""

from enum import StrEnum
from typing import NamedTuple


class Deviation(StrEnum):
    """The kinds of deviation, by the codes of their findings."""

    MISSING = "tensor-missing"
    SCALE_MISSING = "tensor-scale-missing"
    UNEXPECTED = "tensor-unexpected"
    SHAPE = "tensor-shape"
    TRANSPOSED = "tensor-transposed"
    SCALE_SHAPE = "tensor-scale-shape"
    DTYPE = "tensor-dtype"
    PRECISION = "tensor-precision"
    DUPLICATE = "tensor-duplicate"
    QUANTISED = "module-quantised"
    NOT_QUANTISED = "module-not-quantised"
    SCHEME = "quantization-scheme"
    BITS = "quantization-bits"
    GROUP_SIZE = "quantization-group-size"
    SYMMETRY = "quantization-symmetry"
    SETTINGS = "quantization-settings"
    UNSURE = "quantization-unconfirmed"


class TensorDeviation(NamedTuple):
    """A tensor that is not as expected.

    Attributes:
        deviation: The kind of deviation.
        name: The whole name.
        layer: The number of its layer, None outside any.
        part: The word for such tensors in messages; "" for one that no rule describes.
        shard: The file that holds it, or None.
        expected: The expected shape or dtype, as text.
        actual: The stored one.
        dtype: The dtype of the tensor.
        shape: The shape of the tensor.
    """

    deviation: Deviation
    name: str
    layer: int | None
    part: str
    shard: str | None
    expected: str = ""
    actual: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
