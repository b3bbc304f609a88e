"""The test endpoint itself: a wrong peer would prove nothing."""

import hashlib
import http.client
import json
import time
from urllib.parse import urlencode, urlsplit

import huggingface_hub
import pytest

from tests.support.hub_endpoint import Hub, requested

REPO = "org/model"
FILES = {"config.json": b"0123456789", "docs/a/b.md": b"deep", "model.safetensors": b"w" * 1000}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-", range(10)),
        ("bytes=0-0", range(1)),
        ("bytes=3-5", range(3, 6)),
        ("bytes=3-99", range(3, 10)),
        ("bytes=-4", range(6, 10)),
        ("bytes=-99", range(10)),
        ("bytes=10-", range(10, 10)),
        ("bytes=-0", range(10, 10)),
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_ranges_are_those_of_the_standard(header: str | None, expected: range | None) -> None:
    found = requested(header, 10)
    assert (found is None) == (expected is None)
    assert list(found or ()) == list(expected or ())


def ask(
    url: str, path: str, *, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("wanted", "status", "span", "body"),
    [
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=8-", 206, "bytes 8-9/10", b"89"),
        ("bytes=-1", 206, "bytes 9-9/10", b"9"),
        ("bytes=10-", 416, "bytes */10", b""),
        ("bytes=4-2", 200, None, b"0123456789"),
    ],
)
def test_a_range_is_answered_and_noted(
    hub: Hub, wanted: str, status: int, span: str | None, body: bytes
) -> None:
    hub.commit(REPO, FILES)
    response, answer = ask(hub.url, f"/{REPO}/resolve/main/config.json", Range=wanted)
    assert (response.status, response.headers["Content-Range"], answer) == (status, span, body)
    (request,) = hub.got("config.json")
    assert (request.range, request.status, request.sent) == (wanted, status, len(body))


def test_head_says_the_length_and_sends_nothing(hub: Hub) -> None:
    commit = hub.commit(REPO, FILES)
    response, body = ask(hub.url, f"/{REPO}/resolve/main/config.json", method="HEAD")
    etag = hashlib.sha1(b"blob 10\x000123456789").hexdigest()
    assert (response.headers["Content-Length"], body) == ("10", b"")
    assert response.headers["ETag"] == f'"{etag}"'
    assert response.headers["X-Repo-Commit"] == commit
    assert hub.requests[-1].sent == 0


def test_a_file_in_lfs_is_elsewhere_under_its_digest(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    response, body = ask(hub.url, f"/{REPO}/resolve/main/model.safetensors")
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert (response.status, body) == (302, b"")
    assert response.headers["X-Linked-ETag"] == f'"{digest}"'
    assert response.headers["X-Linked-Size"] == "1000"
    place = urlsplit(response.headers["Location"])
    response, body = ask(hub.storage_url, place.path, Range="bytes=990-")
    assert (response.status, body) == (206, b"w" * 10)
    assert [request.sent for request in hub.got("model.safetensors")] == [0, 10]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/models/org/other", 401, "RepoNotFound"),
        (f"/api/models/{REPO}/revision/v9", 404, "RevisionNotFound"),
        (f"/api/models/{REPO}/tree/main/nowhere", 404, "EntryNotFound"),
        (f"/{REPO}/resolve/main/nothing.json", 404, "EntryNotFound"),
        ("/stored/" + "0" * 64 + "/x.model", 404, "EntryNotFound"),
        ("/elsewhere", 404, "NotFound"),
    ],
)
def test_what_is_not_there_has_the_hubs_codes(hub: Hub, path: str, status: int, code: str) -> None:
    hub.commit(REPO, FILES)
    response, _ = ask(hub.url, path)
    assert (response.status, response.headers["X-Error-Code"]) == (status, code)


def test_the_client_reads_the_listings(hub: Hub) -> None:
    commit = hub.commit(REPO, FILES, names=("main", "refs/pr/1"))
    api = huggingface_hub.HfApi(endpoint=hub.url, token=False)
    assert api.model_info(REPO).sha == commit
    assert api.model_info(REPO, revision="refs/pr/1").sha == commit
    assert api.list_repo_files(REPO) == sorted(FILES)
    top = [entry.path for entry in api.list_repo_tree(REPO)]
    assert top == ["docs", "config.json", "model.safetensors"]
    below = [entry.path for entry in api.list_repo_tree(REPO, "docs", recursive=True)]
    assert below == ["docs/a", "docs/a/b.md"]
    named = api.get_paths_info(REPO, ["docs", "config.json"], revision="refs/pr/1")
    assert [entry.path for entry in named] == ["docs", "config.json"]


def test_paths_info_takes_a_form(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    form = urlencode({"paths": ["model.safetensors"], "expand": False}, doseq=True)
    _, body = ask(hub.url, f"/api/models/{REPO}/paths-info/main", method="POST", body=form)
    (entry,) = json.loads(body)
    assert entry["lfs"]["size"] == entry["size"] == 1000
    assert entry["lfs"]["oid"] != entry["oid"]


def test_it_fails_as_often_as_told(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    hub.fail("*/config.json", status=503, times=2)
    path = f"/{REPO}/resolve/main/config.json"
    assert [ask(hub.url, path)[0].status for _ in range(3)] == [503, 503, 200]


def test_it_cuts_a_body_where_told(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    hub.cut("*/config.json", after=4)
    path = f"/{REPO}/resolve/main/config.json"
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(hub.url, path)
    assert caught.value.partial == b"0123"
    assert ask(hub.url, path, Range="bytes=4-")[1] == b"456789"


def test_the_info_has_sizes_where_they_are_asked_for(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    api = huggingface_hub.HfApi(endpoint=hub.url, token=False)
    plain, sized = (api.model_info(REPO, files_metadata=sizes) for sizes in (False, True))
    assert [(file.rfilename, file.size) for file in plain.siblings or ()] == [
        (path, None) for path in sorted(FILES)
    ]
    assert {file.rfilename: file.size for file in sized.siblings or ()} == {
        path: len(body) for path, body in FILES.items()
    }
    assert [file.lfs is not None for file in sized.siblings or ()] == [False, False, True]


def test_it_changes_answers_and_ignores_ranges_where_told(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    path = f"/{REPO}/resolve/main/config.json"
    hub.alter("*/config.json", lambda answer: (answer[0], {"X-New": "1"}, answer[2][::-1]))
    response, body = ask(hub.url, path)
    assert (response.headers["X-New"], body) == ("1", b"9876543210")
    assert ask(hub.url, path)[1] == b"0123456789"
    hub.ranges = False
    response, body = ask(hub.url, path, Range="bytes=2-3")
    assert (response.status, body) == (200, b"0123456789")
    deadline = time.monotonic() + 10  # the server counts after the client has its bytes
    while hub.written < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hub.written == 30
