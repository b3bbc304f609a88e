"""Reader of the header of a GGUF file: metadata and tensors, with every defect in one pass.

The layout is the GGUF specification's (versions 2 and 3, both byte orders). A defect is
anything that llama.cpp refuses when it opens the file, and a little more. The data of the
tensors is never read. The official reader, `gguf.GGUFReader`, takes seconds for the
vocabulary alone, does not report many defects and raises on others; this one always returns.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from k2compat.checkpoint.gguf_files.arrays import ByteOrder, GgufArray, GgufValue
from k2compat.checkpoint.gguf_files.cursor import CannotGoOnError, OutOfBytesError, Walk
from k2compat.checkpoint.gguf_files.joined import with_joined
from k2compat.checkpoint.gguf_files.layout import (
    DataSection,
    GgufTensor,
    TensorEntry,
    place_tensors,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, ReadableFile, open_file
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

__all__ = [
    "GgufArray",
    "GgufHeader",
    "GgufTensor",
    "GgufValue",
    "parse_gguf",
    "read_gguf",
    "read_gguf_from",
]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
ALIGNMENT_MIN = 8
"""The specification: a multiple of 8. llama.cpp: a power of two."""

HEADER_BYTES_MAX = 64 << 20
"""Kimi-K2's header takes 6 MB, most of it the vocabulary. Hostile ones cost seconds up to here."""

FIRST_BYTES = 1 << 20
GROWTH = 4
"""The header has no length field: a megabyte is read first, then four times as much each time."""

KEYS_MAX = 1 << 16
TENSORS_MAX = 1 << 17
"""Kimi-K2 has 1,096 tensors, and would have 70,000 with its experts one by one."""

DIMENSIONS_MAX = 4
DIMENSIONS_READ_MAX = 64
"""More than four are a defect; up to here they are still read, to find what follows."""

KEY_BYTES_MAX = 65_535
TENSOR_NAME_BYTES_MAX = 63
"""llama.cpp keeps 64 bytes for a name, the last one a NUL."""

