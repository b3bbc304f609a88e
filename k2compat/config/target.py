"""The config file that the user means, and whether it may be written in place.

A folder may be a link: model folders are often reached by a link to the disk that has room for
them. A config that is itself a link is refused: the file behind it belongs to another folder.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from k2compat.config.text import MAXIMUM_BYTES
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE
from k2compat.files import explained_reading, read_regular, real_path
from k2compat.hub import (
    HubRepo,
    cache_entry_of,
    fetch_command,
    is_repo_name,
    parse_repo_url,
    snapshot_hint,
)
from k2compat.shell_line import shell_line

_OVERRIDE = "vLLM and SGLang need no patched file: k2compat explain patch-not-needed"


@dataclass(frozen=True, slots=True)
class Target:
    """A config file.

    Attributes:
        path: The file as the user named it.
        folder: The model's folder, all links resolved.
        is_link: Whether the file itself is a symbolic link.
        cache_entry: The entry of the Hub cache in which it is, or into which it links.
        names: How many names (hard links) the file has.
        owner: The ids of its user and group.
    """

    path: Path
    folder: Path
    is_link: bool
    cache_entry: Path | None
    names: int
    owner: tuple[int, int]

    def read(self) -> bytes:
        """The config's bytes, at most one more than a config may have.

        Raises:
            RefusedError: not-found or not-readable.
        """
        with explained_reading(self.path):
            return read_regular(real_path(self.path), MAXIMUM_BYTES + 1)

    def refuse_write(self) -> None:
        """Refuse to write in place if that would change a file that others use.

        Raises:
            RefusedError: config-in-hub-cache or config-is-link.
        """
        self.refuse_blob()
        overlay = (
            "Add --overlay DIR: it makes a folder with the patched config and links to the rest."
        )
        if self.cache_entry is not None:
            raise RefusedError(
                "config-in-hub-cache",
                f"{self.path} {'is a symbolic link into' if self.is_link else 'lies in'} the Hub "
                f"cache ({self.cache_entry}), whose files belong to every program on this machine.",
                hint=overlay,
            )
        if self.is_link:
            raise RefusedError(
                "config-is-link",
                f"{self.path} is a symbolic link to {self.path.readlink()}.",
                hint=f"Name that file if it is the one you mean. Or: {overlay}",
            )

    def refuse_blob(self) -> None:
        """Refuse a blob of the Hub cache: its folder holds blobs, named by hash, and no model.

        Raises:
            RefusedError: config-in-hub-cache.
        """
        if self.cache_entry is not None and self.folder == self.cache_entry / "blobs":
            raise RefusedError(
                "config-in-hub-cache",
                f"{self.path} is a blob of the Hub cache, which every program on this machine "
                "shares.",
                hint=f"Name the model's folder in {shell_line(self.cache_entry / 'snapshots')}, "
                "and add --overlay DIR.",
            )


def find_target(model: Path | str) -> Target:
    """The config of a model's folder, or the file itself.

    Args:
        model: The folder or file. Text is taken as the user typed it: it may be a repo's address.

    Raises:
        RefusedError: config-on-hub for an address or a repo's name, not-found, not-readable, or
            config-missing where a folder has none.
    """
    if isinstance(model, str):
        _refuse_repo(model)
        model = Path(model)
    with explained_reading(model):
        is_folder = stat.S_ISDIR(model.stat().st_mode)
    path = model / CONFIG_FILE if is_folder else model
    if is_folder and not _is_listed(path):
        raise RefusedError(
            "config-missing",
            f"{model} has no {CONFIG_FILE}.",
            hint=_folder_hint(model),
        )
    with explained_reading(path):
        own = path.lstat()
        real = Path(os.path.realpath(path, strict=True))  # a dangling link does not exist either
        folder = real_path(path.parent)
    return Target(
        path=path,
        folder=folder,
        is_link=stat.S_ISLNK(own.st_mode),
        cache_entry=cache_entry_of(folder / path.name) or cache_entry_of(real),
        names=own.st_nlink,
        owner=(own.st_uid, own.st_gid),
    )


def _is_listed(path: Path) -> bool:
    """Whether a folder has a file, which may be a link without a target.

    Raises:
        RefusedError: not-readable, the folder is closed to this user.
    """
    try:
        with explained_reading(path):
            path.lstat()
    except RefusedError as refusal:
        if refusal.code == "not-found":
            return False
        raise
    return True


def _refuse_repo(model: str) -> None:
    """Refuse an address on the Hub, and a possible name of a repo if no such path exists."""
    repo = parse_repo_url(model)
    if repo is not None:
        raise RefusedError(
            "config-on-hub",
            f"{repo.address} is a repo; patch-config changes files on this machine.",
            hint=f"Download it: {_download(repo)}",
        )
    if is_repo_name(model):
        repo = HubRepo(model)
        raise RefusedError(
            "not-found",
            f"{model} does not exist.",
            hint=f"Check the path: patch-config works on a folder of this machine. If you mean the "
            f"repo {repo.address}: {_download(repo)}",
        )


def _download(repo: HubRepo) -> str:
    name = shell_line(Path(repo.repo_id.partition("/")[2]))
    return f"{fetch_command(repo)} and name the folder {name}. {_OVERRIDE}"


def _folder_hint(folder: Path) -> str:
    return snapshot_hint(folder.absolute()) or (
        "Name the folder that holds the model's config.json, or the file itself."
    )
