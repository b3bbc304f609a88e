"""Carry out a patch in place."""

from collections.abc import Callable

from k2compat.config.patch import Patch
from k2compat.config.target import Target
from k2compat.files import exclusive, explained_reading, replace_content
from k2compat.findings import Codes, Finding

BACKUP_SUFFIX = ".bak"

_codes = Codes("config")


def patch_in_place(
    target: Target,
    plan: Callable[[bytes], Patch],
    *,
    backup: bool = False,
    waiting: Callable[[], None] | None = None,
) -> Patch:
    """Plan with the file's present bytes and write the result, under the folder's lock.

    Args:
        target: The config.
        plan: Makes the patch from the file's bytes.
        backup: Keep the old bytes as `config.json.bak`.
        waiting: Called once if another k2compat holds the folder.

    Raises:
        RefusedError: The plan refuses, or the file may not be written in place.
        WriteError: The system refused; the file holds its old bytes or its new ones.
    """
    with exclusive(target.folder, waiting) as folder:
        patch = plan(target.read())
        if patch.changes:
            target.refuse_write()
            name = target.path.name
            kept = name + BACKUP_SUFFIX if backup else None
            replace_content(folder, name, patch.new, was=patch.old, backup=kept)
    return patch


def notes_on_place(target: Target) -> tuple[Finding, ...]:
    """Findings on a file that is, or would be, replaced in place."""
    if target.names == 1:
        return ()
    more = target.names - 1
    names, keep = ("name", "it keeps") if more == 1 else ("names", "they keep")
    return (
        _codes.finding(
            "config-hard-link",
            target.path,
            f"The file has {more} more {names} (hard links); {keep} the old bytes.",
        ),
    )


def owner_findings(target: Target) -> tuple[Finding, ...]:
    """A finding where the file, now replaced, belongs to another user or group than before.

    Raises:
        RefusedError: not-found or not-readable.
    """
    with explained_reading(target.path):
        status = target.path.stat()
    owner = (status.st_uid, status.st_gid)
    if owner == target.owner:
        return ()
    before, now = (f"{user}:{group}" for user, group in (target.owner, owner))
    return (
        _codes.finding(
            "config-owner-changed",
            target.path,
            f"The file belonged to {before} and belongs to {now} now: this user may not give it "
            "away.",
            fix=("chown", before, target.path),
        ),
    )
