"""A repo's files read in place: their sizes at one commit, and bytes of them by range requests.

Nothing is written to the cache. No request reads more than was asked for, whatever the
server sends: one that ignores the Range header would send 17 GB for a header of 300 kB.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from k2compat.errors import HubError
from k2compat.hub.address import HubRepo
from k2compat.hub.cache import cached_blob, quiet
from k2compat.hub.digests import GIT_BLOB, SHA256, Digest, digest
from k2compat.hub.failures import HubFileError, endpoint, explained, is_passing
from k2compat.hub.remote_file import WITHOUT_MIRROR, RemoteFile
from k2compat.printable import counted

WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds before the second, third, … try of a request."""

RETRY_AFTER_MAX = 60.0
"""Seconds. The Hub counts its rate limits in windows of five minutes; more looks like a hang."""

SKIPPED_BYTES_MAX = 16 << 20
"""So much is read and thrown away where a server sends a file from its beginning."""

READING_SECONDS_MAX = 300.0
"""For one answer. Each single wait for bytes has the library's own limit."""

_PIECE_BYTES = 1 << 16
_OK, _PARTIAL, _NOT_FOUND, _UNSATISFIABLE = 200, 206, 404, 416
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_ELSEWHERE = (
    "Set HF_ENDPOINT (or MODELSCOPE_ENDPOINT) to the Hub itself, or download the repo and validate "
    "the folder."
)

_Result = TypeVar("_Result")


