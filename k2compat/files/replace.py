"""Replace the bytes of one file in one step."""

import contextlib
import os
import stat
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.files.lock import hidden_name
from k2compat.files.system import (
    UNSUPPORTED,
    create,
    explained_writing,
    read_regular,
    sync_folder,
    write_all,
)
from k2compat.files.workspace import publish


def replace_content(path: Path, new: bytes, *, was: bytes, backup: Path | None = None) -> None:
    """Replace a regular file's bytes in one step, keeping its mode, owner and attributes.

    Args:
        path: The file; no symlink.
        new: Its new bytes.
        was: The bytes the new ones were made from; checked again before the last step.
        backup: Keep the old bytes under this name, which must be free or hold them already.

    Raises:
        RefusedError: changed-meanwhile or backup-exists; the file is untouched.
        WriteError: The system refused; the file holds its old bytes or its new ones.
    """
    if backup is not None:
        _keep_backup(path, backup, was)
    hidden = path.parent / hidden_name(path.name)
    with explained_writing(path):
        try:
            _write_like(path, hidden, new)
            _check_unchanged(path, was)
            os.replace(hidden, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            raise
        sync_folder(path.parent)


def _keep_backup(path: Path, backup: Path, content: bytes) -> None:
    hidden = path.parent / hidden_name("backup")
    with explained_writing(backup):
        try:
            _write_like(path, hidden, content)
            publish(hidden, backup)
        except FileExistsError:
            if not _holds(backup, content):
                raise RefusedError(
                    "backup-exists",
                    f"{backup} holds other bytes already; a backup never overwrites one.",
                    hint=f"Move {backup} away, or leave --backup out.",
                ) from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
        sync_folder(backup.parent)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path) == content
    except OSError:  # a folder, a link, a file of another user
        return False


def _write_like(model: Path, target: Path, content: bytes) -> None:
    """Write a durable new file with the mode, owner and extended attributes of `model`."""
    wanted = os.lstat(model)
    descriptor = create(target, mode=0o600)
    try:
        write_all(descriptor, content)
        _give_to(descriptor, wanted.st_uid, wanted.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))
        _copy_attributes(model, descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to(descriptor: int, user: int, group: int) -> None:
    """Keep the owner; where only the group can be kept, the group."""
    have = os.fstat(descriptor)
    if (have.st_uid, have.st_gid) == (user, group):
        return
    for owner in (user, -1):  # only root gives files away; members may share with a group
        try:
            os.fchown(descriptor, owner, group)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        else:
            return


def _copy_attributes(model: Path, descriptor: int) -> None:
    if not hasattr(os, "listxattr"):  # pragma: no cover - not on macOS
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(model, follow_symlinks=False):
            with contextlib.suppress(OSError):  # a label that cannot be kept is no reason to fail
                os.setxattr(descriptor, name, os.getxattr(model, name, follow_symlinks=False))


def _check_unchanged(path: Path, was: bytes) -> None:
    if read_regular(path) != was:
        raise RefusedError(
            "changed-meanwhile",
            f"{path} was changed by somebody else while this command ran.",
            hint="Run the same command again.",
        )
