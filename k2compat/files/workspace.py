"""Preparation of new files under hidden names, and their publication."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from k2compat.files.folder import Folder
from k2compat.files.lock import exclusive, hidden_name, remove_hidden_folder
from k2compat.files.steps import parent_of
from k2compat.files.system import (
    CHUNK_BYTES,
    UNSUPPORTED,
    create,
    explained_reading,
    explained_writing,
    open_regular,
    sync_file_system,
    sync_folder,
    write_all,
)

# Linux: FICLONE = _IOW(0x94, 9, int), see ioctl_ficlone(2).
_FICLONE = 0x40049409

# Bytes of one call of copy_file_range(2): Ctrl-C is handled between two calls.
_SYSTEM_CHUNK_BYTES = 64 * 1024 * 1024


class UnsupportedLinkError(Exception):
    """The file system cannot make this kind of link here."""


class Prepared(NamedTuple):
    """A file that waits for its name.

    Attributes:
        folder: The hidden folder that holds it.
        name: Its name there.
    """

    folder: Folder
    name: str


class Workspace:
    """A hidden folder in which new files are prepared, so that they appear together.

    Use it as a context manager; files that were not published are removed at the end.
    """

    def __init__(self, folder: Folder) -> None:
        """Prepare a hidden folder inside `folder`, which stays open as long.

        Raises:
            WriteError: The folder cannot be written to.
        """
        self._folder = folder
        self._name = hidden_name()
        self._count = 0
        with explained_writing(folder.path):
            os.mkdir(self._name, dir_fd=folder.descriptor)
        try:
            self._inside = folder.below(self._name)
        except BaseException:
            remove_hidden_folder(folder.descriptor, self._name)
            raise

    def __enter__(self) -> Self:
        """Return the workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove files that were not published."""
        self._inside.close()
        remove_hidden_folder(self._folder.descriptor, self._name)

    def write(self, content: bytes | Iterable[bytes], *, executable: bool = False) -> Prepared:
        """Prepare a file with these bytes; the umask decides who may run a program.

        Args:
            content: The bytes, or their pieces one after the other.
            executable: Whether it is a program.

        Raises:
            WriteError: The system refused. What the pieces raise passes through.
        """
        pieces = (content,) if isinstance(content, bytes) else content
        prepared = self._next()
        with self._created(prepared, mode=0o777 if executable else 0o666) as descriptor:
            for piece in pieces:
                with explained_writing(self._folder.path):
                    write_all(descriptor, piece)
        return prepared

    def copy(self, source: Path) -> Prepared:
        """Prepare a copy of a regular file, holding one chunk in memory at a time.

        Args:
            source: Its path with all links resolved.

        Raises:
            RefusedError: `source` cannot be read.
            WriteError: The system refused.
        """
        prepared = self._next()
        with explained_reading(source), open_regular(source) as reader:
            self._copy(reader, source, prepared)
        return prepared

    def _copy(self, reader: int, source: Path, prepared: Prepared) -> None:
        with self._created(prepared) as descriptor:
            with explained_writing(self._folder.path):
                copied = _copy_within_system(reader, descriptor)
            if not copied:
                for chunk in _chunks(reader, source):
                    with explained_writing(self._folder.path):
                        write_all(descriptor, chunk)

    def clone(self, source: Path) -> Prepared:
        """Prepare a file that shares its blocks with `source` until one of them is written.

        Raises:
            UnsupportedLinkError: The file system has no clones, or `source` is on another.
        """
        prepared = self._next()
        with explained_reading(source), open_regular(source) as reader:
            self._clone(reader, prepared)
        return prepared

    def _clone(self, reader: int, prepared: Prepared) -> None:
        with self._created(prepared) as descriptor, explained_writing(self._folder.path):
            try:
                with _or_unsupported():
                    fcntl.ioctl(descriptor, _FICLONE, reader)
            except UnsupportedLinkError:
                os.unlink(prepared.name, dir_fd=prepared.folder.descriptor)
                raise

    def hardlink(self, source: Path) -> Prepared:
        """Prepare a second name of the file itself.

        Raises:
            UnsupportedLinkError: `source` is on another file system, or on one without hard links.
        """
        prepared = self._next()
        with explained_reading(source), parent_of(source) as (parent, name):
            self._link(parent, name, prepared)
        return prepared

    def _link(self, parent: int, name: str, prepared: Prepared) -> None:
        with explained_writing(self._folder.path), _or_unsupported():
            os.link(
                name,
                prepared.name,
                src_dir_fd=parent,
                dst_dir_fd=prepared.folder.descriptor,
                follow_symlinks=False,
            )

    def symlink(self, destination: Path) -> Prepared:
        """Prepare a symbolic link to an absolute path."""
        prepared = self._next()
        with explained_writing(self._folder.path), _or_unsupported():
            os.symlink(destination, prepared.name, dir_fd=prepared.folder.descriptor)
        return prepared

    def _next(self) -> Prepared:
        self._count += 1
        return Prepared(self._inside, str(self._count))

    @contextlib.contextmanager
    def _created(self, prepared: Prepared, mode: int = 0o666) -> Iterator[int]:
        with explained_writing(self._folder.path):
            descriptor = create(prepared.folder.descriptor, prepared.name, mode)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _chunks(reader: int, source: Path) -> Iterator[bytes]:
    with explained_reading(source):
        while chunk := os.read(reader, CHUNK_BYTES):
            yield chunk


def _copy_within_system(reader: int, writer: int) -> bool:
    """Let the system copy a file: no byte passes through this process, and blocks may be shared.

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


