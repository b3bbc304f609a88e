"""The way down to a file or folder, one descriptor after the other, following no link.

Each system call resolves a path again. Between the check of a path and a write to it another user
may replace a folder by a link, and the write would follow the link. A descriptor stays with the
folder that was checked.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

TO_LIST = os.O_RDONLY | _NO_LINK
"""Opens a folder that is listed, locked or synced."""

TO_PASS = getattr(os, "O_PATH", os.O_RDONLY) | _NO_LINK
"""Opens a folder on the way, for which search permission is enough. O_PATH is Linux's."""


Made = Callable[[int], None]
"""Called with the place in the list of names, from 1, of each folder that was made."""


def _unnoted(_step: int) -> None:
    """Note nothing."""


def descend(
    start: int,
    names: Sequence[str],
    *,
    last: int = TO_LIST,
    make: bool = False,
    made: Made = _unnoted,
) -> int:
    """Step down from an open folder.

    Args:
        start: A descriptor of the folder, which stays open.
        names: The names of the folders, each in the one before.
        last: The flags to open the last folder with.
        make: Whether missing folders are made.
        made: Called after each that this call made.

    Returns:
        A descriptor of the last folder; of `start` itself where there are no names.

    Raises:
        OSError: The system refused; ENOTDIR for a link or a file on the way.
    """
    descriptor = os.open(".", TO_PASS if names else last, dir_fd=start)
    for step, name in enumerate(names, start=1):
        above = descriptor
        try:
            flags = last if step == len(names) else TO_PASS
            descriptor = _step(above, name, flags, step if make else None, made)
        finally:
            os.close(above)
    return descriptor


def descend_from_root(
    path: Path, *, last: int = TO_LIST, make: bool = False, made: Made = _unnoted
) -> int:
    """Step down to a folder from the root of the file system.

    Args:
        path: Its path with all links resolved.
        last: The flags to open it with.
        make: Whether missing folders are made.
        made: As of `descend`; the first folder below the root is 1.

    Returns:
        A descriptor of the folder.

    Raises:
        OSError: As `descend`.
    """
    anchor, *names = Path(os.path.abspath(path)).parts
    root = os.open(anchor, TO_PASS)
    try:
        return descend(root, names, last=last, make=make, made=made)
    finally:
        os.close(root)


@contextlib.contextmanager
def parent_of(path: Path) -> Iterator[tuple[int, str]]:
    """Open the folder that holds a file.

    Args:
        path: The file's path with all links but the last resolved.

    Yields:
        A descriptor of the folder, and the file's name in it.

    Raises:
        OSError: As `descend`.
    """
    absolute = Path(os.path.abspath(path))
    descriptor = descend_from_root(absolute.parent, last=TO_PASS)
    try:
        yield descriptor, absolute.name
    finally:
        os.close(descriptor)


def _step(folder: int, name: str, flags: int, number: int | None, made: Made) -> int:
    """Open a folder; with a number, a missing one is made and its number noted."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        if number is None:
            raise
    with contextlib.suppress(FileExistsError):  # another process may just have made it
        os.mkdir(name, dir_fd=folder)
        made(number)
    return os.open(name, flags, dir_fd=folder)
