"""Reader of the header of a safetensors file: metadata, tensors and every defect in one pass.

The format (https://huggingface.co/docs/safetensors): eight bytes with the header's
length, little-endian; the header, one JSON object, padded with spaces; the data, without
gaps. A defect is anything that the official reader refuses. Further defects are things that it
accepts but that cannot be intended: a tensor named twice, fields that no engine reads, names
with control characters. The data are never read.

There are two readers with equal results. One regular expression splits headers in the form of the
official writer, which are then judged column by column; this takes half the time of `json.loads`
and the checks after it. Any other header goes to the strict reader (`strict_entries.py`), which
finds and names every defect.

The module is not called `safetensors`, so that an import is never ambiguous.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import repeat
from math import prod
from operator import sub
from pathlib import Path
from typing import NamedTuple

from k2compat.checkpoint.model import DTYPE_BITS
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, ReadableFile, open_file
from k2compat.findings import Finding
from k2compat.printable import counted

METADATA_KEY = "__metadata__"

NUMBER_MAX = (1 << 64) - 1
"""Readers count in unsigned 64-bit numbers and refuse larger values."""

_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_ENTRY = re.compile(
    rf'":\{{"dtype":"([A-Z0-9_]+)","shape":\[((?:{_NUMBER}(?:,{_NUMBER})*)?)\],'
    rf'"data_offsets":\[({_NUMBER}),({_NUMBER})\]\}}'
)
"""An entry after its name; since it begins with a fixed text, the search is four times as fast."""

_BETWEEN = ',"'
"""The text between one entry and the next one's name."""

_PARTS = 5
"""`split` gives the text before a match, which ends in a name, and its four groups, and so on."""


class SafetensorsTensor(NamedTuple):
    """One tensor. It is a tuple, since a checkpoint has more than a hundred thousand.

    Attributes:
        name: As the file has it; not made printable.
        dtype: "BF16", "F8_E4M3", …
        shape: Elements per dimension, slowest first, as PyTorch shows it.
        start: First byte of the data, from the end of the header (`data_offsets[0]`).
        end: The byte after the last (`data_offsets[1]`).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a tensor without dimensions."""
        return prod(self.shape)


class Entries(NamedTuple):
    """The contents of a header; `malformed` are names whose entries describe no tensor."""

    metadata: Mapping[str, str]
    tensors: tuple[SafetensorsTensor, ...]
    malformed: tuple[str, ...] = ()


class _Kind(NamedTuple):
    """Dtype and shape, shared by thousands of tensors; `size` in bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int | None


def read_canonical(text: str, data_bytes: int) -> Entries | None:
    """Read a sound header in the official writer's form; None for any other."""
    parts = _ENTRY.split(text)
    between = parts[_PARTS:-1:_PARTS]
    before, _, first_name = parts[0].rpartition('"')
    metadata = _canonical_metadata(before)
    names = [first_name, *(part[len(_BETWEEN) :] for part in between)]
    framed = all(part.startswith(_BETWEEN) for part in between) and parts[-1].rstrip(" ") == "}"
    if not framed or metadata is None or not _are_sound(names):
        return None
    kinds = _kinds(parts[1::_PARTS], parts[2::_PARTS])
    starts = [int(number) for number in parts[3::_PARTS]]
    ends = [int(number) for number in parts[4::_PARTS]]
    if [kind.size for kind in kinds] != list(map(sub, ends, starts)):
        return None
    if starts != [0, *ends[:-1]] or ends[-1] != data_bytes:
        return None
    dtypes, shapes = [kind.dtype for kind in kinds], [kind.shape for kind in kinds]
    columns = zip(names, dtypes, shapes, starts, ends, strict=True)
    # Not SafetensorsTensor(...): a call in Python for each of 139,644 tensors of Kimi-K2 takes
    # three times as long.
    return Entries(metadata, tuple(map(tuple.__new__, repeat(SafetensorsTensor), columns)))


