"""One k2compat at a time in a folder, and no traces of a killed one."""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.files.system import explained_writing, open_folder

LOCK_SECONDS = 600
_POLL_SECONDS = 0.1

_HIDDEN = re.compile(r"\.k2compat-[0-9a-f]{8}(-.*)?", re.DOTALL)

# What a file system answers that has no locks on folders (some NFS).
_UNLOCKABLE = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


def hidden_name(suffix: str = "") -> str:
    """A fresh name for what is being prepared; `exclusive` clears such names.

    Of the suffix so much is kept as fits into a name: 255 bytes, and a character may take four.
    """
    return f".k2compat-{os.urandom(4).hex()}" + (f"-{suffix[:50]}" if suffix else "")


def is_hidden_name(name: str) -> bool:
    """Whether `hidden_name` made this name."""
    return _HIDDEN.fullmatch(name) is not None


@contextlib.contextmanager
def exclusive(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep other k2compat processes out of `folder`, and clear what a killed one left.

    The lock is on the folder itself, so it leaves no file and dies with the process. File
    systems that cannot lock a folder (some NFS) go without: then nothing is cleared, and the
    atomic steps alone protect the files.

    Args:
        folder: An existing folder.
        waiting: Called once if another process holds the lock.

    Raises:
        RefusedError: folder-in-use, after LOCK_SECONDS.
        WriteError: The folder cannot be opened, locked or listed.
    """
    with explained_writing(folder):
        descriptor = open_folder(folder)
    try:
        with explained_writing(folder):
            if _lock(descriptor, folder, waiting):
                _remove_hidden(folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, waiting: Callable[[], None] | None) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
                waiting = None
        except OSError as error:
            if error.errno in _UNLOCKABLE:
                return False
            raise
        else:
            return True
        if time.monotonic() > deadline:
            raise RefusedError(
                "folder-in-use",
                f"Another k2compat has been writing in {folder} for {LOCK_SECONDS} seconds.",
                hint="Wait for it, or end it; then run the same command again.",
            )
        time.sleep(_POLL_SECONDS)


def _remove_hidden(folder: Path) -> None:
    with os.scandir(folder) as entries:
        leftovers = [entry for entry in entries if is_hidden_name(entry.name)]
    for entry in leftovers:
        if entry.is_dir(follow_symlinks=False):
            remove_hidden_folder(Path(entry.path))
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def remove_hidden_folder(folder: Path) -> None:
    """Remove what was prepared and is not wanted; links in it are not followed."""
    import shutil  # with it come three compressors, which a plain patch never needs

    shutil.rmtree(folder, ignore_errors=True)