class RemoteRepo:
    """A model repo at one commit, whose files can be read in place.

    May be used from several threads at once.

    Attributes:
        repo: As the user named it.
        commit: What its revision stood for when it was listed.
        sizes: Bytes of every file, by path within the repo.
        digests: The hash of every file's content, where the listing has one.
    """

    def __init__(
        self,
        repo: HubRepo,
        commit: str,
        sizes: Mapping[str, int],
        digests: Mapping[str, Digest] | None = None,
    ) -> None:
        """Take a listing; `list_remote` makes one."""
        self.repo = repo
        self.commit = commit
        self.sizes = sizes
        self.digests = digests or {}
        self._tags: dict[str, str] = {}
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The address, as a user types it."""
        return self.repo.address

    @property
    def server(self) -> str:
        """Who answers, for messages."""
        return f"The Hub at {endpoint()}"

    def file(self, path: str) -> RemoteFile:
        """One of the files, to be fetched and checked as a whole.

        Raises:
            HubError: hub-hash-missing.
        """
        if path not in self.digests:
            raise HubError(
                "hub-hash-missing",
                f"The listing of {self.name} has no hash of {path}: whether the right bytes "
                "arrive cannot be checked.",
                hint="Set the endpoint to the Hub itself, without a mirror or proxy.",
            )
        return RemoteFile(self, path, self.digests[path])

    def cached(self, digest: Digest) -> Path | None:
        """A file on this machine that should hold the content; its bytes are not checked here."""
        return cached_blob(self.repo, digest)

    def close(self) -> None:
        """Give up: no request is tried again, and waiting for that ends."""
        self._closed.set()

    def read(self, path: str, start: int, length: int) -> bytes:
        """Bytes of a file, fewer than `length` only at its end.

        Args:
            path: A key of `sizes`.
            start: The first byte.
            length: How many.

        Raises:
            HubFileError: hub-file-changed, hub-range-refused.
            HubError: hub-unreachable, hub-gated, hub-repo-not-found or hub-failed.
        """
        length = min(length, self.sizes[path] - start)
        if length <= 0:
            return b""
        wanted = Wanted(path, start, length, self.sizes[path], self.server)
        content = retried(
            lambda: self._ask(wanted), self._closed.wait, self._is_passing, self._explained
        )
        self._check_whole(wanted, content)
        return content

    def _check_whole(self, wanted: "Wanted", content: bytes) -> None:
        """Hold a file that was read in one piece against its hash: config, tokenizer, code."""
        digest = self.digests.get(wanted.path)
        if digest is not None and wanted.length == wanted.size:
            actual = digest.of((content,), wanted.size)
            if actual != digest.value:
                raise HubFileError(
                    "hub-content-differs",
                    f"The listing of {self.name} has {digest.kind} {digest.value} for "
                    f"{wanted.path}; what was received has another.",
                    hint=WITHOUT_MIRROR,
                    actual=actual,
                )

    def _ask(self, wanted: "Wanted") -> bytes:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
        )

        headers = {
            **build_hf_headers(library_name="k2compat"),
            "Range": f"bytes={wanted.start}-{wanted.start + wanted.length - 1}",
            "Accept-Encoding": "identity",
        }
        url = hf_hub_url(self.repo.repo_id, wanted.path, revision=self.commit)
        with _streamed(url, headers) as (response, pieces):
            if _is_gone(response):
                raise _changed(wanted, f"status {response.status_code}")
            hf_raise_for_status(response)
            return self._received(wanted, response, pieces)

    def _received(self, wanted: "Wanted", response: Any, pieces: Iterator[bytes]) -> bytes:
        self._check_tag(wanted, response)
        skip = _skip(wanted, response.status_code, response.headers)
        return _body(wanted, skip, pieces)

    def _is_passing(self, error: Exception) -> bool:
        return is_passing(error)

    def _explained(self, error: Exception) -> HubError:
        return explained(self.repo, error)

    def _check_tag(self, wanted: "Wanted", response: Any) -> None:
        tag = _tag(response)
        if tag and self._tags.setdefault(wanted.path, tag) != tag:
            raise _changed(wanted, f"ETag {tag}, before {self._tags[wanted.path]}")


class Wanted(NamedTuple):
    """Bytes of a file that a request asks for.

    Attributes:
        path: The file's path within the repo.
        start: The first byte.
        length: How many.
        size: Bytes of the whole file, as listed.
        server: Who is asked, for messages.
    """

    path: str
    start: int
    length: int
    size: int
    server: str


class _BrokenOffError(ConnectionError):
    """An answer ended before its bytes did."""

    def __init__(self, wanted: Wanted, received: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.received = received


def list_remote(repo: HubRepo) -> RemoteRepo:
    """Ask the Hub for a repo's commit and files.

    Raises:
        HubError: hub-repo-not-found, hub-revision-not-found, hub-gated, hub-unreachable or
            hub-failed.
    """
    with quiet():
        info = retried(
            lambda: _info(repo), time.sleep, is_passing, lambda error: explained(repo, error)
        )
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    known = {path: size for path, size in sizes.items() if isinstance(size, int)}
    demand_safe_paths(repo.address, known)
    if not info.sha or len(known) < len(sizes):
        raise HubError(
            "hub-failed",
            f"The Hub at {endpoint()} does not say which files {repo} has, and how large.",
            hint=_ELSEWHERE,
        )
    digests = {file.rfilename: _listed_digest(file) for file in info.siblings or ()}
    return RemoteRepo(
        repo,
        info.sha,
        dict(sorted(known.items())),
        {path: known_digest for path, known_digest in digests.items() if known_digest},
    )


def _listed_digest(file: Any) -> Digest | None:
    # Of a file in LFS the blob is its pointer.
    if file.lfs is not None:
        return digest(SHA256, file.lfs.sha256)
    return digest(GIT_BLOB, file.blob_id)


def demand_safe_paths(name: str, paths: Iterable[str]) -> None:
    """Refuse a listing with a path that leads out of a folder: files are staged under theirs.

    Raises:
        HubError: hub-listing-unsafe.
    """
    for path in paths:
        parts = path.split("/")
        if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(parts):
            raise HubError(
                "hub-listing-unsafe",
                f"The listing of {name} names a file {path!a}, which is no path within a folder.",
                hint=WITHOUT_MIRROR,
            )


def _info(repo: HubRepo) -> Any:
    from huggingface_hub import HfApi, constants

    return HfApi(library_name="k2compat").model_info(
        repo.repo_id,
        revision=repo.revision,
        files_metadata=True,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )


def retried(
    ask: Callable[[], _Result],
    pause: Callable[[float], object],
    is_passing: Callable[[Exception], bool],
    explained: Callable[[Exception], HubError],
) -> _Result:
    """Ask until there is an answer.

    Args:
        ask: Asks once.
        pause: Waits some seconds, and returns true to give up.
        is_passing: Whether the same request may well be answered a moment after this error.
        explained: The error in our words.
    """
    for wait in (*WAITS, None):
        try:
            return ask()
        except HubFileError:
            raise
        except Exception as error:
            # The network library is one of three, and its errors have no base in common.
            if wait is None or not is_passing(error) or pause(max(wait, _retry_after(error))):
                raise _final(error, explained) from error
    raise AssertionError


def _final(error: Exception, explained: Callable[[Exception], HubError]) -> HubError:
    if isinstance(error, _BrokenOffError):
        received = counted(error.received, "byte")
        return _refused(error.wanted, f"with only {received}, each time", received)
    return explained(error)


def _retry_after(error: Exception) -> float:
    """Seconds that the server wants us to wait; 0 where it says nothing, or a date."""
    response = getattr(error, "response", None)
    text = "" if response is None else response.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_MAX) if text.isdecimal() and text.isascii() else 0.0


@contextmanager
def _streamed(url: str, headers: Mapping[str, str]) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """Ask for a file; yields the answer, its body still unread, and the body's pieces.

    Both kinds of session follow redirects and keep the token from any other host.
    """
    from huggingface_hub import constants, get_session

    session: Any = get_session()
    seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT
    if callable(getattr(session, "stream", None)):
        with session.stream(
            "GET", url, headers=headers, timeout=seconds, follow_redirects=True
        ) as response:
            yield response, response.iter_raw()
    else:  # releases of huggingface-hub before 1.0 use requests
        with session.get(url, headers=headers, timeout=seconds, stream=True) as response:
            yield response, response.raw.stream(_PIECE_BYTES, decode_content=False)


def _is_gone(response: Any) -> bool:
    """Whether the file alone is not there, or has no such bytes: the repo is."""
    code = response.headers.get("X-Error-Code", "EntryNotFound")
    return response.status_code in (_NOT_FOUND, _UNSATISFIABLE) and code == "EntryNotFound"


def _tag(response: Any) -> str:
    """What names the file's content: the Hub's own tag, or that of the host with the bytes."""
    chain = (*response.history, response)
    tags = [answer.headers.get("X-Linked-ETag") for answer in chain]
    tag = next(filter(None, tags), None) or response.headers.get("ETag") or ""
    return str(tag).removeprefix("W/").strip('"')


def _skip(wanted: Wanted, status: int, headers: Mapping[str, str]) -> int:
    """How many bytes of the body stand before the wanted ones, if it has them at all."""
    encoding = headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise _refused(wanted, f"with bytes encoded as {encoding}", encoding)
    if status == _PARTIAL:
        _check_range(wanted, headers.get("Content-Range", ""))
        return 0
    if status != _OK:
        raise _refused(wanted, f"with status {status}", f"status {status}")
    length = headers.get("Content-Length", str(wanted.size))
    if length != str(wanted.size):
        raise _changed(wanted, f"{length} bytes")
    if wanted.start > SKIPPED_BYTES_MAX:
        raise _refused(wanted, "with the whole file", f"status {_OK}, {length} bytes")
    return wanted.start


def _check_range(wanted: Wanted, text: str) -> None:
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise _refused(wanted, "without saying which bytes it sends", repr(text))
    first, last, size = match.groups()
    if size not in ("*", str(wanted.size)):
        raise _changed(wanted, f"{size} bytes")
    if (int(first), int(last)) != (wanted.start, wanted.start + wanted.length - 1):
        raise _refused(wanted, "with other bytes", text)


def _body(wanted: Wanted, skip: int, pieces: Iterator[bytes]) -> bytes:
    deadline = time.monotonic() + READING_SECONDS_MAX
    body = bytearray()
    end = skip + wanted.length
    while len(body) < end and time.monotonic() < deadline:
        try:
            piece = next(pieces, None)
        except Exception as error:
            # The network library's: see above.
            raise _BrokenOffError(wanted, len(body)) from error
        if piece is None:
            break
        body += piece
    if len(body) < end:
        raise _BrokenOffError(wanted, len(body))
    return bytes(body[skip:end])


def _changed(wanted: Wanted, actual: str) -> HubFileError:
    return HubFileError(
        "hub-file-changed",
        f"{wanted.server} listed a file of {counted(wanted.size, 'byte')} and gives another.",
        hint=f"Run the same command again. {WITHOUT_MIRROR}",
        actual=actual,
    )


def _refused(wanted: Wanted, how: str, actual: str) -> HubFileError:
    return HubFileError(
        "hub-range-refused",
        f"A request for {counted(wanted.length, 'byte')} at byte {wanted.start:,} was answered "
        f"{how}.",
        hint=_ELSEWHERE,
        actual=actual,
    )
