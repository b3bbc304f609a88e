"""Bytes that make a number NaN or infinite: held against numpy's and gguf's reading of them."""

from typing import Literal

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint.gguf_files.types import TENSOR_TYPES
from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.sampling.float_layouts import LAYOUTS, OPAQUE, negative, not_finite

BLOCKS = sorted(
    type_.name
    for type_ in TENSOR_TYPES.values()
    if type_.name in LAYOUTS and type_.block_elements > 1
)
NUMPY = {"F16": "f2", "F32": "f4", "F64": "f8"}


def test_blocks_are_as_long_as_the_types_say() -> None:
    ggml = {type_.name: type_.block_bytes for type_ in TENSOR_TYPES.values()}
    for dtype, layout in LAYOUTS.items():
        assert layout.block_bytes == ggml.get(dtype, DTYPE_BITS.get(dtype, 0) // 8), dtype


@pytest.mark.parametrize("dtype", sorted(NUMPY))
@pytest.mark.parametrize("byte_order", ["little", "big"])
@given(data=st.binary(min_size=64, max_size=64))
def test_plain_numbers_are_judged_as_numpy_does(
    dtype: str, byte_order: Literal["little", "big"], data: bytes
) -> None:
    # Random bytes are seldom NaN; these are often.
    for body in (data, bytes(byte | 0x7C for byte in data), data.replace(b"\0", b"\xff")):
        code = ("<" if byte_order == "little" else ">") + NUMPY[dtype]
        expected = np.count_nonzero(~np.isfinite(np.frombuffer(body, dtype=code)))
        assert not_finite(body, LAYOUTS[dtype], byte_order) == expected


@given(data=st.binary(min_size=64, max_size=64))
def test_bf16_is_the_upper_half_of_f32(data: bytes) -> None:
    for body in (data, bytes(byte | 0x7C for byte in data)):
        wide = b"".join(b"\0\0" + body[at : at + 2] for at in range(0, len(body), 2))
        expected = not_finite(wide, LAYOUTS["F32"])
        assert not_finite(body, LAYOUTS["BF16"]) == expected
        assert negative(body, LAYOUTS["BF16"]) == negative(wide, LAYOUTS["F32"])


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        ("F8_E4M3", {0x7F, 0xFF}),
        ("F8_E5M2", {0x7C, 0x7D, 0x7E, 0x7F, 0xFC, 0xFD, 0xFE, 0xFF}),
        ("F8_E8M0", {0xFF}),
        ("F8_E4M3FNUZ", {0x80}),
        ("F8_E5M2FNUZ", {0x80}),
    ],
)
def test_numbers_of_eight_bits(dtype: str, numbers: set[int]) -> None:
    layout = LAYOUTS[dtype]
    assert {byte for byte in range(256) if not_finite(bytes([byte]), layout)} == numbers


@pytest.mark.parametrize("dtype", BLOCKS)
@pytest.mark.parametrize("block", [0, 2])
def test_a_block_s_scale_is_where_gguf_reads_it(dtype: str, block: int) -> None:
    layout = LAYOUTS[dtype]
    plain = bytearray(b"\x11" * layout.block_bytes * 3)
    type_ = gguf.GGMLQuantizationType[dtype]

    def read(body: bytes) -> np.ndarray:
        with np.errstate(all="ignore"):
            return dequantize(np.frombuffer(body, dtype=np.uint8).reshape(3, -1), type_)

    assert not_finite(bytes(plain), layout) == 0
    assert np.isfinite(read(bytes(plain))).all()
    for field in layout.fields:
        damaged = bytearray(plain)
        at = block * layout.block_bytes + field.offset
        damaged[at : at + field.kind.width] = b"\xff" * field.kind.width
        assert not_finite(bytes(damaged), layout) == 1
        finite = np.isfinite(read(bytes(damaged)))
        # gguf reads E8M0 without a NaN; there, at least no other block may move.
        assert dtype == "MXFP4" or not finite[block].any()
        assert finite[[row for row in range(3) if row != block]].all()


def test_what_is_not_looked_into_holds_nothing() -> None:
    assert not_finite(b"\xff" * 64, OPAQUE) == 0


@given(values=st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_the_sign_is_counted(values: list[float]) -> None:
    numbers = np.array(values, dtype="<f4")
    assert negative(numbers.tobytes(), LAYOUTS["F32"]) == np.count_nonzero(np.signbit(numbers))
