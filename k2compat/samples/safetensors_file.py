"""Headers of safetensors files, by hand.

The headers of a full-scale checkpoint describe a terabyte that is never written. The safetensors
library writes a header together with its data only, and chooses the order of the tensors itself.
Layout: https://github.com/huggingface/safetensors#format
"""

import json
import struct
from collections.abc import Iterable
from typing import Any

from k2compat.checkpoint import DTYPE_BITS, ExpectedTensor

_ALIGNMENT = 8


def stored_bytes(tensor: ExpectedTensor) -> int:
    """Bytes that a tensor takes in the first of its dtypes."""
    return tensor.elements * DTYPE_BITS[tensor.dtypes[0]] // 8


def header_bytes(tensors: Iterable[ExpectedTensor]) -> tuple[bytes, int]:
    """A file's header, its length included, and how many bytes of data follow it.

    Args:
        tensors: In the order of their data; each is stored in the first of its dtypes.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + stored_bytes(tensor)
        header[tensor.name] = {
            "dtype": tensor.dtypes[0],
            "shape": tensor.shape,
            "data_offsets": [begin, end],
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    return struct.pack("<Q", len(encoded)) + encoded, end
