"""The hash that a file should have, from the metadata of a download on this machine.

Two programs leave such a hash. It is the Hub's ETag: the SHA-256 of a file in LFS, the git blob id
of any other.

- The Hub's cache: a snapshot links to `models--ORG--NAME/blobs/ETAG`.
- `hf download --local-dir DIR`: `DIR/.cache/huggingface/download/PATH.metadata` has three lines:
  commit, ETag, Unix time (huggingface_hub/_local_folder.py). Its own reader removes a file that
  it cannot read; a check writes nothing into a model's folder, so the lines are read here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k2compat.files import read_regular, real_path
from k2compat.hub import Digest, cache_entry_of, digest_of_tag

DOWNLOADS: Final = ".cache/huggingface/download"
"""The folder of the metadata, below the folder of --local-dir."""

METADATA_BYTES_MAX: Final = 4096
"""Three lines have some 140 bytes."""

LISTING, DOWNLOAD, CACHE = "listing", "download", "cache"

_ENTRY: Final = re.compile(r"models--(?P<owner>.+?)--(?P<name>.+)")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class KnownHash:
    """The hash that a file should have, and its origin.

    Attributes:
        digest: The hash.
        origin: LISTING of a hub, DOWNLOAD (its metadata) or CACHE (the name of the blob).
        place: The place of the hash: the repo's address, the metadata's file, the blob.
        path: The file's path within its repo, where that is known.
        repo: hf's ORG/NAME, or ms://ORG/NAME; None where the origin does not have it.
        commit: The revision of the hash, where that is known.
        folder: The value of --cache-dir (CACHE) or --local-dir (the others) for `hf download`.
        time: Unix seconds when the file was downloaded, where that is known.
        size: Bytes of the file, where the origin has them.
    """

    digest: Digest
    origin: str
    place: str
    path: str | None = None
    repo: str | None = None
    commit: str | None = None
    folder: Path | None = None
    time: float | None = None
    size: int | None = None


def hashes_on_disk(root: Path, relatives: Iterable[str]) -> Iterator[tuple[str, KnownHash]]:
    """Each hash that a download left for one of the files, with the file's relative path.

    Args:
        root: The folder, with links resolved.
        relatives: The files' paths below it, with "/".
    """
    top = _downloaded_to(root)
    for relative in relatives:
        path = root / relative
        if top is not None:
            known = _from_download(top, path.relative_to(top).as_posix())
            if known is not None:
                yield relative, known
        known = _from_cache(path)
        if known is not None:
            yield relative, known


def _downloaded_to(folder: Path) -> Path | None:
    """The folder that --local-dir named: this one, or one above it."""
    # A folder of one quantisation is below the repo's folder, which has the metadata of all files.
    return next((each for each in (folder, *folder.parents) if (each / DOWNLOADS).is_dir()), None)


def _from_download(top: Path, within: str) -> KnownHash | None:
    place = top / DOWNLOADS / f"{within}.metadata"
    try:
        lines = read_regular(real_path(place), METADATA_BYTES_MAX).decode("ascii").split("\n")
        commit, tag, time = (line.strip() for line in lines[:3])
        seconds = float(time)
    except (OSError, ValueError):  # absent or damaged: the hash is not known
        return None
    known = digest_of_tag(tag)
    if known is None or not _COMMIT.fullmatch(commit):
        return None
    return KnownHash(
        known, DOWNLOAD, str(place), path=within, commit=commit, folder=top, time=seconds
    )


def _from_cache(path: Path) -> KnownHash | None:
    try:
        blob = real_path(path)
    except OSError:
        return None
    entry = cache_entry_of(blob)
    known = digest_of_tag(blob.name)
    if entry is None or known is None or blob.parent != entry / "blobs":
        return None
    # Only a name in snapshots has a revision and the path within the repo.
    parts, at = path.parts, len(entry.parts)
    is_snapshot = parts[: at + 1] == (*entry.parts, "snapshots") and len(parts) > at + 2
    match = _ENTRY.fullmatch(entry.name)
    return KnownHash(
        known,
        CACHE,
        str(blob),
        path="/".join(parts[at + 2 :]) if is_snapshot else None,
        repo=f"{match['owner']}/{match['name']}" if match else None,
        commit=parts[at + 1] if is_snapshot else None,
        folder=entry.parent,
    )
