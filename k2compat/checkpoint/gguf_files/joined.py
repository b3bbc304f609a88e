"""A split set that was joined by `cat`: the files of the set, one after the other in one file.

Engines read only the first of them. `cat` is right for files that an uploader cut with `split`,
but not for a set of llama-gguf-split.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import ReadableFile
from k2compat.printable import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k2compat.checkpoint.gguf_files.header import GgufHeader
    from k2compat.shell_line import Word

MAGIC: Final = b"GGUF"
_TRAILING: Final = "gguf-trailing-bytes"
_PARTS_MAX: Final = 2_000
"""Real sets have up to 1,100 files."""

_COMMANDS_MAX: Final = 64
"""Each command cuts one file; a line with more is too long to paste."""


def with_joined(
    file: ReadableFile, header: "GgufHeader", read: "Callable[[ReadableFile], GgufHeader]"
) -> "GgufHeader":
    """The header, with one finding for the files that follow in place of that for trailing bytes.

    Args:
        file: The file, open.
        header: Of its first part.
        read: Reads the header at the beginning of a file.

    Raises:
        FileRefusedError: The file cannot be read there.
    """
    starts: list[int] = []
    if all(finding.code != _TRAILING for finding in header.findings):
        return header
    part, start = header, 0
    while len(starts) < _PARTS_MAX:
        size = end_of(part)
        start += size
        if not size or file.read(start, len(MAGIC)) != MAGIC:
            break
        starts.append(start)
        part = read(_Rest(file, start))
    if not starts:
        return header
    found = FileFindings(header.path)
    count = len(starts) + 1
    found.add(
        "gguf-joined-set",
        f"{counted(count, 'file')} of a set lie in it one after the other, as cat joins them: "
        "engines read the first one alone",
        count=count,
        expected=counted(count, "file"),
        fix=None if count > _COMMANDS_MAX else _cut(header.path, [0, *starts], file.size),
    )
    others = (finding for finding in header.findings if finding.code != _TRAILING)
    return replace(header, findings=(*others, *found.findings()), joined=count)


def end_of(header: "GgufHeader") -> int:
    """Bytes from a file's begin to the end of its data, padding included; 0 if not known."""
    ends = [tensor.end for tensor in header.tensors]
    known = [end for end in ends if end is not None]
    if not header.data_offset or len(known) < len(ends):
        return 0
    data = max(known, default=header.data_offset) - header.data_offset
    return header.data_offset + data + -data % header.alignment


class _Rest:
    """A file from one byte on."""

    def __init__(self, file: ReadableFile, start: int) -> None:
        self.path: Path | str = file.path
        self.size = file.size - start
        self._file = file
        self._start = start

    def read(self, start: int, length: int) -> bytes:
        return self._file.read(self._start + start, length)


def _cut(path: str, starts: list[int], size: int) -> "list[tuple[Word, ...]]":
    """The commands that make files of the parts, under the names that engines look for."""
    stem, total = path.removesuffix(".gguf"), len(starts)
    ends = [*starts[1:], size]
    return [
        (
            "dd",
            f"if={path}",
            f"of={stem}-{number:05}-of-{total:05}.gguf",
            "bs=16M",
            "iflag=skip_bytes,count_bytes",
            f"skip={start}",
            f"count={end - start}",
        )
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1)
    ]
