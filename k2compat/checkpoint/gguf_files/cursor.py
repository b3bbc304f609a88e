"""A walk over the bytes of a GGUF header: numbers, strings, arrays, with every length checked.

No count or length of the file is trusted: it is compared with the largest header and with the
bytes at hand before memory is allocated for it.
"""

import struct
from typing import NoReturn

from k2compat.checkpoint.gguf_files.arrays import STRUCT_PREFIX, ByteOrder, GgufArray, GgufValue
from k2compat.checkpoint.gguf_files.types import VALUE_TYPES, ValueType
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import counted, shortened

ARRAY_DEPTH_MAX = 8
"""Arrays inside arrays; no known file has any."""

NESTED_ARRAYS_MAX = 1 << 16
"""Arrays inside arrays in one file: each costs a step, and an empty one only 12 bytes."""

_LENGTH_BYTES = 8


class OutOfBytesError(Exception):
    """The header continues after the bytes at hand."""


class CannotGoOnError(Exception):
    """The rest of the header cannot be read; a finding gives the reason."""


class Walk:
    """A position in the bytes of a header.

    Attributes:
        position: Of the next byte to read.
        place: What is being read ("key general.name"), for findings.
    """

    def __init__(
        self,
        data: bytes,
        capacity: int,
        most: int,
        byte_order: ByteOrder,
        defects: FileFindings,
        position: int = 0,
    ) -> None:
        """Begin a walk.

        Args:
            data: The file's first bytes, as many as are at hand.
            capacity: How many bytes the header can take in this file.
            most: How many bytes any header takes at most; counts and lengths beyond it are wrong.
                With a smaller length that exceeds `data`, the file was cut off.
            byte_order: Of every number.
            defects: Takes the findings.
            position: Where to begin.
        """
        self.position = position
        self.place = "header"
        self.byte_order = byte_order
        self._data = data
        self._capacity = capacity
        self._most = most
        self._defects = defects
        self._nested_arrays = 0
        prefix = STRUCT_PREFIX[byte_order]
        self._uint32 = struct.Struct(f"{prefix}I")
        self._uint64 = struct.Struct(f"{prefix}Q")
        self._scalars = {
            value_type.name: struct.Struct(prefix + value_type.code)
            for value_type in VALUE_TYPES.values()
            if value_type.code
        }

    def in_order(self, byte_order: ByteOrder) -> "Walk":
        """The walk from here on with another byte order."""
        return Walk(
            self._data, self._capacity, self._most, byte_order, self._defects, self.position
        )

    def skip(self, length: int) -> None:
        """Skip bytes without reading them."""
        self._take(length)

    def uint32(self) -> int:
        """The next four bytes as a number."""
        return int(self._uint32.unpack_from(self._data, self._take(4))[0])

    def uint64(self) -> int:
        """The next eight bytes as a number."""
        return int(self._uint64.unpack_from(self._data, self._take(8))[0])

    def string(self) -> bytes:
        """The next string, undecoded."""
        at = self.at()
        length = self.uint64()
        if length > self._most:
            self._defects.add(
                "gguf-length",
                f"a string claims {counted(length, 'byte')}, more than a header can hold",
                at=at,
                expected=f"at most {self._most:,}",
                actual=f"{length:,}",
            )
            raise CannotGoOnError
        start = self._take(length)
        return self._data[start : start + length]

    def value_type(self) -> ValueType:
        """The next type of a metadata value."""
        at = self.at()
        type_id = self.uint32()
        if type_id not in VALUE_TYPES:
            self._defects.add(
                "gguf-value-type",
                f"unknown type {type_id} of a value; what follows cannot be read",
                at=at,
                expected=f"0 to {max(VALUE_TYPES)}",
                actual=type_id,
            )
            raise CannotGoOnError
        return VALUE_TYPES[type_id]

    def value(self, value_type: ValueType) -> GgufValue:
        """The next value: a number, a decoded string or an array left as bytes."""
        if value_type.name == "string":
            return self._text()
        if value_type.name == "array":
            return self._array()
        start = self._take(value_type.size)
        if value_type.name == "bool":
            self._check_bools(self._data[start : start + 1])
        number: int | float | bool
        (number,) = self._scalars[value_type.name].unpack_from(self._data, start)
        return number

    def at(self) -> str:
        """The place of the next byte, as findings name it."""
        return f"{self.place} (byte {self.position})"

    def _take(self, length: int) -> int:
        start = self.position
        if start + length > len(self._data):
            raise OutOfBytesError
        self.position = start + length
        return start

    def _text(self) -> str:
        at = self.at()
        raw = self.string()
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self._defects.add(
                "gguf-value-utf8",
                f"the text is not UTF-8 at its byte {error.start}",
                at=at,
                actual=shortened(repr(raw[error.start : error.end])),
            )
        return raw.decode("utf-8", "replace")

    def _array(self) -> GgufArray:
        element_type, count = self._array_head()
        start = self.position
        self._skip_elements(element_type, count, depth=1)
        data = self._data[start : self.position]
        if element_type.name == "bool":
            self._check_bools(data)
        return GgufArray(element_type.name, count, start, self.position, self.byte_order, data)

    def _array_head(self) -> tuple[ValueType, int]:
        at = self.at()
        element_type = self.value_type()
        count = self.uint64()
        if count * element_type.size > self._most:
            self._defects.add(
                "gguf-count",
                f"an array claims {counted(count, 'element')} of type {element_type.name},"
                " more than a header can hold",
                at=at,
                expected=f"at most {self._most // element_type.size:,}",
                actual=f"{count:,}",
            )
            raise CannotGoOnError
        return element_type, count

    def _skip_elements(self, element_type: ValueType, count: int, depth: int) -> None:
        if element_type.name == "string":
            self._skip_strings(count)
        elif element_type.name == "array":
            self._skip_arrays(count, depth)
        else:
            self._take(count * element_type.size)

    def _skip_strings(self, count: int) -> None:
        # Nearly all of a header's time is spent in this loop. A string past the end needs
        # no test of its own: the next length is then read past the end, and that fails.
        length_at, data, position = self._uint64.unpack_from, self._data, self.position
        try:
            for _ in range(count):
                position += _LENGTH_BYTES + length_at(data, position)[0]
        except (struct.error, OverflowError):
            self._strings_past_the_end(position)
        if position > len(data):
            self._strings_past_the_end(position)
        self.position = position

    def _strings_past_the_end(self, end: int) -> NoReturn:
        """Tell bytes that are not at hand from a length that lies, which wants naming."""
        # Past the file's end, reading one of these strings raises an error with its place.
        while end > self._capacity:
            self.string()
        self.position = end
        raise OutOfBytesError

    def _skip_arrays(self, count: int, depth: int) -> None:
        at = self.at()
        self._nested_arrays += count
        if depth >= ARRAY_DEPTH_MAX or self._nested_arrays > NESTED_ARRAYS_MAX:
            self._defects.add(
                "gguf-array-depth",
                "arrays inside arrays, too deep or too many to follow",
                at=at,
                expected=f"at most {ARRAY_DEPTH_MAX} levels, {NESTED_ARRAYS_MAX:,} arrays",
                actual=f"{counted(depth + 1, 'level')}, {counted(self._nested_arrays, 'array')}",
            )
            raise CannotGoOnError
        if depth == 1:
            self._defects.add("gguf-array-nested", "an array of arrays", at=at)
        for _ in range(count):
            self._skip_elements(*self._array_head(), depth + 1)

    def _check_bools(self, data: bytes) -> None:
        wrong = data.translate(None, b"\x00\x01")
        if wrong:
            self._defects.add(
                "gguf-bool",
                "a bool is neither 0 nor 1",
                at=self.place,
                count=len(wrong),
                expected="0 or 1",
                actual=wrong[0],
            )
