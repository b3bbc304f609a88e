"""The GGUF folder, and the folder that receives the files."""

import os
from dataclasses import dataclass
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.files import explained_reading, real_folder
from k2compat.hub import cache_entry_of
from k2compat.shell_line import shell_line
from k2compat.staging.source import naming

_SUFFIX = ".gguf"

# The depth of the search for GGUFs if the folder itself has none; Hub repos have one level.
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class StagingTarget:
    """The target of a staging.

    Attributes:
        folder: The folder that receives them, all links resolved; may be absent with --into.
        links: By name, the GGUFs that a new folder links to; empty without --into.
    """

    folder: Path
    links: tuple[tuple[str, Path], ...]


def find_staging_target(gguf_folder: Path, source: Path | None, into: Path | None) -> StagingTarget:
    """Find the target, and check the folders against each other.

    Args:
        gguf_folder: The folder that holds the GGUFs.
        source: The model's folder, all links resolved; None where it is on the Hub.
        into: A folder of its own for the files and links to the GGUFs, or None.

    Raises:
        RefusedError: not-found, not-a-folder, gguf-missing, gguf-in-subfolder,
            source-in-target or target-in-hub-cache.
    """
    folder = real_folder(gguf_folder, hint="Name the folder that holds the GGUFs, not one of them.")
    with explained_reading(gguf_folder):
        ggufs = _ggufs(folder)
        if not ggufs:
            raise _no_ggufs(gguf_folder, folder)
    target = folder if into is None else Path(os.path.realpath(into))
    if source is not None:
        _refuse_nesting(target, source, "model's folder")
    if into is not None:
        _refuse_nesting(target, folder, "GGUF folder")
    if cache_entry_of(target) is not None:
        raise RefusedError(
            "target-in-hub-cache",
            f"{into or gguf_folder} lies in the Hub cache, which holds downloads only.",
            hint="Add --into DIR: a new folder with links to the GGUFs.",
        )
    links = () if into is None else tuple((name, folder / name) for name in ggufs)
    return StagingTarget(target, links)


def _ggufs(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.endswith(_SUFFIX) and not entry.is_dir(follow_symlinks=True)
        )


def _no_ggufs(named: Path, folder: Path) -> RefusedError:
    candidates = list(_folders_with_ggufs(folder, _DEPTH))
    if candidates:
        return RefusedError(
            "gguf-in-subfolder",
            f"{named} has its GGUFs in subfolders: {naming(candidates)}.",
            hint=f"Name the one to serve, e.g. {shell_line(named / candidates[0])}",
        )
    return RefusedError(
        "gguf-missing",
        f"{named} has no *{_SUFFIX} file.",
        hint="Name the folder that holds the GGUFs.",
    )


def _folders_with_ggufs(folder: Path, depth: int, prefix: str = "") -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        subfolders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in subfolders:
        if _ggufs(folder / name):
            found.append(prefix + name)
        if depth > 1:
            found += _folders_with_ggufs(folder / name, depth - 1, f"{prefix}{name}/")
    return found


def _refuse_nesting(target: Path, other: Path, what: str) -> None:
    if target.is_relative_to(other) or other.is_relative_to(target):
        relation = "are the same folder" if target == other else "lie in one another"
        raise RefusedError(
            "source-in-target",
            f"The target {target} and the {what} {other} {relation}.",
            hint="Keep them apart: the target is a folder of its own.",
        )
