"""Carry out a staging plan: prepare everything, make it durable, then let it appear."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from k2compat.errors import RefusedError, WriteError
from k2compat.files import (
    Folder,
    Prepared,
    UnsupportedLinkError,
    Workspace,
    explained_writing,
    free_bytes,
    publish,
    sync_file_system,
)
from k2compat.findings import Codes, Finding
from k2compat.printable import counted
from k2compat.staging.plan import PlannedFile, StagingAction, StagingPlan

_codes = Codes("staging")


class LinkMode(StrEnum):
    """How a file's bytes get into the target."""

    AUTO = "auto"
    CLONE = "clone"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    COPY = "copy"


def apply_plan(
    plan: StagingPlan,
    folder: Folder,
    mode: LinkMode,
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[Finding, ...]:
    """Write the new and replaced files of the plan; durable on return.

    No file appears before all of them are on the disk, so a full disk leaves the target
    unchanged. If a run is cut off while files appear, the next one continues it: each file is
    absent or whole.

    Args:
        plan: The plan.
        folder: Its target, open and held by this process.
        mode: How the bytes get there. If the file system does not support it, files are copied.
        progress: Called with the number of bytes each prepared file has.

    Returns:
        A finding where another mode was used than the one asked for.

    Raises:
        RefusedError: changed-meanwhile, or a source that cannot be read.
        HubError: The Hub gives another content than it listed, or none.
        WriteError: no-space, before the first byte is copied; or the system refused.
    """
    to_write = plan.having(StagingAction.NEW, StagingAction.REPLACED)
    if not to_write:
        return ()
    with Workspace(folder) as workspace:
        maker = _Maker(workspace, mode, _Room(folder, to_write))
        prepared = []
        for file in to_write:
            prepared.append((maker.make(file), file))
            if progress is not None:
                progress(file.size)
        with explained_writing(folder.path, "cannot be brought to the disk"):
            sync_file_system(folder.descriptor)
        for hidden, file in prepared:
            _publish(hidden, folder, file)
    with explained_writing(folder.path, "cannot be brought to the disk"):
        sync_file_system(folder.descriptor)
    return maker.findings(folder.path)


def _publish(hidden: Prepared, folder: Folder, file: PlannedFile) -> None:
    place = folder.path / file.relative
    with explained_writing(place):
        try:
            publish(hidden, folder, file.relative, replace=file.action is StagingAction.REPLACED)
        except FileExistsError as error:
            raise RefusedError(
                "changed-meanwhile",
                f"{place} was made by another process while this command ran.",
                hint="Run the same command again: it compares the files anew.",
            ) from error


class _Room:
    """Whether the bytes of all files fit on the disk; checked once, before the first copy."""

    def __init__(self, folder: Folder, files: list[PlannedFile]) -> None:
        self._folder = folder
        self._needed = sum(file.size for file in files if not file.is_link)
        self._known = False

    def demand(self) -> None:
        if self._known:
            return
        self._known = True
        with explained_writing(self._folder.path, "has no free space that could be read"):
            free = free_bytes(self._folder.descriptor)
        if self._needed > free:
            raise WriteError(
                "no-space",
                f"{self._folder.path} needs {counted(self._needed, 'byte')} for the files, and its "
                f"file system has {free:,} free; nothing was written.",
                hint="Free some space, or choose another folder with --into DIR.",
            )


class _Maker:
    """Prepares files in the requested way, or in one that the file system supports."""

    def __init__(self, workspace: Workspace, mode: LinkMode, room: _Room) -> None:
        self._workspace = workspace
        self._room = room
        self._asked = mode
        # Never hard or symbolic links: users edit the staged config, which must not be the model's.
        self._mode = LinkMode.CLONE if mode is LinkMode.AUTO else mode
        self._fell_back = False

    def make(self, file: PlannedFile) -> Prepared:
        if file.content is not None:
            return self._workspace.write(file.content)
        if file.remote is not None:
            self._room.demand()
            return self._workspace.write(file.remote.pieces())
        if file.is_link:
            return self._workspace.symlink(file.origin)
        try:
            return self._link(file.origin)
        except UnsupportedLinkError:
            # One refusal applies to all files: the model is on one file system.
            self._mode, self._fell_back = LinkMode.COPY, True
            return self._copy(file.origin)

    def _link(self, origin: Path) -> Prepared:
        make = {
            LinkMode.CLONE: self._workspace.clone,
            LinkMode.HARDLINK: self._workspace.hardlink,
            LinkMode.SYMLINK: self._workspace.symlink,
            LinkMode.COPY: self._copy,
        }[self._mode]
        return make(origin)

    def _copy(self, origin: Path) -> Prepared:
        self._room.demand()
        return self._workspace.copy(origin)

    def findings(self, target: Path) -> tuple[Finding, ...]:
        if not self._fell_back:
            return ()
        if self._asked is LinkMode.AUTO:
            return (
                _codes.finding(
                    "clone-unavailable",
                    target,
                    "The file system cannot clone files; they were copied.",
                ),
            )
        return (
            _codes.finding(
                "link-unavailable",
                target,
                f"The file system cannot make a {self._asked} here; files were copied instead.",
                expected=self._asked.value,
                actual=LinkMode.COPY.value,
            ),
        )
