"""A Hub on this machine: enough of its HTTP protocol for the real huggingface_hub client.

Model info with files and sizes, file listings, and files by HEAD and GET with ranges. As on the
real Hub, small files are answered at once, with the id of their git blob as the ETag; those kept
in LFS are redirected to a storage host (here another port), with their SHA-256. Xet is not
offered, so that clients that have it use HTTP as well.
"""

import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".model", ".png", ".gguf")
TOKEN = "hf_test"

# Slashes within a revision arrive as %2F, so a part of the path ends at the next plain slash.
_REPO = "(?P<repo>[^/]+/[^/]+)"
_ROUTES = {
    "info": re.compile(rf"/api/models/{_REPO}(?:/revision/(?P<revision>[^/]+))?"),
    "tree": re.compile(rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    "paths": re.compile(rf"/api/models/{_REPO}/paths-info/(?P<revision>[^/]+)"),
    "file": re.compile(rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "stored": re.compile(r"/stored/(?P<digest>[0-9a-f]{64})/(?P<path>.+)"),
}
_RANGE = re.compile(r"bytes=(?P<first>[0-9]*)-(?P<last>[0-9]*)")

_PIECE = 1 << 16

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """A request and what was answered.

    Attributes:
        method: GET, HEAD or POST.
        path: The path with its escapes resolved, without the query.
        range: The Range header.
        status: The answer's status.
        sent: How many bytes of a body the answer held (fewer may have been read).
        authorized: Whether it carried a token.
    """

    method: str
    path: str
    range: str | None
    status: int
    sent: int
    authorized: bool


@dataclass
class Repo:
    """A model repo.

    Attributes:
        commits: By commit, the files by path.
        names: Branches, tags and other refs, with the commit each stands for.
        gated: Whether files are refused to requests without the TOKEN.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    gated: bool = False


@dataclass
class Fault:
    """What goes wrong with the next requests that it matches.

    Attributes:
        pattern: A shell pattern over the request's path.
        method: The method, or "*".
        times: How many requests are still to fail.
        status: The status to answer with, or None to cut the connection.
        after: How many bytes of the body to send before the cut.
        message: The body that goes with the status.
        headers: The headers that go with the status.
        change: What is done to the right answer, in place of all that.
    """

    pattern: str
    method: str
    times: int
    status: int | None = None
    after: int = 0
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Answer], Answer] | None = None


class Hub:
    """The endpoint's state, shared with the test.

    Attributes:
        url: Where it listens; what HF_ENDPOINT is to be.
        storage_url: Where the files kept in LFS are.
        repos: By id.
        stored: The files kept in LFS, by digest.
        requests: Every request so far.
        ranges: Whether Range headers are heeded.
        written: How many bytes of bodies the clients took, about.
    """

    def __init__(self) -> None:
        self.url = ""
        self.storage_url = ""
        self.repos: dict[str, Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.ranges = True
        self.written = 0
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        *,
        names: tuple[str, ...] = ("main",),
        gated: bool = False,
    ) -> str:
        """Add a commit, and the repo if it is new.

        Args:
            repo_id: ORG/NAME.
            files: All files of the commit, by path.
            names: The branches, tags and other refs that stand for it from now on.
            gated: Whether the repo is gated from now on.

        Returns:
            The commit's hash.
        """
        repo = self.repos.setdefault(repo_id, Repo())
        repo.gated = gated
        content = repr((len(repo.commits), sorted(files.items()))).encode()
        commit = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        repo.commits[commit] = dict(files)
        repo.names.update(dict.fromkeys(names, commit))
        for path, body in files.items():
            if path.endswith(LFS_SUFFIXES):
                self.stored[etag_of(path, body)] = body
        return commit

    def fail(
        self,
        pattern: str = "*",
        *,
        status: int = 503,
        times: int = 1,
        message: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next requests for a path with an error, and a message as its body."""
        self._faults.append(
            Fault(pattern, "*", times, status=status, message=message, headers=headers or {})
        )

    def cut(self, pattern: str = "*", *, after: int, times: int = 1) -> None:
        """Cut the connection in the middle of the next bodies for a path."""
        self._faults.append(Fault(pattern, "GET", times, after=after))

    def alter(self, pattern: str, change: Callable[[Answer], Answer], *, times: int = 1) -> None:
        """Change the answers to the next requests by GET for a path."""
        self._faults.append(Fault(pattern, "GET", times, change=change))

    def got(self, pattern: str = "*") -> list[Request]:
        """The requests by GET for files whose path within the repo matches."""
        return [
            request
            for request in self.requests
            if request.method == "GET"
            and (match := _ROUTES["file"].fullmatch(request.path) or _stored(request.path))
            and fnmatchcase(match["path"], pattern)
        ]

    def record(self, request: Request) -> None:
        """Note a request."""
        with self._lock:
            self.requests.append(request)

    def count(self, written: int) -> None:
        """Note bytes of a body that the system took from us."""
        with self._lock:
            self.written += written

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, used up by one."""
        with self._lock:
            for fault in self._faults:
                matches = fault.method in ("*", method) and fnmatchcase(path, fault.pattern)
                if matches and fault.times:
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def serve() -> Iterator[Hub]:
    """Run an endpoint on two free ports of this machine."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    with ExitStack() as stack:
        hub.url = stack.enter_context(_listening(Handler))
        hub.storage_url = stack.enter_context(_listening(Handler))
        yield hub


@contextmanager
def _listening(handler: type["_Handler"]) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may hang up at any time; anything else is a bug here and is shown.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *_: object) -> None:
        """Keep quiet; the state has the record."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        # Read first: what is left unread would be taken for the next request.
        posted = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        fault = self.state.take_fault(self.command, path)
        if fault and fault.status:
            answer: Answer = (fault.status, dict(fault.headers), fault.message.encode())
        elif fault and fault.change:
            answer = fault.change(self._route(posted))
        else:
            answer = self._route(posted)
        status, headers, body = answer
        whole = len(body)
        if self.command == "HEAD":
            body = b""
        if fault and fault.status is None and fault.change is None:
            body = body[: fault.after]
            self.close_connection = True
        authorized = "Authorization" in self.headers
        self.state.record(
            Request(self.command, path, self.headers["Range"], status, len(body), authorized)
        )
        self._send(status, {"Content-Length": str(whole), **headers}, body)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for begin in range(0, len(body), _PIECE):
            self.wfile.write(body[begin : begin + _PIECE])
            self.state.count(min(_PIECE, len(body) - begin))

    def _route(self, posted: bytes) -> Answer:
        path = urlsplit(self.path).path
        for name, pattern in _ROUTES.items():
            if match := pattern.fullmatch(path):
                parts = {key: unquote(part or "") for key, part in match.groupdict().items()}
                if name == "stored":
                    return self._stored_file(parts["digest"])
                return self._in_repo(name, parts, posted)
        return _error(404, "NotFound")

    def _in_repo(self, name: str, parts: Mapping[str, str], posted: bytes) -> Answer:
        repo = self.state.repos.get(parts["repo"])
        if repo is None:
            # The real Hub does not tell a stranger whether a private repo exists.
            return _error(404 if "Authorization" in self.headers else 401, "RepoNotFound")
        revision = parts["revision"] or "main"
        commit = repo.names.get(revision, revision)
        if commit not in repo.commits:
            return _error(404, "RevisionNotFound")
        files = repo.commits[commit]
        if name == "file":
            return self._file(repo, commit, parts["path"])
        if name == "info":
            blobs = parse_qs(urlsplit(self.path).query).get("blobs", [""])[0]
            sized = blobs.lower() in ("true", "1")
            return _json(_info(parts["repo"], commit, repo, files, sized=sized))
        if name == "paths":
            wanted = parse_qs(posted.decode())["paths"]
            return _json([entry for entry in _tree(files) if entry["path"] in wanted])
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0]
        return self._tree(files, parts["path"], recursive=recursive.lower() in ("true", "1"))

    def _tree(self, files: Mapping[str, bytes], folder: str, *, recursive: bool) -> Answer:
        below = PurePosixPath(folder)
        entries = [
            entry
            for entry in _tree(files)
            if (path := PurePosixPath(str(entry["path"]))).is_relative_to(below)
            and path != below
            and (recursive or path.parent == below)
        ]
        return _json(entries) if entries or not folder else _error(404, "EntryNotFound")

    def _file(self, repo: Repo, commit: str, path: str) -> Answer:
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        token = self.headers["Authorization"]
        if repo.gated and token != f"Bearer {TOKEN}":
            return _error(403 if token else 401, "GatedRepo")
        content = repo.commits[commit].get(path)
        if content is None:
            return _error(404, "EntryNotFound", headers)
        etag = etag_of(path, content)
        if not path.endswith(LFS_SUFFIXES):
            return self._ranged(content, {**headers, "ETag": f'"{etag}"'})
        location = f"{self.state.storage_url}/stored/{etag}/{quote(path)}"
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{etag}"'}
        return 302, {**headers, **linked, "Location": location}, b""

    def _stored_file(self, digest: str) -> Answer:
        content = self.state.stored.get(digest)
        if content is None:
            return _error(404, "EntryNotFound")
        return self._ranged(content, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})

    def _ranged(self, content: bytes, headers: Mapping[str, str]) -> Answer:
        wanted = requested(self.headers["Range"], len(content))
        # A range counts for GET only.
        if wanted is None or self.command != "GET" or not self.state.ranges:
            return 200, dict(headers), content
        if not wanted:
            return 416, {**headers, "Content-Range": f"bytes */{len(content)}"}, b""
        span = f"bytes {wanted.start}-{wanted.stop - 1}/{len(content)}"
        return 206, {**headers, "Content-Range": span}, content[wanted.start : wanted.stop]


def requested(header: str | None, size: int) -> range | None:
    """The bytes that a Range header asks for.

    Returns:
        The positions; an empty range where none of them exists (416); None where the header
        is absent, malformed or asks for several ranges, so that the whole file is the answer.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match["first"] == match["last"] == "":
        return None
    if not match["first"]:
        return range(max(size - int(match["last"]), 0), size)
    first, last = int(match["first"]), int(match["last"] or size)
    if match["last"] and last < first:
        return None
    return range(first, min(last + 1, size))


def etag_of(path: str, content: bytes) -> str:
    """The name that the Hub gives a file's bytes, and the cache its blob."""
    if path.endswith(LFS_SUFFIXES):
        return hashlib.sha256(content).hexdigest()
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _stored(path: str) -> re.Match[str] | None:
    return _ROUTES["stored"].fullmatch(path)


def _json(document: object) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    words = {"X-Error-Code": code, "X-Error-Message": f"{code} (test endpoint)"}
    return status, {**(headers or {}), **words}, b""


def _info(
    repo_id: str, commit: str, repo: Repo, files: Mapping[str, bytes], *, sized: bool
) -> dict[str, Any]:
    return {
        "id": repo_id,
        "modelId": repo_id,
        "sha": commit,
        "private": False,
        "gated": "manual" if repo.gated else False,
        "siblings": [
            {"rfilename": path, **(_blob(path, files[path]) if sized else {})}
            for path in sorted(files)
        ],
    }


def _blob(path: str, content: bytes) -> dict[str, Any]:
    """A file as the info names it where it is asked for sizes."""
    entry = {"size": len(content), "blobId": etag_of("", content)}
    if not path.endswith(LFS_SUFFIXES):
        return entry
    lfs = {"sha256": etag_of(path, content), "size": len(content), "pointerSize": 134}
    return {**entry, "lfs": lfs}


def _tree(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Every folder and file of a commit as a listing names it."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    return [
        *(
            {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
            for path in sorted(folders)
        ),
        *(_tree_file(path, files[path]) for path in sorted(files)),
    ]


def _tree_file(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content)}
    if not path.endswith(LFS_SUFFIXES):
        return {**entry, "oid": etag_of(path, content)}
    digest = etag_of(path, content)
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    ).encode()
    lfs = {"oid": digest, "size": len(content), "pointerSize": len(pointer)}
    return {**entry, "oid": etag_of("pointer", pointer), "lfs": lfs}
