"""The types a GGUF file can name, as tables.

Sources: the GGUF specification (metadata value types) and ggml's type table
(tensor types, block sizes). The `gguf` package holds the same tensor table, but
importing it costs 150 ms and numpy, more than reading a whole header; a test
compares the two.
"""

from typing import NamedTuple


class ValueType(NamedTuple):
    """A type of metadata value. `code` is its letter in `struct`, None without a fixed size."""

    name: str
    code: str | None
    size: int
    """Bytes of one value; for a string or an array, the smallest number."""


class TensorType(NamedTuple):
    """A type of tensor data: each block of `block_elements` takes `block_bytes` bytes.

    Attributes:
        has_row_scale: Whether each row takes some more bytes, whose number is not known here.
    """

    name: str
    block_elements: int
    block_bytes: int
    has_row_scale: bool = False


VALUE_TYPES = {
    0: ValueType("uint8", "B", 1),
    1: ValueType("int8", "b", 1),
    2: ValueType("uint16", "H", 2),
    3: ValueType("int16", "h", 2),
    4: ValueType("uint32", "I", 4),
    5: ValueType("int32", "i", 4),
    6: ValueType("float32", "f", 4),
    7: ValueType("bool", "?", 1),
    8: ValueType("string", None, 8),  # its length
    9: ValueType("array", None, 12),  # its element type and its count
    10: ValueType("uint64", "Q", 8),
    11: ValueType("int64", "q", 8),
    12: ValueType("float64", "d", 8),
}

TENSOR_TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}

IK_TENSOR_TYPES = {
    133: TensorType("Q6_0", 32, 26),
    137: TensorType("IQ2_K", 256, 76),
    138: TensorType("IQ3_K", 256, 110),
    139: TensorType("IQ4_K", 256, 144),
    140: TensorType("IQ5_K", 256, 176),
    141: TensorType("IQ6_K", 256, 212),
    144: TensorType("IQ4_KS", 256, 136, True),
    145: TensorType("IQ2_KS", 256, 70, True),
    146: TensorType("IQ4_KSS", 256, 128, True),
    152: TensorType("IQ5_KS", 256, 168, True),
    153: TensorType("IQ2_KT", 256, 68, True),
    154: TensorType("IQ3_KT", 256, 100, True),
    155: TensorType("IQ4_KT", 256, 128, True),
    156: TensorType("IQ3_KS", 256, 102, True),
    157: TensorType("IQ2_KL", 256, 86, True),
    158: TensorType("IQ1_KT", 256, 56, True),
    202: TensorType("Q4_0_R8", 32, 18),
    208: TensorType("Q8_0_R8", 32, 34),
    210: TensorType("Q2_K_R4", 256, 84),
    211: TensorType("Q3_K_R4", 256, 110),
    212: TensorType("Q4_K_R4", 256, 144),
    213: TensorType("Q5_K_R4", 256, 176),
    214: TensorType("Q6_K_R4", 256, 210),
    216: TensorType("IQ2_XXS_R4", 256, 66),
    219: TensorType("IQ1_S_R4", 32, 6, True),
    223: TensorType("IQ4_XS_R8", 256, 136),
    229: TensorType("IQ1_M_R4", 32, 7, True),
    337: TensorType("IQ2_K_R4", 256, 76),
    338: TensorType("IQ3_K_R4", 256, 110),
    339: TensorType("IQ4_K_R4", 256, 144),
    340: TensorType("IQ5_K_R4", 256, 176),
    344: TensorType("IQ4_KS_R4", 256, 136, True),
    352: TensorType("IQ5_KS_R4", 256, 168, True),
}
"""Types that ik_llama.cpp alone reads (its gguf-py at commit 8337e4cd); llama.cpp 11549 refuses
them as invalid."""
