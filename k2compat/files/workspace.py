"""Prepare new files out of sight, then let them appear."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from k2compat.files.lock import exclusive, hidden_name, remove_hidden_folder
from k2compat.files.system import (
    CHUNK_BYTES,
    UNSUPPORTED,
    create,
    explained_reading,
    explained_writing,
    make_folder,
    open_regular,
    sync_file_system,
    sync_folder,
    write_all,
)

# Linux: FICLONE = _IOW(0x94, 9, int), see ioctl_ficlone(2).
_FICLONE = 0x40049409

# How much one call of copy_file_range(2) may take on: between two calls Ctrl-C is heard.
_SYSTEM_CHUNK_BYTES = 64 * 1024 * 1024


class UnsupportedLinkError(Exception):
    """The file system cannot make this kind of link here."""


class Workspace:
    """A hidden folder in which new files are prepared, to appear together.

    Use as a context manager; whatever was not published is removed at the end.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare a hidden folder inside `folder`, which must exist.

        Raises:
            WriteError: The folder cannot be written to.
        """
        self._folder = folder
        self._path = folder / hidden_name()
        self._count = 0
        with explained_writing(folder):
            os.mkdir(self._path)

    def __enter__(self) -> Self:
        """Return the workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not published."""
        remove_hidden_folder(self._path)

    def write(self, content: bytes, *, executable: bool = False) -> Path:
        """Prepare a file with these bytes; a program may be run by whom the umask allows.

        Raises:
            WriteError: The system refused.
        """
        hidden = self._next()
        with explained_writing(self._folder):
            descriptor = create(hidden, mode=0o777 if executable else 0o666)
            try:
                write_all(descriptor, content)
            finally:
                os.close(descriptor)
        return hidden

    def copy(self, source: Path) -> Path:
        """Prepare a copy of a regular file, holding one chunk in memory at a time.

        Raises:
            RefusedError: `source` cannot be read.
            WriteError: The system refused.
        """
        hidden = self._next()
        with explained_reading(source), open_regular(source) as reader:
            self._copy(reader, source, hidden)
        return hidden

    def _copy(self, reader: int, source: Path, hidden: Path) -> None:
        with explained_writing(self._folder):
            descriptor = create(hidden, mode=0o666)
            try:
                if not _copy_within_system(reader, descriptor):
                    for chunk in _chunks(reader, source):
                        write_all(descriptor, chunk)
            finally:
                os.close(descriptor)

    def clone(self, source: Path) -> Path:
        """Prepare a file that shares its blocks with `source` until one of them is written.

        Raises:
            UnsupportedLinkError: The file system has no clones, or `source` lies on another.
        """
        hidden = self._next()
        with explained_reading(source), open_regular(source) as reader:
            self._clone(reader, hidden)
        return hidden

    def _clone(self, reader: int, hidden: Path) -> None:
        with explained_writing(self._folder):
            descriptor = create(hidden, mode=0o666)
            try:
                with _or_unsupported():
                    fcntl.ioctl(descriptor, _FICLONE, reader)
            except UnsupportedLinkError:
                os.unlink(hidden)
                raise
            finally:
                os.close(descriptor)

    def hardlink(self, source: Path) -> Path:
        """Prepare a second name of the file itself.

        Raises:
            UnsupportedLinkError: `source` lies on another file system, or has no hard links.
        """
        hidden = self._next()
        with explained_writing(self._folder), _or_unsupported():
            os.link(source, hidden, follow_symlinks=False)
        return hidden

    def symlink(self, destination: Path) -> Path:
        """Prepare a symbolic link to an absolute path."""
        hidden = self._next()
        with explained_writing(self._folder), _or_unsupported():
            os.symlink(destination, hidden)
        return hidden

    def _next(self) -> Path:
        self._count += 1
        return self._path / str(self._count)


def _chunks(reader: int, source: Path) -> Iterator[bytes]:
    with explained_reading(source):
        while chunk := os.read(reader, CHUNK_BYTES):
            yield chunk


def _copy_within_system(reader: int, writer: int) -> bool:
    """Let the system copy a file: no byte passes through us, and it may share blocks.

    Returns:
        False where it cannot (nothing was written then), or has nothing to copy.
    """
    if not hasattr(os, "copy_file_range"):  # pragma: no cover - not on macOS
        return False
    copied = 0
    try:
        while count := os.copy_file_range(reader, writer, _SYSTEM_CHUNK_BYTES):
            copied += count
    except OSError as error:
        if copied or error.errno not in UNSUPPORTED:
            raise
        return False
    return copied > 0


@contextlib.contextmanager
def _or_unsupported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in UNSUPPORTED:
            raise UnsupportedLinkError from error
        raise


def publish(hidden: Path, target: Path, *, replace: bool = False) -> None:
    """Give a prepared file its name.

    Args:
        hidden: The prepared file, on the target's file system.
        target: Its name.
        replace: Whether a file of that name is replaced.

    Raises:
        FileExistsError: The name is taken and `replace` is False.
        OSError: The system refused.
    """
    if replace:
        os.replace(hidden, target)
        return
    try:
        # Unlike a rename, a link never replaces what somebody put there meanwhile.
        os.link(hidden, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.rename(hidden, target)
    else:
        os.unlink(hidden)


def build_folder(
    target: Path,
    contents: Mapping[str, bytes | Path],
    waiting: Callable[[], None] | None = None,
    *,
    unless: Callable[[], bool] = lambda: False,
) -> bool:
    """Make a folder that appears whole or not at all.

    Args:
        target: The folder's name, which must be free or an empty folder. Missing parents are
            made.
        contents: By relative path: a file's bytes, or the absolute path a symbolic link
            points to.
        waiting: Called once if another k2compat is writing in the parent folder.
        unless: Asked when no other k2compat can write there any more: whether there is
            nothing to make after all.

    Returns:
        Whether the folder was made.

    Raises:
        WriteError: The system refused; `target` is as it was.
    """
    make_folder(target.parent)
    with exclusive(target.parent, waiting), explained_writing(target):
        if unless():
            return False
        hidden = target.parent / hidden_name(target.name)
        try:
            os.mkdir(hidden)
            for relative, content in contents.items():
                _place(hidden / relative, content)
            sync_file_system(hidden)
            os.rename(hidden, target)
        except BaseException:
            remove_hidden_folder(hidden)
            raise
        sync_folder(target.parent)
    return True


def _place(path: Path, content: bytes | Path) -> None:
    os.makedirs(path.parent, exist_ok=True)
    if isinstance(content, Path):
        os.symlink(content, path)
        return
    descriptor = create(path, mode=0o666)
    try:
        write_all(descriptor, content)
    finally:
        os.close(descriptor)