def publish(prepared: Prepared, folder: Folder, relative: str, *, replace: bool = False) -> None:
    """Give a prepared file its name.

    Args:
        prepared: The file, on the same file system.
        folder: The folder that it appears in or below.
        relative: Its path there, with "/"; missing folders are made.
        replace: Whether a file of that name is replaced.

    Raises:
        FileExistsError: The name is taken and `replace` is False.
        RefusedError: changed-meanwhile; a link or a file is in the place of a folder.
        OSError: The system refused.
    """
    parent, _, name = relative.rpartition("/")
    with folder.below(parent, make=True) as place:
        if replace:
            _rename(prepared, place, name)
        else:
            _link_or_rename(prepared, place, name)


def _link_or_rename(prepared: Prepared, place: Folder, name: str) -> None:
    try:
        # Unlike a rename, a link never replaces what another process put there meanwhile.
        os.link(
            prepared.name,
            name,
            src_dir_fd=prepared.folder.descriptor,
            dst_dir_fd=place.descriptor,
            follow_symlinks=False,
        )
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if place.has(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        _rename(prepared, place, name)
    else:
        os.unlink(prepared.name, dir_fd=prepared.folder.descriptor)


def _rename(prepared: Prepared, place: Folder, name: str) -> None:
    os.replace(
        prepared.name, name, src_dir_fd=prepared.folder.descriptor, dst_dir_fd=place.descriptor
    )


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
        unless: Called when no other k2compat can write there any more: whether the folder is
            not needed after all.

    Returns:
        Whether the folder was made.

    Raises:
        WriteError: The system refused; `target` is as it was.
    """
    with (
        exclusive(Path(os.path.realpath(target.parent)), waiting, make=True) as parent,
        explained_writing(target, "cannot be made"),
    ):
        if unless():
            return False
        hidden = hidden_name(target.name)
        inside = parent.descriptor
        try:
            os.mkdir(hidden, dir_fd=inside)
            with parent.below(hidden) as folder:
                for relative, content in contents.items():
                    _place(folder, relative, content)
                sync_file_system(folder.descriptor)
            os.rename(hidden, target.name, src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            remove_hidden_folder(inside, hidden)
            raise
        sync_folder(inside)
    return True


def _place(folder: Folder, relative: str, content: bytes | Path) -> None:
    path = PurePosixPath(relative)
    with folder.below(path.parent, make=True) as parent:
        if isinstance(content, Path):
            os.symlink(content, path.name, dir_fd=parent.descriptor)
            return
        descriptor = create(parent.descriptor, path.name, mode=0o666)
        try:
            write_all(descriptor, content)
        finally:
            os.close(descriptor)
