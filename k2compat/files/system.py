"""System calls for the other modules: with explained errors, bounded, following no link."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from k2compat.errors import RefusedError, WriteError
from k2compat.files.steps import parent_of

CHUNK_BYTES = 1024 * 1024

# Errors for operations that a system does not support at all.
UNSUPPORTED = frozenset(
    {
        errno.EINVAL,
        errno.EMLINK,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.ENOTTY,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EXDEV,
    }
)

# Files that the shell has opened for a process: <(…), a redirection.
_OPENED = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,4})|/dev/stdin")

_SPACE = ("no-space", "Free some space, or choose another place; then run the command again.")
_FORBIDDEN = ("not-writable", "Run as a user who may write there, or choose another folder.")
_FAILED = ("write-failed", "Remove the cause, or choose another place; then run the command again.")
# Errors of /proc, a removed folder and a dead link: waiting does not help.
_NO_PLACE = ("write-failed", "Choose another place: nothing can be made there.")

_EXPLANATIONS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: _FORBIDDEN,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.ENOENT: _NO_PLACE,
    errno.ELOOP: _NO_PLACE,
    errno.ENAMETOOLONG: ("write-failed", "Choose a shorter name."),
    errno.EIO: ("disk-error", "Look at the kernel's log (dmesg): the disk reports an error."),
}


@contextlib.contextmanager
def explained_writing(path: Path, failed: str = "cannot be written") -> Iterator[None]:
    """Turn the system's refusals to write into WriteErrors with a hint.

    Args:
        path: What is written.
        failed: The operation that the system refuses, in words.
    """
    try:
        yield
    except OSError as error:
        code, hint = _EXPLANATIONS.get(error.errno or 0, _FAILED)
        raise WriteError(code, _sentence(error, path, failed), hint=hint) from error


@contextlib.contextmanager
def reading(subject: object) -> Iterator[None]:
    """Note on a MemoryError what was being read, so that the command's message names it.

    Args:
        subject: The file, as messages name it.
    """
    try:
        yield
    except MemoryError as error:
        error.add_note(str(subject))
        raise


@contextlib.contextmanager
def explained_reading(path: Path, failed: str = "cannot be read") -> Iterator[None]:
    """Turn the system's refusals to read into RefusedErrors with a hint.

    Args:
        path: What is read.
        failed: The operation that the system refuses, in words.
    """
    try:
        with reading(path):
            yield
    except FileNotFoundError as error:
        from k2compat.files.missing import missing_hint  # few runs name what is not there

        hint = missing_hint(path)
        raise RefusedError("not-found", f"{path} does not exist.", hint=hint) from error
    except OSError as error:
        hint = "Check that it is a plain file or folder which this user may read."
        raise RefusedError("not-readable", _sentence(error, path, failed), hint=hint) from error


def _sentence(error: OSError, path: Path, failed: str) -> str:
    return f"{path} {failed}: {error.strerror or error}."


def real_path(path: Path) -> Path:
    """The path with all links followed.

    Raises:
        OSError: It leads nowhere, or (ELOOP) back to itself. Path.resolve raises RuntimeError
            for the latter on some versions of Python.
    """
    return Path(os.path.realpath(path, strict=True))


def real_folder(path: Path, *, hint: str) -> Path:
    """A folder with all links followed.

    Raises:
        RefusedError: not-found, not-readable or, with this hint, not-a-folder.
    """
    with explained_reading(path):
        folder = real_path(path)
        if not folder.is_dir():
            raise RefusedError("not-a-folder", f"{path} is not a folder.", hint=hint)
    return folder


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """Open only a regular file for reading: no FIFO can block, and no link is followed.

    Args:
        path: The file's path with all links resolved.

    Yields:
        A file descriptor.

    Raises:
        OSError: The system refused; ELOOP for a symlink, ENOTDIR for one on the way, EINVAL for
            what is no regular file.
    """
    with parent_of(path) as (folder, name), open_regular_in(folder, name) as descriptor:
        yield descriptor


@contextlib.contextmanager
def open_regular_in(folder: int, name: str) -> Iterator[int]:
    """Open a regular file of an open folder; otherwise as `open_regular`."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", name)
        yield descriptor
    finally:
        os.close(descriptor)


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The bytes of a regular file, or its first `limit` ones.

    Raises:
        OSError: As open_regular.
    """
    with open_regular(path) as descriptor:
        return _read(descriptor, limit)


def read_regular_in(folder: int, name: str, limit: int = -1) -> bytes:
    """The same of a file of an open folder."""
    with open_regular_in(folder, name) as descriptor:
        return _read(descriptor, limit)


def _read(descriptor: int, limit: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as reader:
        return reader.read(limit)


def read_input(path: Path) -> bytes:
    """The bytes of a small file that the user named: a regular one, or one that is open already.

    A file that the shell opens for a process (`<(…)`, a redirection to /dev/fd/N) is read to its
    end. A FIFO by name is refused, since its writer may never start.

    Raises:
        OSError: As open_regular, or what reading the descriptor raises.
    """
    opened = _OPENED.fullmatch(str(path))
    if opened is None:
        return read_regular(real_path(path))
    with os.fdopen(os.dup(int(opened[1] or 0)), "rb") as reader:
        return reader.read()


def create(folder: int, name: str, mode: int) -> int:
    """A descriptor of a new, empty file of an open folder; `mode` is subject to the umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, mode, dir_fd=folder)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes; the system may take them in several pieces."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(descriptor: int) -> None:
    """Make the names in an open folder durable."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no folders
            raise


def sync_file_system(descriptor: int) -> None:
    """Make all files written so far on an open folder's file system durable, in one call.

    With hundreds of files one such call costs a fraction of as many fsync calls. Unlike
    sync(2), syncfs(2) reports what went wrong (from Linux 5.8).
    """
    import ctypes  # only here: it costs as much as reading the config

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # pragma: no cover - not on macOS
        os.sync()
        return
    if syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def free_bytes(descriptor: int) -> int:
    """How many bytes this user can still write on an open folder's file system."""
    status = os.fstatvfs(descriptor)
    return status.f_bavail * status.f_frsize
