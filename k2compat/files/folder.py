"""An open folder: entries below it are reached by descriptors, never through a link."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Self

from k2compat.errors import RefusedError, WriteError
from k2compat.files.steps import Made, descend, descend_from_root, parent_of
from k2compat.files.system import explained_writing


class Folder:
    """A folder, open until it is closed or its `with` statement ends.

    Attributes:
        path: Names it in messages.
        descriptor: For system calls.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take a descriptor; use `open_folder` or `below` to make a Folder."""
        self.path = path
        self.descriptor = descriptor

    def below(self, relative: str | PurePosixPath, *, make: bool = False) -> "Folder":
        """Open a folder below this one.

        Args:
            relative: Its path, with "/"; "" opens this folder once more.
            make: Whether missing folders on the way are made.

        Raises:
            RefusedError: changed-meanwhile; a link or a file is on the way.
            WriteError: The system refused.
        """
        place = self.path / relative
        with explained_writing(place, "cannot be opened"):
            try:
                names = PurePosixPath(relative).parts
                return Folder(place, descend(self.descriptor, names, make=make))
            except NotADirectoryError as error:
                raise _no_folder_any_more(place) from error

    def has(self, name: str) -> bool:
        """Whether the folder has an entry of this name, of any kind."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Return the folder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def open_folder(path: Path) -> Folder:
    """Open a folder.

    Args:
        path: Its path with all links resolved.

    Raises:
        RefusedError: changed-meanwhile; a link or a file is on the way now.
        WriteError: The system refused.
    """
    with explained_writing(path, "cannot be opened"):
        try:
            return Folder(path, descend_from_root(path))
        except NotADirectoryError as error:
            raise _no_folder_any_more(path) from error


def make_folder(path: Path) -> Path:
    """Make a folder and its missing parents; where one cannot be made, none is.

    Links in the part of the path that is there are followed once, before the first step.

    Returns:
        Its path with all links resolved.

    Raises:
        WriteError: not-a-folder, or the system refused.
    """
    made: list[int] = []
    with open_new_folder(Path(os.path.realpath(path)), made.append) as folder:
        return folder.path


def open_new_folder(path: Path, made: Made) -> Folder:
    """Make a folder and its missing parents, and open it.

    Args:
        path: Its path with all links resolved. It is not resolved here: that would follow a link
            which has replaced a folder after the caller's check.
        made: Called after each folder that was made, with the number of its name in the path.

    Raises:
        RefusedError: changed-meanwhile; a link is on the way now.
        WriteError: As `make_folder`.
    """
    numbers: list[int] = []
    with explained_writing(path, "cannot be opened" if path.is_dir() else "cannot be made"):
        try:
            descriptor = descend_from_root(path, make=True, made=numbers.append)
        except BaseException as error:
            remove_empty(path, numbers)
            if isinstance(error, NotADirectoryError):
                if os.path.realpath(path) != str(path):
                    raise _no_folder_any_more(path) from error
                hint = "Name a folder, or a path where one can be made."
                raise WriteError("not-a-folder", f"{path} is no folder.", hint=hint) from error
            raise
    for number in numbers:
        made(number)
    return Folder(path, descriptor)


def remove_empty(path: Path, numbers: Iterable[int]) -> None:
    """Remove the folders of a real path that `open_new_folder` noted and that are empty."""
    for number in sorted(numbers, reverse=True):
        place = Path(*path.parts[: number + 1])
        with contextlib.suppress(OSError), parent_of(place) as (folder, name):
            os.rmdir(name, dir_fd=folder)


def _no_folder_any_more(place: Path) -> RefusedError:
    return RefusedError(
        "changed-meanwhile",
        f"{place} is no folder, or is reached through a link that another process made while this "
        "command ran; nothing is written through a link.",
        hint="Find out who writes there; then run the same command again.",
    )
