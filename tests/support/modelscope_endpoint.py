"""A ModelScope on this machine: what its own small client, modelscope-hub, speaks.

The listing of a model's files with a SHA-256 of each, and files by GET with ranges.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub_endpoint import requested

PREFIX = "/api/v1/models/"

Entries = list[dict[str, Any]]


@dataclass
class ModelScope:
    """The endpoint's state, shared with the test.

    Attributes:
        url: Where it listens; what MODELSCOPE_ENDPOINT is to be.
        repos: By ORG/REPO and revision, the files by path.
        sent: What is sent in place of a file's bytes, by path.
        listed: Changes the entries of a listing.
        statuses: The answers' statuses, first of the next; then all is well again.
        asked: Path and Range header of every file that was asked for.
    """

    url: str = ""
    repos: dict[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    listed: Callable[[Entries], Entries] = list
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def commit(self, repo: str, files: Mapping[str, bytes], revision: str = "master") -> None:
        """Make a revision of a repo hold these files."""
        self.repos[repo, revision] = files


@contextmanager
def serve_modelscope() -> Iterator[ModelScope]:
    """Run an endpoint."""
    state = ModelScope()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: ClassVar[ModelScope]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        owner, name, *rest = unquote(address.path).removeprefix(PREFIX).split("/")
        if self.state.statuses:
            status = self.state.statuses.pop(0)
            self._send(status, json.dumps({"Code": status, "Message": "not now"}).encode())
            return
        files = self.state.repos.get((f"{owner}/{name}", query["Revision"]))
        if files is None:
            self._send(404, b'{"Code": 10010205001, "Message": "record not found"}')
        elif rest == ["repo", "files"]:
            entries = self.state.listed([*_folders(files), *map(_entry, files.items())])
            answer = {"Code": 200, "Data": {"Files": entries}, "Success": True}
            self._send(200, json.dumps(answer).encode())
        else:
            self._file(files, query["FilePath"])

    def _file(self, files: Mapping[str, bytes], path: str) -> None:
        self.state.asked.append((path, self.headers["Range"]))
        content = self.state.sent.get(path, files[path])
        wanted = requested(self.headers["Range"], len(content))
        if not wanted:
            self._send(200, content)
            return
        span = f"bytes {wanted.start}-{wanted.stop - 1}/{len(content)}"
        self._send(206, content[wanted.start : wanted.stop], {"Content-Range": span})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _folders(files: Mapping[str, bytes]) -> Entries:
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    return [{"Path": folder, "Type": "tree", "Size": 0} for folder in sorted(folders)]


def _entry(file: tuple[str, bytes]) -> dict[str, Any]:
    path, content = file
    digest = hashlib.sha256(content).hexdigest()
    return {"Path": path, "Type": "blob", "Size": len(content), "Sha256": digest}
