"""Write GGUF bytes by hand, sound or with any defect: the official writer refuses to."""

import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

UINT8, UINT16, UINT32, INT32, BOOL, STRING, ARRAY = 0, 2, 4, 5, 7, 8, 9
F32, Q8_0 = 0, 8


class Tensor(NamedTuple):
    name: str | bytes
    dimensions: Sequence[int] = (8, 4)
    type_id: int = F32
    offset: int = 0


class Bytes:
    """Parts of a file in one byte order."""

    def __init__(self, order: Literal["<", ">"] = "<") -> None:
        self.order = order

    def uint32(self, *numbers: int) -> bytes:
        return struct.pack(f"{self.order}{len(numbers)}I", *numbers)

    def uint64(self, *numbers: int) -> bytes:
        return struct.pack(f"{self.order}{len(numbers)}Q", *numbers)

    def string(self, text: str | bytes) -> bytes:
        raw = text.encode() if isinstance(text, str) else text
        return self.uint64(len(raw)) + raw

    def key(self, name: str | bytes, type_id: int, value: bytes) -> bytes:
        return self.string(name) + self.uint32(type_id) + value

    def array(self, type_id: int, count: int, elements: bytes = b"") -> bytes:
        return self.uint32(type_id) + self.uint64(count) + elements

    def tensor(self, tensor: Tensor) -> bytes:
        return (
            self.string(tensor.name)
            + self.uint32(len(tensor.dimensions))
            + self.uint64(*tensor.dimensions)
            + self.uint32(tensor.type_id)
            + self.uint64(tensor.offset)
        )

    def file(
        self,
        keys: Sequence[bytes] = (),
        tensors: Sequence[Tensor] = (),
        data: int = 0,
        *,
        version: int = 3,
        key_count: int | None = None,
        tensor_count: int | None = None,
        alignment: int = 32,
    ) -> bytes:
        """A whole file with `data` zero bytes after its padded header."""
        header = b"".join(
            [
                b"GGUF",
                self.uint32(version),
                self.uint64(len(tensors) if tensor_count is None else tensor_count),
                self.uint64(len(keys) if key_count is None else key_count),
                *keys,
                *map(self.tensor, tensors),
            ]
        )
        return header + bytes(-len(header) % alignment if tensors else 0) + bytes(data)
