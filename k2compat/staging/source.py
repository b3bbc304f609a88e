"""The files of a model to stage; entries that only look like such files are refused.

Links may lead only to one Hub cache entry: staging copies the targets of links, often as root, so
the user must confirm any other link.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.files import explained_reading, read_regular, real_folder, real_path
from k2compat.hub import (
    RemoteFile,
    RemoteRepo,
    cache_entry_of,
    refuse_repo_name,
    snapshot_hint,
)
from k2compat.staging.left_out import LeftOut, reason_to_leave_out

# A model has about twenty such files; links that fan out could make any number of them.
MAXIMUM_FILES = 100_000

# The first line of every Git-LFS pointer, a file of about 130 bytes:
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LFS_POINTER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to stage.

    Attributes:
        relative: Its path within the model.
        path: Where its bytes are; of a file on the Hub, its address.
        size: How many bytes.
        remote: The file on the Hub.
    """

    relative: str
    path: Path
    size: int
    remote: RemoteFile | None = None


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file or folder that is left out, and why."""

    relative: str
    size: int
    reason: LeftOut


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model's folder or repo.

    Attributes:
        name: The folder or the repo's address, for messages.
        folder: The folder, all links resolved; None for a repo.
        files: The files to stage, sorted by path.
        skipped: The files to leave out, sorted by path.
    """

    name: str
    folder: Path | None
    files: tuple[SourceFile, ...]
    skipped: tuple[SkippedFile, ...]


def read_source(
    model: Path | str, *, follow_links: bool = False, exclude: tuple[str, ...] = ()
) -> ModelFiles:
    """Walk a model's folder.

    Args:
        model: The folder; text as the user typed it.
        follow_links: Accept links that lead anywhere.
        exclude: Shell patterns of files to leave out.

    Raises:
        RefusedError: not-found, not-a-folder, config-missing, link-outside, link-cycle,
            special-file, lfs-pointer, too-many-files or not-readable. All files of one kind
            are named at once.
    """
    if isinstance(model, str):
        refuse_repo_name(model)
        model = Path(model)
    hint = "Name the folder that holds the model's config.json."
    folder = real_folder(model, hint=hint)
    walk = _Walk(folder, follow_links=follow_links, exclude=exclude)
    walk.enter(folder, "", (folder,))
    pointers = [file.relative for file in walk.files if _is_lfs_pointer(file)]
    walk.refuse()
    if pointers:
        raise RefusedError(
            "lfs-pointer",
            f"Git-LFS pointers stand in the place of files in {model}: {naming(pointers)}.",
            hint="Fetch the files themselves: git lfs pull, or hf download.",
        )
    if not any(file.relative == CONFIG_FILE for file in walk.files) and CONFIG_FILE not in exclude:
        raise RefusedError(
            "config-missing",
            f"{model} has no {CONFIG_FILE}.",
            hint=snapshot_hint(folder) or hint,
        )
    return ModelFiles(
        str(folder),
        folder,
        tuple(sorted(walk.files, key=lambda file: file.relative)),
        tuple(sorted(walk.skipped, key=lambda file: file.relative)),
    )


def list_source(repo: RemoteRepo, *, exclude: tuple[str, ...] = ()) -> ModelFiles:
    """The same for a repo; no file is fetched yet.

    Raises:
        RefusedError: config-missing.
        HubError: hub-hash-missing.
    """
    reasons = {path: reason_to_leave_out(path, exclude) for path in repo.sizes}
    # With a left-out folder all files in it are left out.
    for path in repo.sizes:
        folders = (path[:place] for place, letter in enumerate(path) if letter == "/")
        above = (reason_to_leave_out(folder, exclude) for folder in folders)
        reasons[path] = next(filter(None, above), reasons[path])
    files = [repo.file(path) for path, reason in reasons.items() if reason is None]
    if not any(file.relative == CONFIG_FILE for file in files) and CONFIG_FILE not in exclude:
        raise RefusedError(
            "config-missing",
            f"{repo.name} has no {CONFIG_FILE}.",
            hint="Name the repo of the model itself, not one of its GGUFs or adapters.",
        )
    return ModelFiles(
        repo.name,
        None,
        tuple(
            SourceFile(file.relative, Path(f"{repo.name}/{file.relative}"), file.size, file)
            for file in files
        ),
        tuple(
            SkippedFile(path, repo.sizes[path], reason)
            for path, reason in reasons.items()
            if reason is not None
        ),
    )


