"""A model's folder as an engine sees it: its files, and the places of their bytes."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

# No model's folder has so many files; a folder above all models may have.
MAXIMUM_FILES = 200_000


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The files below a folder. Linked folders are named, not entered.

    Folders that this user may not list are left out; engines do not read them either.

    Attributes:
        root: The folder.
        files: Path within the folder, with "/" → place of the bytes. This is another place for
            files that are planned and not there yet.
        linked_folders: Paths of symbolic links to folders.
        folders: Paths of the folders themselves.
    """

    root: Path
    files: Mapping[str, Path]
    linked_folders: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def ending_with(self, suffix: str) -> list[str]:
        """The paths of the files with this ending, sorted."""
        return sorted(path for path in self.files if path.endswith(suffix))


def read_model_folder(root: Path, planned: Mapping[str, Path] | None = None) -> ModelFolder:
    """List a folder.

    Args:
        root: The folder; it may be absent where everything is only planned.
        planned: Files that will be there: path → present place of the bytes.

    Raises:
        OSError: The system refused to list the folder itself.
    """
    files: dict[str, Path] = {}
    linked: list[str] = []
    folders: list[str] = []
    entries = _walk(root, "") if root.exists() else iter(())
    for relative, entry in islice(entries, MAXIMUM_FILES):
        if entry.is_dir(follow_symlinks=False):
            folders.append(relative)
        elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112  (loops are none)
            linked.append(relative)
        else:
            files[relative] = Path(entry.path)
    return ModelFolder(
        root, {**files, **(planned or {})}, tuple(sorted(linked)), tuple(sorted(folders))
    )


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            with suppress(PermissionError):
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts model-2 before model-10."""
    return [
        (int(part), "") if part.isdigit() and len(part) < 20 else (-1, part)
        for part in re.split(r"([0-9]+)", name)
    ]
