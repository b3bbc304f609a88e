"""The files to hash and the hashes to compare with, decided before a terabyte is read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k2compat.checkpoint.hashes.known import LISTING, KnownHash, hashes_on_disk
from k2compat.checkpoint.hashes.record import HashRecord, open_record
from k2compat.checkpoint.sources import WEIGHT_SUFFIXES, FolderSource, Source, root_of
from k2compat.checkpoint.validation import open_source
from k2compat.errors import RefusedError
from k2compat.files import is_hidden_name, real_path
from k2compat.hub import (
    MODELSCOPE,
    HubRepo,
    RemoteRepo,
    cache_entry_of,
    is_offline,
    list_repo,
    parse_repo_url,
)
from k2compat.shell_line import shell_line

_NOT_THE_MODEL_S: Final = (".cache/huggingface/", ".git/")
"""Folders below a model's in which other programs keep their own files."""


@dataclass(frozen=True, slots=True)
class HashJob:
    """A file to hash.

    Attributes:
        relative: Its path below the folder, with "/".
        path: Where it is; links are not resolved yet.
        known: The hashes that it should have, the one that decides first.
    """

    relative: str
    path: Path
    known: tuple[KnownHash, ...]


@dataclass(frozen=True, slots=True)
class HashPlan:
    """The files of one run.

    Attributes:
        name: The checkpoint, as the user named it.
        root: Names the folder in findings.
        jobs: The files with a known hash, by path.
        unknown: The paths of the others.
        absent: Paths of the repo's listing that are not in the folder.
        record: Keeps the hashes; None without one.
    """

    name: str
    root: str
    jobs: tuple[HashJob, ...]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]
    record: HashRecord | None


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a place on this machine."""

    name: str
    root: str
    folder: Path
    paths: Mapping[str, Path]
    listed: Mapping[str, KnownHash]
    absent: tuple[str, ...]


def plan_hashes(
    place: Source | Path | str, *, repo: HubRepo | None = None, record: Path | None = None
) -> HashPlan:
    """Find the files of a checkpoint and their known hashes.

    Args:
        place: A folder, a single file of weights, or a source of one of these; hf://ORG/REPO for
            the repo's files in the Hub's cache, which are compared with the Hub's listing.
        repo: A repo whose listing has the hashes; they come before those that a download left.
        record: The file that keeps what was hashed, so that a later run continues.

    Raises:
        RefusedError: hash-needs-files, for a repo of which no file is on this machine;
            hash-record-inside, hash-record-foreign; not-found, not-readable, weights-missing.
        HubError: The Hub does not give the listing.
        WriteError: The record cannot be written.
    """
    files = _files_of(place, repo)
    known: dict[str, list[KnownHash]] = {relative: [] for relative in files.paths}
    for relative, listed in files.listed.items():
        known[relative].append(listed)
    for relative, left in hashes_on_disk(files.folder, files.paths):
        known[relative].append(left)
    return HashPlan(
        name=files.name,
        root=files.root,
        jobs=tuple(
            HashJob(relative, files.paths[relative], tuple(hashes))
            for relative, hashes in known.items()
            if hashes
        ),
        unknown=tuple(relative for relative, hashes in known.items() if not hashes),
        absent=files.absent,
        record=None if record is None else open_record(record, files.folder, _folders(files)),
    )


def _files_of(place: Source | Path | str, repo: HubRepo | None) -> _Files:
    on_hub = parse_repo_url(place) if isinstance(place, str) else None
    if on_hub is not None and (on_hub.scheme == MODELSCOPE or not is_offline()):
        return _cached(on_hub)
    with open_source(place) as source:
        if not isinstance(source, FolderSource):
            raise _no_files(source.name, "Download the repo, and name its folder.")
        return _local(source, None if repo is None else list_repo(repo))


def _local(source: FolderSource, remote: RemoteRepo | None) -> _Files:
    folder = real_path(source.folder.root)
    relatives = sorted(filter(_is_the_model_s, source.folder.files))
    listed: Mapping[str, KnownHash] = {}
    absent: tuple[str, ...] = ()
    if remote is not None:
        prefix = _prefix(relatives, remote.sizes)
        listed = dict(_listed(remote, relatives, prefix, _top(folder, prefix)))
        absent = tuple(
            path
            for path in remote.sizes
            if path.startswith(prefix) and path.removeprefix(prefix) not in source.folder.files
        )
    paths = {relative: folder / relative for relative in relatives}
    return _Files(source.name, root_of(source), folder, paths, listed, absent)


def _cached(repo: HubRepo) -> _Files:
    """A repo's files in the Hub's cache, of any revision."""
    remote = list_repo(repo)
    found = {
        path: blob
        for path, digest in remote.digests.items()
        if (blob := remote.cached(digest)) is not None
    }
    if not found:
        download = (
            ("modelscope", "download", "--model", repo.repo_id)
            if repo.scheme == MODELSCOPE
            else ("hf", "download", repo.repo_id)
        )
        raise _no_files(
            remote.name, f"{shell_line(*download)}  (then name the folder that it prints)"
        )
    listed = dict(_listed(remote, found, "", None))
    absent = tuple(path for path in remote.sizes if path not in found)
    folder = real_path(next(iter(found.values()))).parents[1]
    return _Files(remote.name, remote.name, folder, found, listed, absent)


def _no_files(name: str, hint: str) -> RefusedError:
    message = f"No file of {name} is on this machine: there is nothing to hash."
    return RefusedError("hash-needs-files", message, hint=hint)


def _is_the_model_s(relative: str) -> bool:
    names = relative.split("/")
    return not relative.startswith(_NOT_THE_MODEL_S) and not any(map(is_hidden_name, names))


def _prefix(relatives: Iterable[str], listing: Iterable[str]) -> str:
    """The folder of the repo that the local folder is: "" or one below, such as "UD-Q2_K_XL/"."""
    weights = [relative for relative in relatives if relative.endswith(WEIGHT_SUFFIXES)]
    prefixes = Counter(
        path.removesuffix(relative)
        for path in listing
        for relative in weights
        if path == relative or path.endswith(f"/{relative}")
    )
    most = max(prefixes.values(), default=0)
    likely = sorted(prefix for prefix, count in prefixes.items() if count == most)
    # If two folders have files of the same names, it is not known which one is meant.
    return likely[0] if likely and (likely[0] == "" or len(likely) == 1) else ""


def _top(folder: Path, prefix: str) -> Path | None:
    """The folder that corresponds to the whole repo, where there is one."""
    names = prefix.split("/")[:-1]
    if list(folder.parts[len(folder.parts) - len(names) :]) != names:
        return None
    return folder.parents[len(names) - 1] if names else folder


def _listed(
    remote: RemoteRepo, relatives: Iterable[str], prefix: str, top: Path | None
) -> Iterator[tuple[str, KnownHash]]:
    is_hf = remote.repo.scheme != MODELSCOPE
    for relative in relatives:
        path = prefix + relative
        digest = remote.digests.get(path)
        if digest is not None:
            yield (
                relative,
                KnownHash(
                    digest,
                    LISTING,
                    f"{remote.name} at {remote.commit}",
                    path=path,
                    repo=remote.repo.repo_id if is_hf else f"ms://{remote.repo.repo_id}",
                    commit=remote.commit,
                    folder=top,
                    size=remote.sizes[path],
                ),
            )


def _folders(files: _Files) -> frozenset[Path]:
    """The folders that must not hold a record: the model's, and a snapshot's cache entry."""
    entries = {cache_entry_of(path.resolve()) for path in files.paths.values()}
    return frozenset({files.folder, *filter(None, entries)})
