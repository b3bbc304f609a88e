"""Reader of the header of a safetensors file: metadata, tensors and every defect in one pass.

The format (https://huggingface.co/docs/safetensors): eight bytes with the header's
length, little-endian; the header, one JSON object, padded with spaces; the data, without
gaps. A defect is anything that the official reader refuses. Further defects are things that it
accepts but that cannot be intended: a tensor named twice, fields that no engine reads, names
with control characters. The data are never read.

The module is not called `safetensors`, so that an import is never ambiguous.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.entries import SafetensorsTensor, read_canonical
from k2compat.checkpoint.safetensors_files.strict_entries import read_strictly
from k2compat.checkpoint.sources import FileRefusedError, ReadableFile, open_file
from k2compat.findings import Finding
from k2compat.printable import counted

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
    entries = read_canonical(text, data_bytes) or read_strictly(text, data_bytes, defects)
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
