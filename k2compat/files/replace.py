"""Replace the bytes of one file in one step."""

import contextlib
import os
import stat

from k2compat.errors import RefusedError
from k2compat.files.folder import Folder
from k2compat.files.lock import hidden_name, remove_hidden_file
from k2compat.files.system import (
    UNSUPPORTED,
    create,
    explained_writing,
    open_regular_in,
    read_regular_in,
    sync_folder,
    write_all,
)
from k2compat.files.workspace import Prepared, publish
from k2compat.shell_line import shell_line


def replace_content(
    folder: Folder, name: str, new: bytes, *, was: bytes, backup: str | None = None
) -> None:
    """Replace a regular file's bytes in one step, keeping its mode, owner and attributes.

    Args:
        folder: The folder that holds the file, as `exclusive` yields it.
        name: The file's name; no symlink.
        new: Its new bytes.
        was: The bytes the new ones were made from; checked again before the last step.
        backup: Keep the old bytes under this name, which must be free or hold them already.

    Raises:
        RefusedError: changed-meanwhile or backup-exists; the file is untouched.
        WriteError: The system refused; the file holds its old bytes or its new ones.
    """
    path = folder.path / name
    if backup is not None:
        _keep_backup(folder, name, backup, was)
    hidden = hidden_name(name)
    inside = folder.descriptor
    with explained_writing(path, "cannot be replaced"):
        try:
            _write_like(inside, name, hidden, new)
            _demand_unchanged(folder, name, was)
            os.replace(hidden, name, src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            remove_hidden_file(inside, hidden)
            raise
        sync_folder(inside)


def _demand_unchanged(folder: Folder, name: str, was: bytes) -> None:
    if read_regular_in(folder.descriptor, name) != was:
        raise RefusedError(
            "changed-meanwhile",
            f"{folder.path / name} was changed by another process while this command ran.",
            hint="Run the same command again.",
        )


def _keep_backup(folder: Folder, name: str, backup: str, content: bytes) -> None:
    hidden = hidden_name("backup")
    path = folder.path / backup
    with explained_writing(path):
        try:
            _write_like(folder.descriptor, name, hidden, content)
            publish(Prepared(folder, hidden), folder, backup)
        except FileExistsError:
            if not _holds(folder.descriptor, backup, content):
                raise RefusedError(
                    "backup-exists",
                    f"{path} holds other bytes already; a backup never overwrites one.",
                    hint=f"Move {shell_line(path)} away, or leave --backup out.",
                ) from None
        finally:
            remove_hidden_file(folder.descriptor, hidden)
        sync_folder(folder.descriptor)


def _holds(folder: int, name: str, content: bytes) -> bool:
    try:
        return read_regular_in(folder, name) == content
    except OSError:  # a folder, a link, a file of another user
        return False


def _write_like(folder: int, model: str, target: str, content: bytes) -> None:
    """Write a durable new file with the mode, owner and extended attributes of `model`."""
    with open_regular_in(folder, model) as like:
        wanted = os.fstat(like)
        descriptor = create(folder, target, mode=0o600)
        try:
            write_all(descriptor, content)
            _give_to(descriptor, wanted.st_uid, wanted.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))
            _copy_attributes(like, descriptor)
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


def _copy_attributes(like: int, descriptor: int) -> None:
    if not hasattr(os, "listxattr"):  # pragma: no cover - not on macOS
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(like):
            with contextlib.suppress(OSError):  # labels may be lost
                os.setxattr(descriptor, name, os.getxattr(like, name))
