"""Files read in place, by byte ranges, against an endpoint that speaks the Hub's protocol."""

import itertools
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import requests
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from k2compat.errors import HubError
from k2compat.findings import catalogue
from k2compat.hub import HubFileError, HubRepo, RemoteRepo, list_remote, ranges
from tests.support.hub_endpoint import TOKEN, Answer, Hub, Request

REPO = "org/model"
MODEL = HubRepo(REPO)
SHARD = "model-1-of-1.safetensors"
DATA = bytes(itertools.islice(itertools.cycle(range(251)), 100_000))
FILES = {"config.json": b"{}", "docs/表.md": b"tables", SHARD: DATA}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "WAITS", (0.0, 0.0))


@pytest.fixture
def remote(hub: Hub, client: Path) -> RemoteRepo:
    hub.commit(REPO, FILES)
    listed = list_remote(MODEL)
    hub.requests.clear()
    return listed


def refusal(remote: RemoteRepo, start: int = 0, length: int = 10, path: str = SHARD) -> HubError:
    with pytest.raises(HubError) as caught:
        remote.read(path, start, length)
    assert caught.value.code in catalogue()
    assert caught.value.message.endswith(".")
    return caught.value


def asked(hub: Hub) -> list[Request]:
    """The requests about models: the library has questions of its own."""
    return [request for request in hub.requests if request.path.startswith("/api/models")]


# Listing


def test_a_listing_names_commit_and_sizes_with_one_request(hub: Hub, client: Path) -> None:
    commit = hub.commit(REPO, FILES, names=("main", "refs/pr/1"))
    for repo in (MODEL, HubRepo(REPO, "refs/pr/1"), HubRepo(REPO, commit)):
        hub.requests.clear()
        remote = list_remote(repo)
        assert (remote.commit, remote.repo) == (commit, repo)
        assert dict(remote.sizes) == {path: len(body) for path, body in FILES.items()}
        assert len(asked(hub)) == 1


@pytest.mark.parametrize(
    ("repo", "code"),
    [
        (HubRepo("org/other"), "hub-repo-not-found"),
        (HubRepo(REPO, "v9"), "hub-revision-not-found"),
    ],
)
def test_what_is_not_there(hub: Hub, client: Path, repo: HubRepo, code: str) -> None:
    hub.commit(REPO, FILES)
    with pytest.raises(HubError) as caught:
        list_remote(repo)
    assert caught.value.code == code
    assert len(asked(hub)) == 1


@pytest.mark.parametrize(
    "body", ['{"id": "a/b"}', '{"id": "a/b", "sha": "0", "siblings": [{"rfilename": "x"}]}']
)
def test_a_hub_that_tells_no_sizes(hub: Hub, client: Path, body: str) -> None:
    hub.fail(status=200, message=body)
    with pytest.raises(HubError, match="does not say which files") as caught:
        list_remote(MODEL)
    assert caught.value.code == "hub-failed"


def test_an_endpoint_that_is_no_hub(hub: Hub, client: Path) -> None:
    hub.fail(status=200, message="<html>Log in to the hotel's network</html>")
    with pytest.raises(HubError) as caught:
        list_remote(MODEL)
    assert (caught.value.code, caught.value.hint) == ("hub-failed", "Run the same command again.")


def test_an_endpoint_where_nobody_listens(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError) as caught:
        list_remote(MODEL)
    assert caught.value.code == "hub-unreachable"
    assert caught.value.message == ("The Hub at 127.0.0.1:9 cannot be reached: Connection refused.")
    assert "HF_HUB_OFFLINE=1" in caught.value.hint


# Bytes


@pytest.mark.parametrize("path", [SHARD, "docs/表.md"])
@pytest.mark.parametrize(("start", "length"), [(0, 1), (2, 3), (5, 99_999_999), (0, 0), (10**9, 1)])
def test_bytes_are_those_of_the_file(
    hub: Hub, remote: RemoteRepo, path: str, start: int, length: int
) -> None:
    expected = FILES[path][start : start + length]
    assert remote.read(path, start, length) == expected
    assert sum(request.sent for request in hub.requests) == len(expected)


