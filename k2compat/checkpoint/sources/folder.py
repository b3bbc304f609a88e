"""A checkpoint in a folder, or in a single file, on disk."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path, PurePosixPath

from k2compat.checkpoint.sources.listing import ModelFolder, read_model_folder
from k2compat.checkpoint.sources.regular_file import open_file
from k2compat.checkpoint.sources.source import ReadableFile
from k2compat.errors import RefusedError
from k2compat.files import explained_reading
from k2compat.findings import Finding

WEIGHT_SUFFIXES = (".safetensors", ".gguf")

_FILE_SUFFIXES = (*WEIGHT_SUFFIXES, ".json", ".model", ".jinja", ".py")
"""No folder of a model is named so, unless something put it in a file's place."""


class FolderSource:
    """The files below a folder. Links to files are followed, linked folders are not entered.

    Attributes:
        name: As the user named it.
        folder: The listing.
        is_remote: False.
        findings: None: what is wrong with a file is a finding of that file.
    """

    is_remote = False
    findings: tuple[Finding, ...] = ()

    def __init__(self, name: str, folder: ModelFolder) -> None:
        """Take a listing; its files may lie elsewhere."""
        self.name = name
        self.folder = folder

    @property
    def linked_folders(self) -> tuple[str, ...]:
        """Paths of symbolic links to folders."""
        return self.folder.linked_folders

    @cached_property
    def files(self) -> Mapping[str, int | None]:
        """Paths within the folder, with "/", and bytes; None for what is no regular file.

        A directory under the name of a file is among them: whoever opens it learns what it is.
        """
        misplaced = dict.fromkeys(_folders_for_files(self.folder))
        return {
            **misplaced,
            **{relative: _size(path) for relative, path in self.folder.files.items()},
        }

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open one of the files.

        Raises:
            FileRefusedError: It is not there or cannot be read.
        """
        # What the listing has not is asked for under the folder: the refusal names that place.
        return open_file(self.folder.files.get(relative, self.folder.root / relative))


def open_folder_source(path: Path) -> FolderSource:
    """A folder with a checkpoint, or one file of weights.

    Raises:
        RefusedError: not-found or not-readable; weights-missing for a file that is none.
    """
    with explained_reading(path):
        # Whatever has the name of weights is opened: a FIFO or a dangling link becomes a finding.
        is_named_as_weights = path.name.endswith(WEIGHT_SUFFIXES)
        mode = (path.lstat() if is_named_as_weights and not path.is_dir() else path.stat()).st_mode
        if stat.S_ISDIR(mode):
            return FolderSource(str(path), read_model_folder(path))
    if not is_named_as_weights:
        raise RefusedError(
            "weights-missing",
            f"{path} is neither a folder nor a .safetensors or .gguf file.",
            hint="Name the folder that holds the weights.",
        )
    return FolderSource(str(path), ModelFolder(path.parent, {path.name: path}, ()))


def _folders_for_files(folder: ModelFolder) -> Iterator[str]:
    """Directories that stand where a file should be: named as one, with no such file in it."""
    for relative in (*folder.folders, *folder.linked_folders):
        suffix = PurePosixPath(relative).suffix
        if suffix in _FILE_SUFFIXES and not any(
            name.startswith(f"{relative}/") and name.endswith(suffix) for name in folder.files
        ):
            yield relative


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
