"""Write several small new files into a folder, all of them or none."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from k2compat.errors import RefusedError
from k2compat.files.folder import Folder
from k2compat.files.lock import exclusive
from k2compat.files.system import (
    explained_reading,
    explained_writing,
    read_regular_in,
    sync_file_system,
    sync_folder,
)
from k2compat.files.workspace import Workspace, publish


class NewFile(NamedTuple):
    """A file to write: its bytes, and whether it is a program."""

    content: bytes
    executable: bool = False


def write_bundle(
    folder: Path,
    files: Mapping[str, NewFile],
    *,
    replace: bool = False,
    waiting: Callable[[], None] | None = None,
) -> tuple[str, ...]:
    """Write the files; an existing one with the same bytes is not changed.

    Args:
        folder: Made if it is absent.
        files: By relative path within the folder.
        replace: Whether files with other bytes are replaced.
        waiting: Called once if another k2compat is writing there.

    Returns:
        The paths that were written.

    Raises:
        RefusedError: output-differs; nothing was written. Or an existing file cannot be read.
        WriteError: The system refused.
    """
    with exclusive(Path(os.path.realpath(folder)), waiting, make=True) as place:
        new = [name for name, file in files.items() if not _holds(place, name, file, replace)]
        with Workspace(place) as workspace:
            prepared = {
                name: workspace.write(files[name].content, executable=files[name].executable)
                for name in new
            }
            with explained_writing(folder):
                sync_file_system(place.descriptor)
                for name, hidden in prepared.items():
                    publish(hidden, place, name, replace=replace)
                sync_folder(place.descriptor)
    return tuple(new)


def _holds(folder: Folder, relative: str, file: NewFile, replace: bool) -> bool:
    """Whether the file is there already."""
    path = folder.path / relative
    if not os.path.lexists(path):
        return False
    parent, _, name = relative.rpartition("/")
    with folder.below(parent) as place, explained_reading(path):
        same = read_regular_in(place.descriptor, name, len(file.content) + 1) == file.content
    if not same and not replace:
        raise RefusedError(
            "output-differs",
            f"{path} is there and differs from what would be written.",
            hint="Take another folder, or add --force to replace it.",
        )
    return same
