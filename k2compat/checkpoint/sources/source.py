"""Where a checkpoint's files come from: a folder on disk, or a repo on the Hub.

What is decided about a checkpoint is decided over these two doors, so that a folder and
a repo of a terabyte, of which only the headers are fetched, are judged by the same code.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from k2compat.findings import Finding


class ReadableFile(Protocol):
    """A regular, non-empty file whose bytes can be read from anywhere."""

    @property
    def path(self) -> Path | str:
        """Names the file in findings."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start` on, fewer than `length` only at the end of the file.

        Raises:
            FileRefusedError: They cannot be read.
        """


class Source(Protocol):
    """The files of one checkpoint."""

    @property
    def name(self) -> str:
        """As the user named it."""

    @property
    def files(self) -> Mapping[str, int | None]:
        """Paths within the checkpoint, with "/", and bytes; None where the size is not known."""

    @property
    def linked_folders(self) -> tuple[str, ...]:
        """Paths of symbolic links to folders; a repo on a hub has none."""

    @property
    def is_remote(self) -> bool:
        """Whether each place that is read is a request over the network."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings about the source itself, as on an incomplete snapshot in a cache."""

    def close(self) -> None:
        """Stop requests that are under way."""

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open one of the files, or find that it is not there.

        Raises:
            FileRefusedError: There is no such file, or it cannot be read; its finding says why.
            HubError: The Hub does not answer.
        """


def is_single_file(source: Source) -> bool:
    """Whether the user named one file, not a folder or a repo."""
    return list(source.files) == [source.name.rpartition("/")[2]]


def root_of(source: Source) -> str:
    """What the files' paths are below: the checkpoint, or the folder of a single file."""
    folder = source.name.rpartition("/")[0]
    return (folder or ".") if is_single_file(source) else source.name
