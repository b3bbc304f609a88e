"""Compare each file of the model with its place in the target: new, same or different.

A conflict does not stop staging: GGUF repos bring a README.md of their own, so a first run nearly
always has one. The user's file stays, the rest is staged, and the exit status is 1.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from k2compat.files import CHUNK_BYTES, explained_reading, open_regular, read_regular, real_path
from k2compat.hub import RemoteFile
from k2compat.staging.source import ModelFiles, SourceFile
from k2compat.staging.target import StagingTarget


class StagingAction(StrEnum):
    """What becomes of a file."""

    NEW = "new"
    SAME = "same"
    REPLACED = "replaced"
    CONFLICT = "conflict"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of the plan.

    Attributes:
        relative: Its path within the target.
        action: What becomes of it.
        size: Its bytes in the target.
        origin: The file whose bytes it gets; for a link to a GGUF, its target.
        content: Bytes to write in place of the origin's (a patched config).
        remote: The file on the Hub whose bytes it gets.
        is_link: Whether it is a link to a GGUF.
        obstacle: The reason why even --force cannot put it there.
    """

    relative: str
    action: StagingAction
    size: int
    origin: Path
    content: bytes | None = None
    remote: RemoteFile | None = None
    is_link: bool = False
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class StagingPlan:
    """The plan of a staging, without skipped files.

    Attributes:
        target: The folder that receives the files.
        files: Links to GGUFs first, then the model's files, each sorted by path.
    """

    target: Path
    files: tuple[PlannedFile, ...]

    def having(self, *actions: StagingAction) -> list[PlannedFile]:
        """The files with one of these actions."""
        return [file for file in self.files if file.action in actions]

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.having(StagingAction.NEW, StagingAction.REPLACED))


def plan_staging(
    source: ModelFiles,
    target: StagingTarget,
    *,
    contents: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> StagingPlan:
    """Plan the staging of a model's files.

    Args:
        source: The model, walked.
        target: Where the files go.
        contents: By path, bytes to stage in place of the model's own (a patched config).
        force: Replace files that differ.

    Raises:
        RefusedError: not-readable.
    """
    links = [_plan_link(target.folder, name, path) for name, path in target.links]
    files = [
        _plan_file(target.folder, file, (contents or {}).get(file.relative), force=force)
        for file in source.files
    ]
    return StagingPlan(target.folder, (*links, *files))


def _plan_file(
    target: Path, file: SourceFile, content: bytes | None, *, force: bool
) -> PlannedFile:
    size = file.size if content is None else len(content)
    place = target / file.relative
    with explained_reading(place):
        obstacle = _obstacle(target, file.relative)
        if obstacle:
            action = StagingAction.CONFLICT
        elif not os.path.lexists(place):
            action = StagingAction.NEW
        elif _has_bytes(place, file, content):
            action = StagingAction.SAME
        else:
            action = StagingAction.REPLACED if force else StagingAction.CONFLICT
    return PlannedFile(
        file.relative, action, size, file.path, content, file.remote, obstacle=obstacle
    )


def _plan_link(target: Path, name: str, destination: Path) -> PlannedFile:
    place = target / name
    with explained_reading(destination):
        size = destination.stat().st_size
    obstacle = None
    with explained_reading(place):
        if not os.path.lexists(place):
            action = StagingAction.NEW
        elif place.exists() and place.samefile(destination):
            action = StagingAction.SAME
        else:
            # A GGUF in the target is never replaced: it may be the only copy.
            action, obstacle = StagingAction.CONFLICT, "another file of that name is there"
    return PlannedFile(name, action, size, destination, is_link=True, obstacle=obstacle)


def _obstacle(target: Path, relative: str) -> str | None:
    """The obstacle in the place of a file that must not be removed, in words."""
    *parents, _ = relative.split("/")
    place = target
    for name in parents:
        place /= name
        if place.is_symlink():
            return f"{place} is a symbolic link, and nothing is written through one"
        if os.path.lexists(place) and not place.is_dir():
            return f"{place} is no folder"
    place = target / relative
    if os.path.lexists(place) and not place.is_symlink() and not place.is_file():
        return "a folder or special file of that name is there"
    return None


def _has_bytes(place: Path, file: SourceFile, content: bytes | None) -> bool:
    """Whether a file, or the file a link leads to, holds exactly these bytes."""
    try:
        real = real_path(place)
        status = real.stat()
    except OSError:  # a link without a target, or to itself
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    if content is not None:
        return status.st_size == len(content) and read_regular(real) == content
    if file.remote is not None:
        return file.remote.is_in(real)
    with explained_reading(file.path):
        own = file.path.stat()
    if os.path.samestat(status, own):
        return True
    return status.st_size == file.size and all(
        mine == theirs for mine, theirs in zip_longest(_chunks(file.path), _chunks(real))
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with explained_reading(path), open_regular(path) as descriptor:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            yield chunk
