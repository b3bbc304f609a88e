"""The places of numbers in a tensor's bytes, and the bytes that make them NaN or infinite.

Sources: the layouts of ggml's blocks (ggml-common.h), where llama.cpp's own check
(`ggml_validate_row_data`) reads the same places; IEEE 754; the OCP formats of 8 bits.
A test compares the blocks with the dequantisation of the `gguf` package.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple


class FloatKind(NamedTuple):
    """A format of numbers.

    A number is NaN or infinite if its highest byte is one of `highest`, and the byte below has
    all the bits of `below`. In the formats that have no infinity that is NaN alone.
    """

    width: int
    highest: bytes
    below: int = 0


class FloatField(NamedTuple):
    """A number at an offset in every block."""

    offset: int
    kind: FloatKind


class Layout(NamedTuple):
    """A dtype's blocks. A block of a plain dtype is one number."""

    block_bytes: int
    fields: tuple[FloatField, ...]


_F16: Final = FloatKind(2, bytes([0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF]))
_BF16: Final = FloatKind(2, b"\x7f\xff", 0x80)
_F32: Final = FloatKind(4, b"\x7f\xff", 0x80)
_F64: Final = FloatKind(8, b"\x7f\xff", 0xF0)
_E4M3: Final = FloatKind(1, b"\x7f\xff")
_E5M2: Final = FloatKind(1, _F16.highest)
_E8M0: Final = FloatKind(1, b"\xff")
_FNUZ: Final = FloatKind(1, b"\x80")

_PLAIN: Final = {
    "F16": _F16,
    "BF16": _BF16,
    "F32": _F32,
    "F64": _F64,
    "F8_E4M3": _E4M3,
    "F8_E5M2": _E5M2,
    "F8_E8M0": _E8M0,
    "F8_E4M3FNUZ": _FNUZ,
    "F8_E5M2FNUZ": _FNUZ,
}

# Bytes of a block, and where its scales (d, and dmin or m behind it) stand. Absent: IQ1_M, whose
# scale is spread over four numbers, and types that no file of weights has.
_F16_SCALES: Final[Mapping[str, tuple[int, Sequence[int]]]] = {
    "Q4_0": (18, [0]),
    "Q4_1": (20, [0, 2]),
    "Q5_0": (22, [0]),
    "Q5_1": (24, [0, 2]),
    "Q8_0": (34, [0]),
    "Q2_K": (84, [80, 82]),
    "Q3_K": (110, [108]),
    "Q4_K": (144, [0, 2]),
    "Q5_K": (176, [0, 2]),
    "Q6_K": (210, [208]),
    "IQ2_XXS": (66, [0]),
    "IQ2_XS": (74, [0]),
    "IQ2_S": (82, [0]),
    "IQ3_XXS": (98, [0]),
    "IQ3_S": (110, [0]),
    "IQ1_S": (50, [0]),
    "IQ4_NL": (18, [0]),
    "IQ4_XS": (136, [0]),
    "TQ1_0": (54, [52]),
    "TQ2_0": (66, [64]),
}

LAYOUTS: Final[Mapping[str, Layout]] = {
    **{dtype: Layout(kind.width, (FloatField(0, kind),)) for dtype, kind in _PLAIN.items()},
    **{
        dtype: Layout(size, tuple(FloatField(offset, _F16) for offset in offsets))
        for dtype, (size, offsets) in _F16_SCALES.items()
    },
    "MXFP4": Layout(17, (FloatField(0, _E8M0),)),
}
"""By dtype, with the names of safetensors and GGUF; a name in both means the same."""

OPAQUE: Final = Layout(1, ())
"""The layout of every other dtype: integers, and blocks that are not read."""

_POSITIVE: Final = bytes(range(0x80))


def not_finite(data: bytes, layout: Layout, byte_order: Literal["little", "big"] = "little") -> int:
    """How many numbers in whole blocks of data are NaN or infinite."""
    return sum(_count(data, layout.block_bytes, field, byte_order) for field in layout.fields)


def negative(data: bytes, layout: Layout) -> int:
    """How many little-endian numbers of a plain dtype have the sign bit set."""
    return len(data[layout.block_bytes - 1 :: layout.block_bytes].translate(None, _POSITIVE))


def _count(data: bytes, block_bytes: int, field: FloatField, byte_order: str) -> int:
    # Slices and translate run in C: a place takes microseconds, without numpy.
    offset, (width, suspects, mask) = field
    at, step = (offset + width - 1, -1) if byte_order == "little" else (offset, 1)
    highest = data[at::block_bytes]
    found = len(highest) - len(highest.translate(None, suspects))
    if not found or not mask:
        return found
    below = data[at + step :: block_bytes]
    return sum(
        high in suspects and low & mask == mask for high, low in zip(highest, below, strict=True)
    )