@given(st.data())
def test_whether_ranges_are_heeded_or_not_the_bytes_are_the_same(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DATA) - 1))
    length = data.draw(st.integers(1, len(DATA) - start))
    piece = data.draw(st.integers(1, len(DATA)))
    wanted = ranges.Wanted(SHARD, start, length, len(DATA), "The Hub")
    expected = DATA[start : start + length]
    span = {"Content-Range": f"bytes {start}-{start + length - 1}/{len(DATA)}"}
    answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, DATA), (206, span, expected)]
    for status, heading, body in answers:
        pieces = iter([body[at : at + piece] for at in range(0, len(body), piece)])
        skip = ranges._skip(wanted, status, heading)
        assert ranges._body(wanted, skip, pieces) == expected


def test_the_commit_is_read_that_was_listed(hub: Hub, remote: RemoteRepo) -> None:
    hub.commit(REPO, {**FILES, SHARD: b"another"})
    assert remote.read(SHARD, 0, 4) == DATA[:4]


def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES, gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    remote = list_remote(MODEL)
    hub.requests.clear()
    assert remote.read(SHARD, 0, 4) == DATA[:4]
    asked_for, stored = hub.requests
    assert asked_for.authorized
    assert stored.path.startswith("/stored/")
    assert not stored.authorized


def test_a_gated_repo(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES, gated=True)
    assert refusal(list_remote(MODEL)).code == "hub-gated"