_ALIGNMENT_KEY = "general.alignment"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header of a GGUF file, as far as it could be read.

    Attributes:
        path: The file, as it was named.
        version: 2 or 3; 0 where none could be read.
        byte_order: Of every number in the file.
        metadata: Key → value. Arrays stay bytes until iterated over. A repeated key has its
            first value.
        value_types: Key → name of the value's type ("uint32", "string", "array", …).
        tensors: In the order of the file; empty if the header could not be read so far.
        tensor_count: The number that the header gives.
        has_all_keys: Whether the metadata were read to their end, so that an absent key is really
            missing.
        alignment: Of tensor data, bytes.
        data_offset: First byte of the data section; 0 if it could not be found.
        file_size: Bytes.
        findings: Every defect, in the order found; empty if the file is sound.
        joined: How many files of a set `cat` has joined in this one; 1 for any other.
    """

    path: str
    version: int = 0
    byte_order: ByteOrder = "little"
    metadata: Mapping[str, GgufValue] = field(default_factory=dict)
    value_types: Mapping[str, str] = field(default_factory=dict)
    tensors: tuple[GgufTensor, ...] = ()
    tensor_count: int = 0
    has_all_keys: bool = False
    alignment: int = DEFAULT_ALIGNMENT
    data_offset: int = 0
    file_size: int = 0
    findings: tuple[Finding, ...] = ()
    joined: int = 1

    @property
    def is_importance_matrix(self) -> bool:
        """Whether the file is one: llama-imatrix writes a type, and no architecture."""
        return self.metadata.get("general.type") == "imatrix"


Then = Callable[[ReadableFile, GgufHeader], object]


def read_gguf(path: Path) -> GgufHeader:
    """Read the header of a GGUF file, and nothing after it.

    Never raises for a file on disk and never waits: an absent, unreadable, damaged or
    special file (a FIFO, a directory, a Git-LFS pointer) gives a header with findings.
    Memory and time are bounded by `HEADER_BYTES_MAX` and the counts above.
    """
    return read_gguf_from(open_file(path), str(path))


def read_gguf_from(
    opening: AbstractContextManager[ReadableFile], path: str, then: Then | None = None
) -> GgufHeader:
    """The same for a file from anywhere.

    Args:
        opening: Opens the file, or refuses to.
        path: Names the file where it cannot be opened.
        then: Called with the file while it is open, and with its header.
    """
    try:
        with opening as file:
            header = with_joined(file, _read_growing(file), _read_growing)
            if then is not None:
                then(file, header)
            return header
    except FileRefusedError as refusal:
        return GgufHeader(path, findings=(refusal.finding,))


def _read_growing(file: ReadableFile) -> GgufHeader:
    length = FIRST_BYTES
    while True:
        prefix = file.read(0, length)
        # A file that shrinks while it is read has the size that could be read.
        size = file.size if len(prefix) == min(length, file.size) else len(prefix)
        header = parse_gguf(prefix, path=str(file.path), file_size=size)
        if header is not None:
            return header
        length *= GROWTH


def parse_gguf(prefix: bytes, *, path: str, file_size: int) -> GgufHeader | None:
    """Parse a header from the first bytes of a file, on disk or fetched from elsewhere.

    Args:
        prefix: The file's first bytes, as many as are at hand.
        path: Names the file in findings.
        file_size: Bytes of the whole file.

    Returns:
        The header; None if it goes on after `prefix` and the file does, too. Once
        `prefix` has all of the file's bytes, or `HEADER_BYTES_MAX`, never None.
    """
    capacity = min(file_size, HEADER_BYTES_MAX)
    parser = _Parser(prefix[:capacity], path, file_size, capacity)
    try:
        parser.parse()
    except CannotGoOnError:
        pass
    except OutOfBytesError:
        if len(prefix) < capacity:
            return None
        parser.report_out_of_bytes()
    return parser.header()


class _Parser:
    """One pass over a header, which keeps what was read if it has to stop."""

    def __init__(self, data: bytes, path: str, file_size: int, capacity: int) -> None:
        self._data = data
        self._path = path
        self._file_size = file_size
        self._capacity = capacity
        self._defects = FileFindings(path)
        self._walk = Walk(data, capacity, HEADER_BYTES_MAX, "little", self._defects)
        self._version = 0
        self._metadata: dict[str, GgufValue] = {}
        self._value_types: dict[str, str] = {}
        self._tensors: tuple[GgufTensor, ...] = ()
        self._tensor_count = 0
        self._has_all_keys = False
        self._alignment = DEFAULT_ALIGNMENT
        self._data_offset = 0

    def header(self) -> GgufHeader:
        """Everything read so far, with the findings."""
        return GgufHeader(
            path=self._path,
            version=self._version,
            byte_order=self._walk.byte_order,
            metadata=self._metadata,
            value_types=self._value_types,
            tensors=self._tensors,
            tensor_count=self._tensor_count,
            has_all_keys=self._has_all_keys,
            alignment=self._alignment,
            data_offset=self._data_offset,
            file_size=self._file_size,
            findings=self._defects.findings(),
        )

    def parse(self) -> None:
        """Read all of it.

        Raises:
            OutOfBytesError: The header continues after the bytes at hand.
            CannotGoOnError: The rest cannot be read; a finding gives the reason.
        """
        self._read_magic()
        self._read_version()
        self._tensor_count = self._walk.uint64()
        key_count = self._walk.uint64()
        tensors_fit = self._is_possible("tensors", self._tensor_count, TENSORS_MAX)
        if not self._is_possible("keys", key_count, KEYS_MAX):
            raise CannotGoOnError
        for index in range(key_count):
            self._read_key(index)
        self._has_all_keys = True
        self._read_alignment()
        if not tensors_fit:
            raise CannotGoOnError
        self._read_tensors()

    def report_out_of_bytes(self) -> None:
        """Report that the header does not end before the file's end or the limit."""
        if self._capacity < self._file_size:
            self._defects.add(
                "gguf-header-size",
                f"the header is longer than {HEADER_BYTES_MAX:,} bytes; the rest was not read",
                at=self._walk.at(),
            )
            return
        self._defects.add(
            "gguf-header-truncated",
            "the file is cut off: it ends inside its header",
            at=self._walk.at(),
            expected=f"more than {counted(self._file_size, 'byte')}",
            actual=counted(self._file_size, "byte"),
        )

    def _read_magic(self) -> None:
        magic = self._data[: len(MAGIC)]
        # Two or three bytes can already be wrong; a prefix may still get more bytes.
        all_there = len(magic) == min(len(MAGIC), self._capacity)
        if all_there and not MAGIC.startswith(magic):
            self._defects.add(
                "gguf-magic",
                "the file does not begin as a GGUF file does",
                at="byte 0",
                expected=repr(MAGIC),
                actual=repr(magic),
            )
            raise CannotGoOnError
        self._walk.skip(len(MAGIC))

    def _read_version(self) -> None:
        at = self._walk.at()
        version = self._walk.uint32()
        # A small number whose low half is zero was written in the other byte order.
        if version and not version & 0xFFFF:
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
            self._walk = self._walk.in_order("big")
            self._defects.add(
                "gguf-byte-order", "the file is big-endian", at=at, expected="little", actual="big"
            )
        self._version = version
        if version not in VERSIONS:
            self._defects.add(
                "gguf-version",
                f"the file is GGUF version {version}, which cannot be read",
                at=at,
                expected=" or ".join(map(str, VERSIONS)),
                actual=version,
            )
            raise CannotGoOnError

    def _is_possible(self, things: str, count: int, most: int) -> bool:
        """Whether a header can have so many keys or tensors; a finding if not.

        With a count within the limit that the file cannot hold, the file was cut off.
        """
        if count > most:
            self._defects.add(
                "gguf-count",
                f"the header claims {count:,} {things}, more than any file has",
                at="header",
                expected=f"at most {most:,}",
                actual=f"{count:,}",
            )
        return count <= most

    def _read_key(self, index: int) -> None:
        walk = self._walk
        walk.place = f"key {index}"
        key = self._name(walk.string(), KEY_BYTES_MAX)
        walk.place = f"key {shortened(key)}"
        value_type = walk.value_type()
        value = walk.value(value_type)
        if key in self._metadata:
            self._defects.add("gguf-key-duplicate", "the key stands here twice", at=walk.place)
            return
        self._metadata[key] = value
        self._value_types[key] = value_type.name

    def _read_alignment(self) -> None:
        value_type = self._value_types.get(_ALIGNMENT_KEY)
        if value_type is None:
            return
        alignment = self._metadata[_ALIGNMENT_KEY]
        if value_type == "uint32" and isinstance(alignment, int) and _is_alignment(alignment):
            self._alignment = alignment
            return
        self._defects.add(
            "gguf-alignment",
            f"the alignment is not usable; read on with {DEFAULT_ALIGNMENT}",
            at=f"key {_ALIGNMENT_KEY}",
            expected=f"uint32, a power of two, at least {ALIGNMENT_MIN}",
            actual=f"{value_type} {alignment}",
        )

    def _read_tensors(self) -> None:
        seen: set[str] = set()
        entries: list[TensorEntry] = []
        for index in range(self._tensor_count):
            entry = self._read_entry(index)
            if entry.name in seen:
                message = "another tensor has the same name"
                self._defects.add("gguf-tensor-duplicate", message, at=self._walk.place)
            seen.add(entry.name)
            entries.append(entry)
        end = self._walk.position
        self._data_offset = end + -end % self._alignment
        section = DataSection(self._data_offset, self._alignment, self._file_size)
        self._tensors = place_tensors(entries, section, self._defects)

    def _read_entry(self, index: int) -> TensorEntry:
        walk = self._walk
        walk.place = f"tensor {index}"
        name = self._name(walk.string(), TENSOR_NAME_BYTES_MAX)
        walk.place = f"tensor {shortened(name)}"
        at = walk.at()
        dimension_count = walk.uint32()
        if dimension_count > DIMENSIONS_MAX:
            self._defects.add(
                "gguf-tensor-dimensions",
                f"the tensor has {counted(dimension_count, 'dimension')}",
                at=at,
                expected=f"at most {DIMENSIONS_MAX}",
                actual=f"{dimension_count:,}",
            )
        if dimension_count > DIMENSIONS_READ_MAX:
            raise CannotGoOnError
        dimensions = tuple(walk.uint64() for _ in range(dimension_count))
        return TensorEntry(name, dimensions, type_id=walk.uint32(), offset=walk.uint64())

    def _name(self, raw: bytes, most: int) -> str:
        """Decode a key's or a tensor's name; its faults become findings."""
        place = self._walk.place
        if not 0 < len(raw) <= most:
            self._defects.add(
                "gguf-name-length",
                f"the name takes {counted(len(raw), 'byte')}",
                at=place,
                expected=f"1 to {most:,}",
                actual=f"{len(raw):,}",
            )
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            # Unlike U+FFFD, escapes keep two different broken names apart.
            name = raw.decode("utf-8", "backslashreplace")
            self._defects.add("gguf-name-utf8", "the name is not UTF-8", at=place, actual=repr(raw))
        if not name.isprintable():
            self._defects.add(
                "gguf-name-control",
                f"the name has characters that do not print: {shortened(name)}",
                at=place,
                actual=name,
            )
        return name


def _is_alignment(number: int) -> bool:
    return number >= ALIGNMENT_MIN and number.bit_count() == 1
