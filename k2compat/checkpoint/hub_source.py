"""A repo on the Hub as a checkpoint's source: headers by range requests, a few at once.

Some tens of megabytes of a terabyte are read: the first bytes of each file, which hold the
header of nearly every shard, and with one more request the rest of a longer header. While
one header is judged, those of the next files are fetched.

Offline, the snapshot in the Hub's cache is the source, if it is whole.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from k2compat.checkpoint.gguf_files import FIRST_BYTES as GGUF_FIRST_BYTES
from k2compat.checkpoint.safetensors_files import header_end
from k2compat.checkpoint.sources import (
    WEIGHT_SUFFIXES,
    FileRefusedError,
    FolderSource,
    ReadableFile,
    Source,
    demand_content,
    natural,
    read_model_folder,
    refused,
)
from k2compat.findings import Finding
from k2compat.hub import (
    MODELSCOPE,
    HubFileError,
    HubRepo,
    RemoteRepo,
    Workers,
    cached_checkpoint,
    is_offline,
    list_repo,
    offline_missing,
    snapshot_findings,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

FIRST_BYTES: Final = 512 << 10
"""Bytes of the first request for a file. A shard of Kimi-K2 has a header of 290,000 bytes."""

CONNECTIONS: Final = 8
"""Requests at once. The Hub allows far more; a proxy may not."""

AHEAD: Final = 2 * CONNECTIONS
"""Files whose first bytes are fetched in advance, and kept in memory."""

HEADER_BYTES_AHEAD: Final = 8 << 20
"""A longer header is fetched only when it is read."""

PREFIX_BYTES_MAX: Final = 128 << 20
"""More than the longest header; bytes read beyond are not kept."""

_SAFETENSORS, _GGUF = ".safetensors", ".gguf"
_INDEX_SUFFIX = ".safetensors.index.json"


class HubSource(Source, Protocol):
    """The files of a repo. Close it, or use it in a `with` statement."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What should be known about the source itself."""

    def close(self) -> None:
        """Stop running requests."""

    def __enter__(self) -> Self:
        """Return the source."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""


def open_hub_source(repo: HubRepo) -> HubSource:
    """Open a repo to judge it in place; in offline mode, its snapshot in the Hub's cache.

    Args:
        repo: The repo; its revision is resolved to a commit once, here.

    Raises:
        HubError: hub-repo-not-found, hub-revision-not-found, hub-gated, hub-unreachable,
            hub-failed; in offline mode hub-offline-missing.
    """
    if repo.scheme != MODELSCOPE and is_offline():
        return _whole_snapshot(repo)
    return RemoteSource(list_repo(repo))


class _Closing:
    """Closes with the end of a `with` statement."""

    def close(self) -> None:
        """Nothing to stop."""

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class RemoteSource(_Closing):
    """A repo's files, read in place.

    Attributes:
        name: hf://ORG/REPO[@REVISION], or the same with ms://, as the user named it.
        files: Bytes of every file, by path within the repo.
        findings: Findings on the source itself: none.
        linked_folders: None: a repo has no links to folders.
        is_remote: True.
    """

    findings: tuple[Finding, ...] = ()
    linked_folders: tuple[str, ...] = ()
    is_remote = True

    def __init__(self, remote: RemoteRepo) -> None:
        """Take a listed repo."""
        self.name = remote.name
        self.files: Mapping[str, int | None] = remote.sizes
        self._remote = remote
        self._weights = _weights(remote.sizes)
        self._place = {path: place for place, path in enumerate(self._weights)}
        self._lock = Lock()
        self._next = 0
        self._begun: dict[str, Future[bytes]] = {}
        self._workers = Workers(partial(_fetch_header, remote), CONNECTIONS, "k2compat-hub")

    def open(self, relative: str) -> AbstractContextManager[ReadableFile]:
        """Open a file; if it holds weights, fetch the first bytes of the next ones meanwhile.

        Raises:
            FileRefusedError: It is not in the repo, is empty, a Git-LFS pointer or a web page,
                or the Hub does not give it as it listed it.
            HubError: The Hub does not answer.
        """
        return self._open(relative)

    def close(self) -> None:
        """Begin no more requests; running ones are not tried again."""
        self._remote.close()
        self._workers.close()

    @contextmanager
    def _open(self, relative: str) -> Iterator[ReadableFile]:
        where = f"{self.name}/{relative}"
        size = self._remote.sizes.get(relative)
        if size is None:
            raise refused(where, "file-missing", "does not exist")
        file = _RemoteFile(self._remote, relative, where, size)
        try:
            file.prefix = self._first_bytes(relative)
        except HubFileError as error:
            raise FileRefusedError(error.finding(where)) from error
        demand_content(file)
        yield file

    def _first_bytes(self, relative: str) -> bytes:
        with self._lock:
            self._begin_from(relative)
            # Passed on and not kept: the headers of a whole repo take too much memory.
            begun = self._begun.pop(relative, None)
        return begun.result() if begun else _fetch_header(self._remote, relative)

    def _begin_from(self, relative: str) -> None:
        """Begin to fetch a file of weights and those after it, each once."""
        if relative in self._place:
            place = self._place[relative]
            for path in self._weights[max(place, self._next) : place + AHEAD]:
                self._begun[path] = self._workers.submit(path)
            self._next = max(self._next, place + AHEAD)


class _RemoteFile:
    """A file of a repo, its first bytes at hand."""

    def __init__(self, remote: RemoteRepo, relative: str, where: str, size: int) -> None:
        self.path: Path | str = where
        self.size = size
        self.prefix = b""
        self._remote = remote
        self._relative = relative

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        at_hand = len(self.prefix)
        if end <= at_hand:
            return self.prefix[start:end]
        if start > at_hand or end > PREFIX_BYTES_MAX:
            return self._fetch(start, length)
        self.prefix += self._fetch(at_hand, end - at_hand)
        return self.prefix[start:end]

    def _fetch(self, start: int, length: int) -> bytes:
        try:
            return self._remote.read(self._relative, start, length)
        except HubFileError as error:
            raise FileRefusedError(error.finding(self.path)) from error


class SnapshotSource(FolderSource, _Closing):
    """A repo's snapshot in the Hub's cache.

    Attributes:
        findings: Whether the cache knows that the snapshot is whole.
    """

    def __init__(self, repo: HubRepo, snapshot: Path) -> None:
        """List a snapshot's folder."""
        super().__init__(f"hf://{repo}", read_model_folder(snapshot))
        self.findings = snapshot_findings(repo, snapshot)

    def is_whole(self) -> bool:
        """Whether there are weights, and all files that an index names.

        This is for releases of the library that keep no listing, and return any snapshot.
        """
        return bool(_weights(self.files)) and self._named_by_indexes() <= self.files.keys()

    def _named_by_indexes(self) -> set[str]:
        return {
            shard
            for relative, path in self.folder.files.items()
            if relative.endswith(_INDEX_SUFFIX)
            for shard in _shards_of(path)
        }


def _whole_snapshot(repo: HubRepo) -> SnapshotSource:
    source = SnapshotSource(repo, cached_checkpoint(repo))
    if not source.is_whole():
        raise offline_missing(repo, weights=True)
    return source


def _fetch_header(remote: RemoteRepo, path: str) -> bytes:
    """A file's first bytes, or the whole header of safetensors, with two requests at most."""
    first = remote.read(path, 0, GGUF_FIRST_BYTES if path.endswith(_GGUF) else FIRST_BYTES)
    end = header_end(first) if path.endswith(_SAFETENSORS) else 0
    if len(first) < end <= HEADER_BYTES_AHEAD:
        first += remote.read(path, len(first), end - len(first))
    return first


def _weights(files: Iterable[str]) -> tuple[str, ...]:
    """The files of weights, in the order in which they are judged."""
    return tuple(sorted((path for path in files if path.endswith(WEIGHT_SUFFIXES)), key=natural))


def _shards_of(index: Path) -> Iterator[str]:
    """The shards that an index names; none where it is damaged, which gives a finding."""
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        yield from {str(shard) for shard in weight_map.values()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return
