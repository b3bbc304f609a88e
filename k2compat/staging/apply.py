"""Carry out a staging plan: prepare everything, make it durable, then let it appear."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.files import (
    UnsupportedLinkError,
    Workspace,
    explained_writing,
    make_folder,
    publish,
    sync_file_system,
)
from k2compat.findings import Codes, Finding
from k2compat.staging.plan import Action, Plan, PlannedFile

_codes = Codes("staging")


class LinkMode(StrEnum):
    """How a file's bytes get into the target."""

    AUTO = "auto"
    CLONE = "clone"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    COPY = "copy"


def apply_plan(
    plan: Plan, mode: LinkMode, *, progress: Callable[[int], None] | None = None
) -> tuple[Finding, ...]:
    """Write what the plan calls new or replaced; durable on return.

    Nothing appears before all of it is on the disk, so a full disk leaves the target as it
    was. A run that is cut off while files appear is continued by the next one: each file is
    absent or whole.

    Args:
        plan: The plan; its target exists and is held by this process.
        mode: How the bytes get there. What the file system cannot do becomes a copy.
        progress: Called with the number of bytes each prepared file has.

    Returns:
        A finding where another mode was used than the one asked for.

    Raises:
        RefusedError: changed-meanwhile, or a source that cannot be read.
        WriteError: The system refused.
    """
    to_write = plan.having(Action.NEW, Action.REPLACED)
    if not to_write:
        return ()
    with Workspace(plan.target) as workspace:
        maker = _Maker(workspace, mode)
        prepared = []
        for file in to_write:
            prepared.append((maker.make(file), file))
            if progress is not None:
                progress(file.size)
        with explained_writing(plan.target):
            sync_file_system(plan.target)
        for parent in {(plan.target / file.relative).parent for _, file in prepared}:
            make_folder(parent)
        for hidden, file in prepared:
            _publish(hidden, plan.target / file.relative, file)
    with explained_writing(plan.target):
        sync_file_system(plan.target)
    return maker.findings(plan.target)


def _publish(hidden: Path, place: Path, file: PlannedFile) -> None:
    with explained_writing(place):
        try:
            publish(hidden, place, replace=file.action is Action.REPLACED)
        except FileExistsError as error:
            raise RefusedError(
                "changed-meanwhile",
                f"{place} was made by somebody else while this command ran.",
                hint="Run the same command again: it compares the files anew.",
            ) from error


class _Maker:
    """Prepares files in the way asked for, or in the way the file system can."""

    def __init__(self, workspace: Workspace, mode: LinkMode) -> None:
        self._workspace = workspace
        self._asked = mode
        self._mode = LinkMode.CLONE if mode is LinkMode.AUTO else mode
        self._fell_back = False

    def make(self, file: PlannedFile) -> Path:
        if file.content is not None:
            return self._workspace.write(file.content)
        if file.is_link:
            return self._workspace.symlink(file.origin)
        try:
            return self._link(file.origin)
        except UnsupportedLinkError:
            # One refusal speaks for all: the model lies on one file system.
            self._mode, self._fell_back = LinkMode.COPY, True
            return self._workspace.copy(file.origin)

    def _link(self, origin: Path) -> Path:
        make = {
            LinkMode.CLONE: self._workspace.clone,
            LinkMode.HARDLINK: self._workspace.hardlink,
            LinkMode.SYMLINK: self._workspace.symlink,
            LinkMode.COPY: self._workspace.copy,
        }[self._mode]
        return make(origin)

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
