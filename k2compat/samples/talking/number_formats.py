"""Numbers as engines store them: BF16, FP8 E4M3 with a scale for each block, and F32."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

BLOCK: Final = 128
"""Rows and columns that share a scale: weight_block_size of Kimi-K2's config."""

_EXPONENTS: Final = 5


def bfloat16(values: "Array") -> "NDArray[np.uint16]":
    """The nearest BF16 numbers, ties to even, as their bits."""
    import numpy as np

    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.asarray(rounded, np.uint16)


def block_scales(shape: tuple[int, ...]) -> "Array":
    """A scale for each block of a matrix, a power of two.

    Neighbours differ, so that an engine that reads them in a wrong order, or not at all,
    computes other weights.
    """
    import numpy as np

    rows, columns = (-(-size // BLOCK) for size in shape)
    exponents = np.add.outer(np.arange(rows), 2 * np.arange(columns)) % _EXPONENTS
    scales: Array = np.exp2(-exponents).astype(np.float32)
    return scales


def float8(values: "Array", scales: "Array") -> "NDArray[np.uint8]":
    """FP8 E4M3 numbers that times their block's scale are the values, as their bits.

    Raises:
        ValueError: Some value is no product of such a number and the scale.
    """
    import numpy as np

    table = _float8_values()
    stored = values / spread(scales, values.shape)
    codes = np.searchsorted(table, np.abs(stored)).clip(max=len(table) - 1)
    if not np.array_equal(table[codes], np.abs(stored)):
        raise ValueError("a weight needs more bits than FP8 has")
    signed: NDArray[np.uint8] = (codes | np.signbit(stored) << 7).astype(np.uint8)
    return signed


def spread(scales: "Array", shape: tuple[int, ...]) -> "Array":
    """Each block's scale at every place of the block."""
    rows, columns = shape
    return scales.repeat(BLOCK, 0)[:rows].repeat(BLOCK, 1)[:, :columns]


def _float8_values() -> "Array":
    """The 127 numbers that are not negative, by their bits; they ascend."""
    import numpy as np

    codes = np.arange(0x7F)
    exponent, fraction = codes >> 3, codes & 7
    # Exponent 0 has no leading one.
    numbers = np.where(exponent, fraction + 8, fraction) * np.exp2(np.maximum(exponent, 1) - 10.0)
    table: Array = numbers.astype(np.float32)
    return table