def test_older_releases_of_the_library_use_requests(
    hub: Hub, remote: RemoteRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with requests.Session() as session:
        monkeypatch.setattr(huggingface_hub, "get_session", lambda: session)
        assert remote.read(SHARD, 50, 50) == DATA[50:100]
        assert [request.sent for request in hub.requests] == [0, 50]
        hub.cut("/stored/*", after=7)
        assert remote.read(SHARD, 50, 50) == DATA[50:100]


# Servers that do not do as they should


def test_a_server_that_ignores_ranges_is_left_when_the_bytes_are_there(
    hub: Hub, client: Path
) -> None:
    large = bytes(48 << 20)
    hub.commit(REPO, {SHARD: large})
    hub.ranges = False
    remote = list_remote(MODEL)
    hub.written = 0
    assert remote.read(SHARD, 1000, 1000) == bytes(1000)
    # What the system's buffers hold was sent as well.
    assert hub.written < len(large) // 3
    error = refusal(remote, start=(16 << 20) + 1)
    assert error.code == "hub-range-refused"
    assert "with the whole file" in error.message


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_hub_out_of_order_is_asked_again(hub: Hub, remote: RemoteRepo, status: int) -> None:
    hub.fail(status=status, times=2)
    assert remote.read(SHARD, 0, 4) == DATA[:4]
    hub.fail(status=status, times=3)
    error = refusal(remote)
    assert error.code == "hub-unreachable"
    assert f"(status {status})." in error.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("100000", 60.0), ("0", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.5), ("-1", 0.5)],
)
def test_it_waits_as_long_as_the_server_says_within_reason(
    hub: Hub, remote: RemoteRepo, monkeypatch: pytest.MonkeyPatch, header: str, seconds: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(ranges, "WAITS", (0.5,))
    monkeypatch.setattr(remote._closed, "wait", waited.append)
    hub.fail(status=429, headers={"Retry-After": header})
    assert remote.read(SHARD, 0, 4) == DATA[:4]
    assert waited == [seconds]


def test_a_request_that_is_refused_is_not_repeated(hub: Hub, remote: RemoteRepo) -> None:
    hub.fail(status=403, message="Not from this address.")
    error = refusal(remote)
    assert error.code == "hub-failed"
    assert error.message.endswith("(status 403): Not from this address.")
    assert len(hub.requests) == 1


def test_links_in_a_circle_are_not_followed_twice(hub: Hub, remote: RemoteRepo) -> None:
    def circle(answer: Answer) -> Answer:
        return 302, {"Location": f"{hub.url}/{REPO}/resolve/main/{SHARD}"}, b""

    hub.alter("*", circle, times=1000)
    assert refusal(remote).code == "hub-unreachable"
    assert len(hub.requests) < 50


def test_a_connection_that_breaks_is_made_again(hub: Hub, remote: RemoteRepo) -> None:
    hub.cut("/stored/*", after=100, times=2)
    assert remote.read(SHARD, 0, 1000) == DATA[:1000]


def test_one_that_always_breaks_is_told_with_the_file(hub: Hub, remote: RemoteRepo) -> None:
    hub.cut("/stored/*", after=100, times=3)
    error = refusal(remote, length=1000)
    assert isinstance(error, HubFileError)
    assert (error.code, error.actual) == ("hub-range-refused", "100 bytes")


def test_an_answer_that_goes_on_for_ever(
    hub: Hub, remote: RemoteRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "READING_SECONDS_MAX", -1.0)
    assert refusal(remote).code == "hub-range-refused"


def test_a_closed_repo_tries_nothing_again(hub: Hub, remote: RemoteRepo) -> None:
    remote.close()
    hub.fail()
    assert refusal(remote).code == "hub-unreachable"
    assert len(hub.requests) == 1


def headers(**changes: str | None) -> Callable[[Answer], Answer]:
    """An answer with other headers; None takes one away."""

    def change(answer: Answer) -> Answer:
        status, before, body = answer
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return (
            status,
            {name: value for name, value in {**before, **named}.items() if value is not None},
            body,
        )

    return change


def short(answer: Answer) -> Answer:
    return answer[0], answer[1], answer[2][:-1]


def without_content(answer: Answer) -> Answer:
    return 204, {}, b""


def page(answer: Answer) -> Answer:
    return 200, {}, b"<html>Log in to the hotel's network</html>"


def unsatisfiable(answer: Answer) -> Answer:
    return 416, {}, b""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (headers(Content_Range="bytes 1-10/100000"), "hub-range-refused"),
        (headers(Content_Range="bytes 0-8/100000"), "hub-range-refused"),
        (headers(Content_Range="bytes 0-9/99999"), "hub-file-changed"),
        (headers(Content_Range="bytes 0-9/what"), "hub-range-refused"),
        (headers(Content_Range=None), "hub-range-refused"),
        (headers(Content_Encoding="gzip"), "hub-range-refused"),
        (without_content, "hub-range-refused"),
        (short, "hub-range-refused"),
        (page, "hub-file-changed"),
        (unsatisfiable, "hub-file-changed"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for(
    hub: Hub, remote: RemoteRepo, change: Callable[[Answer], Answer], code: str
) -> None:
    hub.alter("/stored/*", change, times=100)
    error = refusal(remote)
    assert isinstance(error, HubFileError)
    assert error.code == code
    finding = error.finding("hf://org/model/x")
    assert (finding.code, finding.where, finding.actual) == (code, "hf://org/model/x", error.actual)


def test_a_range_of_a_file_of_unknown_length_is_fine(hub: Hub, remote: RemoteRepo) -> None:
    hub.alter("/stored/*", headers(Content_Range="bytes 0-9/*"))
    assert remote.read(SHARD, 0, 10) == DATA[:10]


def test_a_file_that_vanished(hub: Hub, remote: RemoteRepo) -> None:
    hub.repos[REPO].commits[remote.commit].pop(SHARD)
    assert refusal(remote).code == "hub-file-changed"
    hub.repos.clear()
    assert refusal(remote).code == "hub-repo-not-found"


@pytest.mark.parametrize("tag", ["X_Linked_ETag", "ETag"])
def test_a_file_that_changes_between_requests(hub: Hub, remote: RemoteRepo, tag: str) -> None:
    place = "/stored/*" if tag == "ETag" else "/org/*"
    if tag == "ETag":
        hub.alter("/org/*", headers(X_Linked_ETag=None), times=3)
    remote.read(SHARD, 0, 10)
    remote.read(SHARD, 10, 10)
    hub.alter(place, headers(**{tag: '"other"'}))
    error = refusal(remote, start=20)
    assert error.code == "hub-file-changed"
    assert isinstance(error, HubFileError)
    assert error.actual is not None
    assert error.actual.startswith("ETag other, before ")


def test_tags_that_only_differ_in_strength_or_are_missing_are_no_change(
    hub: Hub, remote: RemoteRepo
) -> None:
    whole = remote.read("config.json", 0, 2)
    etag = f'W/"{remote._tags["config.json"]}"'
    hub.alter("*/config.json", headers(ETag=etag))
    assert remote.read("config.json", 0, 2) == whole
    hub.alter("*/config.json", headers(ETag=None))
    assert remote.read("config.json", 0, 2) == whole