def naming(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class _Walk:
    """The results of a walk, with refusals, which are all reported at once."""

    def __init__(self, folder: Path, *, follow_links: bool, exclude: tuple[str, ...]) -> None:
        self.files: list[SourceFile] = []
        self.skipped: list[SkippedFile] = []
        self._outside: list[str] = []
        self._cycles: list[str] = []
        self._special: list[str] = []
        self._may_lead_to = _anywhere if follow_links else _Allowed(folder)
        self._exclude = exclude

    def enter(self, folder: Path, prefix: str, ancestors: tuple[Path, ...]) -> None:
        """Walk a folder; `ancestors` are the real paths of it and those around it."""
        for entry in _entries(folder):
            relative = prefix + entry.name
            reason = reason_to_leave_out(relative, self._exclude)
            if reason is not None:
                self.skipped.append(SkippedFile(relative, _size(entry), reason))
            else:
                self._take(Path(entry.path), relative, ancestors)

    def _take(self, path: Path, relative: str, ancestors: tuple[Path, ...]) -> None:
        with explained_reading(path):
            real = self._follow(path, relative) if path.is_symlink() else path
            if real is None:
                return
            status = real.stat()
        if stat.S_ISDIR(status.st_mode):
            if real in ancestors:
                self._cycles.append(relative)
            else:
                self.enter(real, relative + "/", (*ancestors, real))
        elif stat.S_ISREG(status.st_mode):
            self._add(SourceFile(relative, real, status.st_size))
        else:
            self._special.append(relative)

    def _follow(self, link: Path, relative: str) -> Path | None:
        """The target of a link; None if the link must not be followed, which is noted."""
        try:
            real = real_path(link)
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._cycles.append(relative)
            else:
                self._outside.append(f"{relative} (leads nowhere)")
            return None
        if not self._may_lead_to(real):
            self._outside.append(f"{relative} (leads to {real})")
            return None
        return real

    def _add(self, file: SourceFile) -> None:
        self.files.append(file)
        if len(self.files) > MAXIMUM_FILES:
            raise RefusedError(
                "too-many-files",
                f"The model's folder holds more than {MAXIMUM_FILES} files beside its weights.",
                hint="Name the model's own folder, not one above it.",
            )

    def refuse(self) -> None:
        """Raise an error for the links and special files that were found."""
        if self._cycles:
            raise RefusedError(
                "link-cycle",
                f"Symbolic links lead back to themselves: {naming(self._cycles)}.",
                hint="Remove these links.",
            )
        if self._outside:
            raise RefusedError(
                "link-outside",
                f"Symbolic links lead out of the model's folder: {naming(self._outside)}.",
                hint="If you trust where they lead, add --follow-links.",
            )
        if self._special:
            raise RefusedError(
                "special-file",
                f"No plain files: {naming(self._special)} (a FIFO, socket or device).",
                hint="Remove them from the model's folder.",
            )


class _Allowed:
    """The allowed targets of links: inside the model, or the blobs of one Hub cache entry.

    Every file of a snapshot, and of an overlay of a snapshot, is such a link.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entry = cache_entry_of(folder)

    def __call__(self, real: Path) -> bool:
        if real.is_relative_to(self._folder):
            return True
        entry = cache_entry_of(real)
        if entry is None or not real.is_relative_to(entry / "blobs"):
            return False
        if self._entry is None:
            self._entry = entry
        return entry == self._entry


def _anywhere(_real: Path) -> bool:
    return True


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    with explained_reading(folder, "cannot be listed"), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size if entry.is_file() else 0
    except OSError:  # weights are left out, also if they are dangling links
        return 0


def _is_lfs_pointer(file: SourceFile) -> bool:
    if file.size > _LFS_POINTER_BYTES:
        return False
    with explained_reading(file.path):
        return read_regular(file.path, len(_LFS_POINTER)) == _LFS_POINTER
