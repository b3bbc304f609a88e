"""An open folder: what stands below it is reached by descriptors, never through a link."""

import os
from pathlib import Path, PurePosixPath
from typing import Self

from k2compat.errors import RefusedError, WriteError
from k2compat.files.steps import TO_PASS, descend, descend_from_root
from k2compat.files.system import explained_writing


class Folder:
    """A folder, open until it is closed or its `with` statement ends.

    Attributes:
        path: Names it in messages.
        descriptor: For system calls.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over a descriptor; `open_folder` and `below` make folders."""
        self.path = path
        self.descriptor = descriptor

    def below(self, relative: str | PurePosixPath, *, make: bool = False) -> "Folder":
        """Open a folder below this one.

        Args:
            relative: Its path, with "/"; "" opens this folder once more.
            make: Whether missing folders on the way are made.

        Raises:
            RefusedError: changed-meanwhile; a link or a file stands on the way.
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
        RefusedError: changed-meanwhile; a link or a file stands on the way by now.
        WriteError: The system refused.
    """
    with explained_writing(path, "cannot be opened"):
        try:
            return Folder(path, descend_from_root(path))
        except NotADirectoryError as error:
            raise _no_folder_any_more(path) from error


def make_folder(path: Path) -> Path:
    """Make a folder and its missing parents.

    Links in the part of the path that is there are followed once, before the first step.

    Returns:
        Its path with all links resolved.

    Raises:
        WriteError: not-a-folder, or the system refused.
    """
    real = Path(os.path.realpath(path))
    with explained_writing(path, "cannot be made"):
        try:
            os.close(descend_from_root(real, last=TO_PASS, make=True))
        except NotADirectoryError as error:
            hint = "Name a folder, or a path where one can be made."
            raise WriteError("not-a-folder", f"{path} is no folder.", hint=hint) from error
    return real


def _no_folder_any_more(place: Path) -> RefusedError:
    return RefusedError(
        "changed-meanwhile",
        f"{place} is no folder, or is reached through a link that another process made while this "
        "command ran; nothing is written through a link.",
        hint="Find out who writes there; then run the same command again.",
    )
