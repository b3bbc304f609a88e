"""Arrays of GGUF metadata, kept as bytes until an element is used."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from k2compat.checkpoint.gguf_files.types import VALUE_TYPES

ByteOrder: TypeAlias = Literal["little", "big"]
GgufValue: TypeAlias = "int | float | bool | str | GgufArray"

STRUCT_PREFIX: dict[ByteOrder, str] = {"little": "<", "big": ">"}

_TYPES_BY_NAME = {value_type.name: value_type for value_type in VALUE_TYPES.values()}


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array value. Each iteration decodes its elements again, one by one.

    A vocabulary has 163,840 entries. As Python strings they would take more time and memory than
    the whole rest of the header, and most callers only count them.

    Attributes:
        element_type: Name of the elements' type as in `VALUE_TYPES` ("string", "int32", …).
        count: Number of elements.
        start: First byte of the elements in the file (past the type and the count).
        end: The byte after the last.
        byte_order: Of the numbers inside.
        data: The bytes from `start` to `end`.
    """

    element_type: str
    count: int
    start: int
    end: int
    byte_order: ByteOrder
    data: bytes = field(repr=False)

    def __len__(self) -> int:
        """Number of elements."""
        return self.count

    def __iter__(self) -> Iterator[GgufValue]:
        """The elements in order. Bytes of a string that are not UTF-8 come as U+FFFD."""
        if self.element_type == "string":
            return self._strings()
        if self.element_type == "array":
            return self._arrays()
        return self._numbers()

    def _numbers(self) -> Iterator[GgufValue]:
        code = _TYPES_BY_NAME[self.element_type].code
        for (number,) in struct.iter_unpack(f"{STRUCT_PREFIX[self.byte_order]}{code}", self.data):
            yield number

    def number_at(self, place: int) -> int | float:
        """One element of an array of numbers, without decoding the others."""
        code = f"{STRUCT_PREFIX[self.byte_order]}{_TYPES_BY_NAME[self.element_type].code}"
        number: int | float = struct.unpack_from(code, self.data, place * struct.calcsize(code))[0]
        return number

    def raw_strings(self) -> Iterator[bytes]:
        """The elements of an array of strings, undecoded."""
        length_at = struct.Struct(STRUCT_PREFIX[self.byte_order] + "Q").unpack_from
        data, position = self.data, 0
        for _ in range(self.count):
            start = position + 8
            position = start + length_at(data, position)[0]
            yield data[start:position]

    def _strings(self) -> Iterator[GgufValue]:
        for raw in self.raw_strings():
            yield raw.decode("utf-8", "replace")

    def _arrays(self) -> Iterator[GgufValue]:
        position = 0
        for _ in range(self.count):
            element, position = self._array_at(position)
            yield element

    def _array_at(self, position: int) -> tuple["GgufArray", int]:
        """The nested array whose type and count are at `position`, and where it ends."""
        prefix = STRUCT_PREFIX[self.byte_order]
        type_id, count = struct.unpack_from(f"{prefix}IQ", self.data, position)
        start = position + 12
        end = _end_of_elements(self.data, start, type_id, count, prefix)
        nested = GgufArray(
            VALUE_TYPES[type_id].name,
            count,
            self.start + start,
            self.start + end,
            self.byte_order,
            self.data[start:end],
        )
        return nested, end


def _end_of_elements(data: bytes, position: int, type_id: int, count: int, prefix: str) -> int:
    """Where elements end; their lengths and types were checked when the file was read."""
    value_type = VALUE_TYPES[type_id]
    if value_type.code:
        return position + count * value_type.size
    for _ in range(count):
        if value_type.name == "string":
            position += 8 + struct.unpack_from(f"{prefix}Q", data, position)[0]
        else:
            inner_type, inner_count = struct.unpack_from(f"{prefix}IQ", data, position)
            position = _end_of_elements(data, position + 12, inner_type, inner_count, prefix)
    return position
