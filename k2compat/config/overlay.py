"""A patched config without a change of the model: a folder with links to it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from k2compat.config.target import Target
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.files import build_folder, explained_reading, is_hidden_name
from k2compat.findings import Codes, Finding
from k2compat.hub import cache_entry_of

_codes = Codes("config")


class Overlay:
    """A folder with a patched config and symbolic links to everything else of a model."""

    def __init__(self, target: Target, folder: Path) -> None:
        """Plan the overlay of `target`'s folder at `folder`.

        Raises:
            RefusedError: overlay-in-model, overlay-in-hub-cache, config-in-hub-cache for a blob,
                or not-readable.
        """
        target.refuse_blob()
        self.folder = folder
        self._model = target.folder
        place = Path(os.path.realpath(folder))  # unlike resolve(), it survives a loop of links
        if place.is_relative_to(self._model) or self._model.is_relative_to(place):
            raise RefusedError(
                "overlay-in-model",
                f"{folder} and the model's folder {self._model} lie in one another.",
                hint="Name a new folder outside the model.",
            )
        if cache_entry_of(place) is not None:
            raise RefusedError(
                "overlay-in-hub-cache",
                f"{folder} lies in the Hub cache, which holds downloads only.",
                hint="Name a new folder outside the cache.",
            )
        with explained_reading(self._model):
            self._links = dict(_rest(self._model))

    @property
    def config(self) -> Path:
        """The patched config's path."""
        return self.folder / CONFIG_FILE

    def exists(self, new: bytes) -> bool:
        """Whether the folder already holds exactly this overlay.

        Raises:
            RefusedError: overlay-exists where it holds anything else.
        """
        if not os.path.lexists(self.folder):
            return False
        if self.folder.is_dir():
            with explained_reading(self.folder):
                there = dict(_rest(self.folder))
            if not there and not os.path.lexists(self.config) and not self.folder.is_symlink():
                return False
            if self._holds(there, new):
                return True
        raise RefusedError(
            "overlay-exists",
            f"{self.folder} exists and is not this overlay.",
            hint="Name a new folder, or move that one away.",
        )

    def _holds(self, there: dict[str, Path], new: bytes) -> bool:
        return (
            there.keys() == self._links.keys()
            and all(_points_to(there[name], self._links[name]) for name in there)
            and not self.config.is_symlink()
            and self.config.is_file()
            and self.config.read_bytes() == new
        )

    def build(self, new: bytes, waiting: Callable[[], None] | None = None) -> bool:
        """Make the folder; it appears whole or not at all.

        Returns:
            Whether it was made: not if another process has just made the same overlay.

        Raises:
            RefusedError: overlay-exists, if another process has made another folder there.
            WriteError: The system refused.
        """
        contents: dict[str, bytes | Path] = {CONFIG_FILE: new, **self._links}
        return build_folder(self.folder, contents, waiting, unless=lambda: self.exists(new))

    def findings(self) -> tuple[Finding, ...]:
        """Findings on the links of the overlay, and on what breaks them."""
        return (
            _codes.finding(
                "overlay-links",
                self.folder,
                f"All but {CONFIG_FILE} are symbolic links to absolute paths in {self._model}: "
                "they break when that folder is moved, deleted or cleaned from the cache, and in a "
                "container that does not mount it under the same path.",
                count=len(self._links),
            ),
        )


def _rest(folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and absolute path of everything in a folder but its own config.

    Folders are walked, links are not followed. Hidden files that k2compat prepares there, or left
    when it was killed, do not belong to the model.
    """
    for parent, folders, files in os.walk(folder, onerror=_raise):
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        folders[:] = [name for name in folders if not is_hidden_name(name)]
        for name in [*files, *linked]:
            path = Path(parent) / name
            relative = str(path.relative_to(folder))
            if relative != CONFIG_FILE and not is_hidden_name(name):
                yield relative, path


def _raise(error: OSError) -> None:
    raise error


def _points_to(link: Path, destination: Path) -> bool:
    return link.is_symlink() and link.readlink() == destination
