"""A Hub on this machine: enough of its HTTP protocol for the real huggingface_hub client.

Model info, file trees, and files by HEAD and GET with ranges. Large files and those that a
real repo keeps in LFS have SHA-256 etags, the others the etags of git blobs.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".model", ".png", ".gguf")

_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<rev>[^/]+)(/.*)?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Repo:
    """A model repo.

    Attributes:
        files: By commit, the files by path.
        names: Branches and tags with the commit each stands for.
        gated: Whether files are refused.
    """

    files: dict[str, dict[str, bytes]]
    names: dict[str, str]
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """The commit of a branch, tag or commit."""
        commit = self.names.get(revision, revision)
        return commit if commit in self.files else None


@dataclass
class Hub:
    """The endpoint's state, shared with the test.

    Attributes:
        url: Where it listens.
        repos: By id.
        requests: Every request so far: method, path and range.
        cut: How many file answers are still cut off half way.
    """

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    cut: int = 0

    def add(self, repo_id: str, files: dict[str, bytes], *, gated: bool = False) -> str:
        """Add a repo with one commit on main; returns the commit."""
        digest = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False)
        commit = digest.hexdigest()
        self.repos[repo_id] = Repo({commit: files}, {"main": commit, "v1": commit}, gated)
        return commit

    def fetched(self) -> list[str]:
        """The paths within repos that were asked for by GET."""
        matches = (_FILE.fullmatch(path) for method, path, _ in self.requests if method == "GET")
        return [match["path"] for match in matches if match]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run an endpoint on a free port of this machine."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.requests.append((self.command, path, self.headers.get("Range")))
        match = _API.fullmatch(path) or _FILE.fullmatch(path)
        if match is None:
            self._fail(404, "RepoNotFound")
            return
        repo = self.state.repos.get(match["repo"])
        commit = repo.commit(match["rev"]) if repo else None
        if repo is None:
            self._fail(401, "RepoNotFound")
        elif commit is None:
            self._fail(404, "RevisionNotFound")
        elif "path" in match.groupdict():
            self._send_file(repo, commit, match["path"])
        elif match["what"] == "tree":
            self._send_json([_tree_entry(*item) for item in repo.files[commit].items()])
        else:
            siblings = [{"rfilename": name} for name in repo.files[commit]]
            self._send_json({"id": match["repo"], "sha": commit, "siblings": siblings})

    def _send_json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send_body(body)

    def _send_file(self, repo: Repo, commit: str, path: str) -> None:
        content = repo.files[commit].get(path)
        if repo.gated:
            self._fail(403, "GatedRepo")
        elif content is None:
            self._fail(404, "EntryNotFound")
        else:
            self._send_range(
                content, {"ETag": f'"{_etag(path, content)}"', "X-Repo-Commit": commit}
            )

    def _send_range(self, content: bytes, headers: dict[str, str]) -> None:
        wanted = _RANGE.fullmatch(self.headers.get("Range") or "")
        body = content
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            body = content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(content)}"
        self.send_response(206 if wanted else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET" and self.state.cut:
            self.state.cut -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self._send_body(body)

    def _send_body(self, body: bytes) -> None:
        if self.command == "GET":
            self.wfile.write(body)

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(path: str, content: bytes) -> str:
    if path.endswith(LFS_SUFFIXES):
        return hashlib.sha256(content).hexdigest()
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _tree_entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": _etag(path, content),
    }
    if path.endswith(LFS_SUFFIXES):
        entry["lfs"] = {"oid": _etag(path, content), "size": len(content), "pointerSize": 134}
    return entry