def _are_sound(names: Sequence[str]) -> bool:
    """Whether the names are distinct, need no escapes, and hold only printable characters."""
    distinct = set(names)
    characters = "".join(distinct)
    return (
        len(distinct) == len(names)
        and METADATA_KEY not in distinct
        and characters.isprintable()
        and '"' not in characters
        and "\\" not in characters
    )


def _canonical_metadata(before: str) -> dict[str, str] | None:
    """The metadata in the text before the first tensor; None if that is not all it holds."""
    if before == "{":
        return {}
    if not before.endswith(","):
        return None
    try:
        # A tuple of pairs keeps a key that is there twice, and is no list.
        header = json.loads(before.removesuffix(",") + "}", object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    match header:
        case ((key, tuple(pairs)),) if key == METADATA_KEY:
            return plain_texts(pairs)
    return None


def _kinds(dtypes: Sequence[str], shapes: Sequence[str]) -> list[_Kind]:
    texts = list(zip(dtypes, shapes, strict=True))
    kinds = {text: _kind(*text) for text in set(texts)}
    return [kinds[text] for text in texts]


def _kind(dtype: str, shape: str) -> _Kind:
    numbers = tuple(int(number) for number in shape.split(",") if number)
    return _Kind(dtype, numbers, data_size(dtype, numbers))


def plain_texts(pairs: Sequence[tuple[str, object]]) -> dict[str, str] | None:
    """An object of distinct keys and text values as a dict; None for any other object."""
    texts = {key: text for key, text in pairs if isinstance(text, str)}
    sound = len(texts) == len(pairs) and all(map(_is_unicode, (*texts, *texts.values())))
    return texts if sound else None


def _is_unicode(text: str) -> bool:
    """Whether it can be encoded: an escape in JSON can give half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def count_elements(shape: Iterable[int]) -> int | None:
    """Number of elements; None where it does not fit into 64 bits.

    Multiplies like the official reader, which refuses an overflow even if a zero follows.
    It stops at an overflow: the product of a million large numbers would take hours.
    """
    count = 1
    for dimension in shape:
        count *= dimension
        if count > NUMBER_MAX:
            return None
    return count


def data_size(dtype: str, shape: Iterable[int]) -> int | None:
    """Bytes that a tensor takes; None if they cannot be counted, or the dtype is unknown."""
    bits = DTYPE_BITS.get(dtype)
    elements = count_elements(shape)
    if bits is None or elements is None or elements * bits % 8:
        return None
    return elements * bits // 8


__all__ = [
    "SafetensorsHeader",
    "SafetensorsTensor",
    "header_end",
    "parse_safetensors",
    "read_safetensors",
    "read_safetensors_from",
]

LENGTH_BYTES = 8
HEADER_BYTES_MAX = 100_000_000
"""The official reader's limit. A shard of Kimi-K2 has 290,000."""


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """The header of a safetensors file, as far as it could be read.

    Attributes:
        path: The file, as it was named.
        metadata: The header's `__metadata__`; usually {"format": "pt"}.
        tensors: In the order of the header.
        malformed: Names whose entries describe no tensor, so that they are not in `tensors`.
        data_start: First byte of the data in the file, to which the tensors' offsets
            count; 0 if it could not be found.
        file_size: Bytes.
        findings: Every defect, in the order found; empty if the file is sound.
    """

    path: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    tensors: tuple[SafetensorsTensor, ...] = ()
    malformed: tuple[str, ...] = ()
    data_start: int = 0
    file_size: int = 0
    findings: tuple[Finding, ...] = ()


Then = Callable[[ReadableFile, SafetensorsHeader], object]


def read_safetensors(path: Path) -> SafetensorsHeader:
    """Read the header of a safetensors file, and nothing after it.

    Never raises for a file on disk and never waits: an absent, unreadable, damaged or
    special file (a FIFO, a directory, a Git-LFS pointer) gives a header with findings.
    No more than `HEADER_BYTES_MAX` bytes are read.
    """
    return read_safetensors_from(open_file(path), str(path))


def read_safetensors_from(
    opening: AbstractContextManager[ReadableFile], path: str, then: Then | None = None
) -> SafetensorsHeader:
    """The same for a file from anywhere.

    Args:
        opening: Opens the file, or refuses to.
        path: Names the file where it cannot be opened.
        then: Called with the file while it is open, and with its header: a second consumer needs
            no second opening, which on the Hub is a request.
    """
    try:
        with opening as file:
            header = _read(file)
            if then is not None:
                then(file, header)
            return header
    except FileRefusedError as refusal:
        return SafetensorsHeader(path, findings=(refusal.finding,))


def header_end(first_bytes: bytes) -> int:
    """Where the header ends that begins with these bytes, at least eight.

    For callers that fetch a header in pieces: so many bytes of the file are its header.
    For an impossible length the result is 8: these bytes are enough for the finding.
    """
    length = int.from_bytes(first_bytes[:LENGTH_BYTES], "little")
    return LENGTH_BYTES + (length if length <= HEADER_BYTES_MAX else 0)


def parse_safetensors(prefix: bytes, *, path: str, file_size: int) -> SafetensorsHeader:
    """Parse a header from the first bytes of a file, on disk or fetched from elsewhere.

    Args:
        prefix: The file's bytes up to `header_end`, or more.
        path: Names the file in findings.
        file_size: Bytes of the whole file.
    """
    defects = FileFindings(path)
    text = _header_text(prefix, file_size, defects)
    if text is None:
        return SafetensorsHeader(path, file_size=file_size, findings=defects.findings())
    data_start = header_end(prefix)
    data_bytes = file_size - data_start
    entries = read_canonical(text, data_bytes)
    if entries is None:
        # It imports the values of this module, and few headers need it.
        from k2compat.checkpoint.safetensors_files.strict_entries import read_strictly

        entries = read_strictly(text, data_bytes, defects)
    return SafetensorsHeader(
        path=path,
        metadata=entries.metadata,
        tensors=entries.tensors,
        malformed=entries.malformed,
        data_start=data_start,
        file_size=file_size,
        findings=defects.findings(),
    )


def _read(file: ReadableFile) -> SafetensorsHeader:
    prefix = file.read(0, LENGTH_BYTES)
    prefix += file.read(LENGTH_BYTES, header_end(prefix) - LENGTH_BYTES)
    # A file that shrinks while it is read has the size that could be read.
    size = file.size if len(prefix) == min(header_end(prefix), file.size) else len(prefix)
    return parse_safetensors(prefix, path=str(file.path), file_size=size)


def _header_text(prefix: bytes, file_size: int, defects: FileFindings) -> str | None:
    """The header's JSON; None, with a finding, where the length or the encoding is wrong."""
    if file_size < LENGTH_BYTES:
        defects.add(
            "safetensors-length-missing",
            "the file is too short to say how long its header is",
            expected=f"at least {LENGTH_BYTES} bytes",
            actual=counted(file_size, "byte"),
        )
        return None
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if not _check_length(length, prefix, file_size, defects):
        return None
    try:
        return prefix[LENGTH_BYTES : LENGTH_BYTES + length].decode("utf-8")
    except UnicodeDecodeError as error:
        defects.add(
            "safetensors-utf8",
            "the header is not UTF-8",
            at=f"byte {LENGTH_BYTES + error.start}",
            actual=repr(error.object[error.start : error.end]),
        )
    return None


def _check_length(length: int, prefix: bytes, file_size: int, defects: FileFindings) -> bool:
    if length == 0:
        defects.add("safetensors-length-zero", "the header's length is zero", at="byte 0")
    elif length > HEADER_BYTES_MAX:
        defects.add(
            "safetensors-length-huge",
            f"the header's length is {counted(length, 'byte')}",
            at="byte 0",
            expected=f"at most {HEADER_BYTES_MAX:,}",
            actual=f"{length:,} (the file begins with {prefix[:LENGTH_BYTES]!r})",
        )
    elif LENGTH_BYTES + length > file_size:
        defects.add(
            "safetensors-header-truncated",
            "the file ends inside its header",
            at="byte 0",
            expected=f"at least {counted(LENGTH_BYTES + length, 'byte')}",
            actual=counted(file_size, "byte"),
        )
    else:
        return True
    return False
