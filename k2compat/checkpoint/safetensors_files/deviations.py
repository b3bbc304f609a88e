"""How a tensor is not as the config gives it: one value for each such tensor."""

from enum import StrEnum
from typing import NamedTuple


class Deviation(StrEnum):
    """How a tensor is not as expected; the codes of the findings."""

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
        deviation: In which way.
        name: Whole.
        layer: The number of its layer, None outside any.
        part: What a person calls such tensors; "" for one that no rule describes.
        shard: The file it is in, or None.
        expected: Shape or dtype, as text.
        actual: The same.
        dtype: Of the tensor.
        shape: Of the tensor.
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
