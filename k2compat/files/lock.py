"""A lock for one k2compat process in a folder, which also removes files of a killed one."""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.files.folder import Folder, open_folder, open_new_folder, remove_empty
from k2compat.files.system import explained_writing

LOCK_SECONDS = 600
_POLL_SECONDS = 0.1

_HIDDEN = re.compile(r"\.k2compat-[0-9a-f]{8}(-.*)?", re.DOTALL)

# Errors of file systems without locks on folders (some NFS).
_UNLOCKABLE = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


def hidden_name(suffix: str = "") -> str:
    """A new name for a file or folder in preparation; `exclusive` removes such names.

    The suffix is cut to fit into a name: 255 bytes, and a character may take four.
    """
    return f".k2compat-{os.urandom(4).hex()}" + (f"-{suffix[:50]}" if suffix else "")


def is_hidden_name(name: str) -> bool:
    """Whether `hidden_name` made this name."""
    return _HIDDEN.fullmatch(name) is not None


@contextlib.contextmanager
def exclusive(
    path: Path, waiting: Callable[[], None] | None = None, *, make: bool = False
) -> Iterator[Folder]:
    """Keep other k2compat processes out of a folder, and remove the files of a killed one.

    The lock is on the folder itself, so it leaves no file and ends with the process. On file
    systems that cannot lock a folder (some NFS) nothing is removed, and only the atomic steps
    protect the files.

    Args:
        path: The folder's path with all links resolved.
        waiting: Called once if another process holds the lock.
        make: Whether the folder and its missing parents are made. Those that this call made are
            removed if the block fails and leaves them empty.

    Yields:
        The folder, open: what is written below it goes through its descriptor.

    Raises:
        RefusedError: folder-in-use, after LOCK_SECONDS; changed-meanwhile, where a link has
            taken the place of a folder of the path.
        WriteError: The folder cannot be opened, locked or listed.
    """
    with _locked(path, waiting, make=make) as (folder, is_locked, made):
        try:
            if is_locked:
                with explained_writing(folder.path, "cannot be listed"):
                    _remove_hidden(folder.descriptor)
            yield folder
        except BaseException:
            remove_empty(folder.path, made)
            raise


@contextlib.contextmanager
def _locked(
    path: Path, waiting: Callable[[], None] | None, *, make: bool
) -> Iterator[tuple[Folder, bool, list[int]]]:
    """The folder, whether it could be locked, and which folders of its path were made."""
    while True:
        made: list[int] = []
        with open_new_folder(path, made.append) if make else open_folder(path) as folder:
            with explained_writing(path, "cannot be locked"):
                is_locked = _lock(folder, waiting)
                # The process that held the lock may have made the folder, failed and removed it.
                if make and not _is_there(folder):
                    continue
            yield folder, is_locked, made
            return


def _is_there(folder: Folder) -> bool:
    """Whether an open folder still has its name."""
    try:
        return os.path.samestat(os.lstat(folder.path), os.fstat(folder.descriptor))
    except FileNotFoundError:
        return False


def _lock(folder: Folder, waiting: Callable[[], None] | None) -> bool:
    # Waits, since in a Slurm job all nodes run one command on one shared folder, and all should
    # succeed.
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
                f"Another k2compat has been writing in {folder.path} for {LOCK_SECONDS} seconds.",
                hint="Wait for it, or end it; then run the same command again.",
            )
        time.sleep(_POLL_SECONDS)


def _remove_hidden(folder: int) -> None:
    with os.scandir(folder) as entries:
        leftovers = [entry for entry in entries if is_hidden_name(entry.name)]
    for entry in leftovers:
        if entry.is_dir(follow_symlinks=False):
            remove_hidden_folder(folder, entry.name)
        else:
            remove_hidden_file(folder, entry.name)


def remove_hidden_file(folder: int, name: str) -> None:
    """Remove a prepared file that is not needed."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def remove_hidden_folder(folder: int, name: str) -> None:
    """Remove a prepared folder that is not needed; links in it are not followed."""
    import shutil  # with it come three compressors, which a plain patch never needs

    shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
