"""Parts of one GGUF that an uploader cut without headers, and that `cat` joins.

No engine reads them. They are judged as the joined file.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from k2compat.checkpoint.reporting import FileFindings, named
from k2compat.checkpoint.sources.listing import natural
from k2compat.checkpoint.sources.source import ReadableFile, Source
from k2compat.findings import Finding
from k2compat.printable import counted
from k2compat.shell_line import shell_line

# NAME.gguf.part1of13, NAME.gguf.part01, NAME.gguf.partaa, NAME.gguf-split-a, NAME.gguf.001
_PART: Final = re.compile(
    r"(?P<name>.+\.gguf)"
    r"(?:\.part-?(?P<number>\d{1,4})(?:of(?P<total>\d{1,4}))?"
    r"|\.(?P<plain>\d{2,4})|\.part-?[a-z]{1,2}|-split-[a-z]{1,2})",
    re.DOTALL,
)


class _Parts(NamedTuple):
    """The parts of one file.

    Attributes:
        names: The names in order.
        missing: The numbers of missing parts.
        total: The number of parts that the names give; 0 where they give none.
    """

    names: list[str]
    missing: list[int]
    total: int


def join_parts(source: Source) -> Source:
    """A source in which parts are replaced by the file that `cat` makes of them.

    Args:
        source: Any source; one without parts is returned unchanged.
    """
    groups = _groups(source.files)
    return _JoinedSource(source, groups) if groups else source


def _groups(files: Mapping[str, int | None]) -> dict[str, _Parts]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in files:
        match = _PART.fullmatch(name)
        if match and match["name"] not in files:  # else they are joined already
            found[match["name"]].append(name)
    return {name: _parts(sorted(parts, key=natural)) for name, parts in found.items()}


def _parts(names: list[str]) -> _Parts:
    matches = [match for name in names if (match := _PART.fullmatch(name))]
    numbers = sorted(int(text) for each in matches if (text := each["number"] or each["plain"]))
    total = max(int(each["total"] or 0) for each in matches)
    if total:
        return _Parts(names, sorted({*range(1, total + 1)} - set(numbers)), total)
    gaps = (range(before + 1, after) for before, after in pairwise(numbers))
    return _Parts(names, [number for gap in gaps for number in gap], 0)


class _JoinedSource:
    """Another source, with the joined files in addition."""

    def __init__(self, source: Source, groups: Mapping[str, _Parts]) -> None:
        self._source = source
        self._groups = groups
        sizes = {
            name: sum(source.files[part] or 0 for part in parts.names)
            for name, parts in groups.items()
            if not (parts.total and 1 in parts.missing)  # the first part has the header
        }
        self._files: Mapping[str, int | None] = {**source.files, **sizes}

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def files(self) -> Mapping[str, int | None]:
        return self._files

    @property
    def linked_folders(self) -> tuple[str, ...]:
        return self._source.linked_folders

    @property
    def is_remote(self) -> bool:
        return self._source.is_remote

    @property
    def findings(self) -> tuple[Finding, ...]:
        joined = (self._finding(name, parts) for name, parts in self._groups.items())
        return (*self._source.findings, *(each for found in joined for each in found))

    def close(self) -> None:
        self._source.close()

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        if relative in self._groups and relative not in self._source.files:
            return self._joined(relative)
        return self._source.open(relative)

    @contextmanager
    def _joined(self, relative: str) -> Iterator[ReadableFile]:
        with ExitStack() as opened:
            names = self._groups[relative].names
            files = [opened.enter_context(self._source.open(name)) for name in names]
            yield _JoinedFile(f"{self._source.name}/{relative}", files)

    def _finding(self, name: str, parts: _Parts) -> tuple[Finding, ...]:
        place = f"{self._source.name}/{name}"
        found = FileFindings(place)
        count = len(parts.names)
        message = (
            f"is there in {counted(count, 'part')}, which no engine reads before they are joined"
        )
        if parts.missing:
            shown = named(map(str, parts.missing))
            message += f"; of these {len(parts.missing):,} are missing: {shown}"
            fix = None
        else:
            paths = [Path(f"{self._source.name}/{part}") for part in parts.names]
            fix = f"{shell_line('cat', *paths)} > {shell_line(Path(place))}"
        found.add("gguf-parts", message, count=count, fix=fix, items=parts.names)
        return found.findings()


class _JoinedFile:
    """Files, one after the other."""

    def __init__(self, path: str, files: list[ReadableFile]) -> None:
        self.path: Path | str = path
        self.size = sum(file.size for file in files)
        self._files = files

    def read(self, start: int, length: int) -> bytes:
        pieces = []
        for file in self._files:
            if length > 0 and start < file.size:
                piece = file.read(start, min(length, file.size - start))
                pieces.append(piece)
                length -= len(piece)
                start += len(piece)
            start -= file.size
            if start < 0:  # the file became shorter
                break
        return b"".join(pieces)
