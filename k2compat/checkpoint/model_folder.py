"""A model's folder as an engine sees it: which files are there, and where their bytes are."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# No model's folder comes near; a folder above all models might.
MAXIMUM_FILES = 200_000


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The files below a folder. Linked folders are named, not entered.

    Attributes:
        root: The folder.
        files: By path within the folder, with "/", where the bytes are. That is another
            place for files that are planned and not yet there.
        linked_folders: Paths of symbolic links to folders.
    """

    root: Path
    files: Mapping[str, Path]
    linked_folders: tuple[str, ...]

    def ending_with(self, suffix: str) -> list[str]:
        """The paths of the files with this ending, sorted."""
        return sorted(path for path in self.files if path.endswith(suffix))


def read_model_folder(root: Path, planned: Mapping[str, Path] | None = None) -> ModelFolder:
    """List a folder.

    Args:
        root: The folder; it may be absent where everything is only planned.
        planned: Files that will be there, by path, with where their bytes are now.

    Raises:
        OSError: The system refused to list a folder.
    """
    files: dict[str, Path] = {}
    linked: list[str] = []
    if root.exists():
        for relative, path in _walk(root, ""):
            if len(files) + len(linked) == MAXIMUM_FILES:
                break
            if path.is_symlink() and path.is_dir():
                linked.append(relative)
            else:
                files[relative] = path
    return ModelFolder(root, {**files, **(planned or {})}, tuple(sorted(linked)))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, Path(entry.path)
