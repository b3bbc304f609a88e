"""A repo on the Hub as a source: only headers travel."""

import json
import struct
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from k2compat.checkpoint import hub_source
from k2compat.checkpoint.gguf_files.header import parse_gguf
from k2compat.checkpoint.hub_source import AHEAD, CONNECTIONS, FIRST_BYTES, open_hub_source
from k2compat.checkpoint.safetensors_files.header import header_end, parse_safetensors
from k2compat.checkpoint.sources.source import FileRefusedError, Source
from k2compat.errors import HubError
from k2compat.hub import HubRepo, ranges, workers
from tests.support.hub_client import REPO, repo_files
from tests.support.hub_endpoint import Answer, Hub

MODEL = HubRepo(REPO)
FILES = repo_files()
SHARDS = sorted(path for path in FILES if path.endswith(".safetensors"))
DATA_BYTES = 3 << 20


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "WAITS", (0.0, 0.0))


def shard(number: int = 0, *, name_bytes: int = 0) -> bytes:
    """A sound file of 3 MiB of data; with long names, of a long header, too."""
    entry = {"dtype": "U8", "shape": [DATA_BYTES], "data_offsets": [0, DATA_BYTES]}
    header = json.dumps({f"tensor.{number}{'x' * name_bytes}": entry}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(1, 256)) * (DATA_BYTES // 255 + 1)


def sound(**options: Any) -> bytes:
    body = shard(**options)
    return body[: header_end(body) + DATA_BYTES]


def read(source: Source, relative: str, start: int = 0, length: int = 1 << 24) -> bytes:
    with source.open(relative) as file:
        return file.read(start, length)


def header_findings(source: Source, relative: str) -> list[str]:
    with source.open(relative) as file:
        prefix = file.read(0, 8)
        prefix += file.read(8, header_end(prefix) - 8)
        header = parse_safetensors(prefix, path=str(file.path), file_size=file.size)
    return [finding.code for finding in header.findings]


def code_of(source: Source, relative: str) -> str:
    with pytest.raises(FileRefusedError) as caught, source.open(relative) as file:
        file.read(0, 8)
    assert caught.value.finding.where == f"hf://{REPO}/{relative}"
    return caught.value.finding.code


def sent(hub: Hub) -> int:
    return sum(request.sent for request in hub.got("*"))


def test_a_repo_lists_and_gives_its_files(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES)
    with open_hub_source(MODEL) as source:
        assert source.name == f"hf://{REPO}"
        assert dict(source.files) == {path: len(body) for path, body in FILES.items()}
        assert source.findings == ()
        for path, body in FILES.items():
            assert read(source, path) == body
            assert read(source, path, 5, 7) == body[5:12]


def test_only_headers_travel_in_one_request_each(hub: Hub, client: Path) -> None:
    names = [f"model-{number}-of-40.safetensors" for number in range(1, 41)]
    hub.commit(REPO, {name: sound(number=at) for at, name in enumerate(names)})
    with open_hub_source(MODEL) as source:
        for name in names:
            assert header_findings(source, name) == []
    assert sent(hub) == 40 * FIRST_BYTES
    assert len([request for request in hub.got("*") if request.sent]) == 40


def test_a_long_header_takes_one_request_more(hub: Hub, client: Path) -> None:
    body = sound(name_bytes=FIRST_BYTES)
    hub.commit(REPO, {"model.safetensors": body})
    with open_hub_source(MODEL) as source, source.open("model.safetensors") as file:
        assert file.read(0, header_end(body)) == body[: header_end(body)]
        assert file.size == len(body)
    assert [request.sent for request in hub.got("*") if request.sent] == [
        FIRST_BYTES,
        header_end(body) - FIRST_BYTES,
    ]


def test_a_header_that_claims_a_hundred_megabytes_is_not_fetched_ahead(
    hub: Hub, client: Path
) -> None:
    body = struct.pack("<Q", 99_000_000) + b"x" * (2 << 20)
    hub.commit(REPO, {"a.safetensors": body, "b.safetensors": body})
    with open_hub_source(MODEL) as source:
        with source.open("a.safetensors"):
            pass
        assert sent(hub) <= 2 * FIRST_BYTES
        assert header_findings(source, "b.safetensors") == ["safetensors-header-truncated"]


def test_ggufs_are_read_growing(hub: Hub, client: Path) -> None:
    key = b"general.name"
    body = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    body += struct.pack("<IQ", 8, 2 << 20) + b"n" * (2 << 20)
    body += bytes(-len(body) % 32)
    hub.commit(REPO, {"model.gguf": body})
    with open_hub_source(MODEL) as source, source.open("model.gguf") as file:
        assert parse_gguf(file.read(0, 1 << 20), path="x", file_size=file.size) is None
        header = parse_gguf(file.read(0, 4 << 20), path="x", file_size=file.size)
    assert header is not None
    assert header.findings == ()
    assert sent(hub) == len(body)


def test_bytes_far_behind_the_header_are_fetched_alone(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = sound()
    hub.commit(REPO, {"model.safetensors": body})
    with open_hub_source(MODEL) as source, source.open("model.safetensors") as file:
        assert file.read(2_000_000, 1000) == body[2_000_000:2_001_000]
        monkeypatch.setattr(hub_source, "PREFIX_BYTES_MAX", FIRST_BYTES)
        assert file.read(0, FIRST_BYTES + 1) == body[: FIRST_BYTES + 1]
        assert file.read(len(body), 10) == b""
    assert sent(hub) == FIRST_BYTES + 1000 + FIRST_BYTES + 1


def test_no_more_than_a_few_files_are_fetched_ahead(hub: Hub, client: Path) -> None:
    names = [f"model-{number:02}.safetensors" for number in range(40)]
    hub.commit(REPO, {name: b"\1" + bytes(8) for name in names})
    with open_hub_source(MODEL) as source:
        with source.open(names[0]):
            pass
        asked = {request.path.rpartition("/")[2] for request in hub.got("*")}
        assert names[0] in asked
        assert asked <= set(names[:AHEAD])
        # Any order will do, and any file may be opened again.
        for name in (names[30], names[3], names[0], names[0], names[39], names[5]):
            assert read(source, name) == b"\1" + bytes(8)


def fetchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "k2compat-hub"]


def test_a_stalled_server_does_not_keep_a_source_open(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CLOSING_SECONDS", 0.0)
    names = [f"model-{number:03}.safetensors" for number in range(4)]
    hub.commit(REPO, {name: sound() for name in names})
    over = threading.Event()

    def stalled(answer: Answer) -> Answer:
        assert over.wait(60)
        return answer

    for name in names[1:]:
        hub.alter(f"/stored/*/{name}", stalled)
    with open_hub_source(MODEL) as source:
        assert header_findings(source, names[0]) == []
    assert not over.is_set()
    over.set()
    for thread in fetchers():
        thread.join(60)


def test_a_source_left_early_stops_its_requests(hub: Hub, client: Path) -> None:
    hub.commit(REPO, {f"model-{number:03}.safetensors": sound() for number in range(20)})
    with open_hub_source(MODEL) as source:
        read(source, "model-000.safetensors", 0, 8)
        hub.fail(status=503, times=1000)
    assert fetchers() == []
    assert len(hub.requests) < 40


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "file-empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "file-lfs-pointer"),
        (b"<!DOCTYPE html><html>", "file-web-page"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(
    hub: Hub, client: Path, body: bytes, code: str
) -> None:
    hub.commit(REPO, {"model.safetensors": body})
    with open_hub_source(MODEL) as source:
        assert code_of(source, "model.safetensors") == code
        assert code_of(source, "../config.json") == "file-missing"


def test_a_file_that_is_not_given_is_a_finding_and_the_others_are_read(
    hub: Hub, client: Path
) -> None:
    hub.commit(REPO, {"a.safetensors": sound(), "b.safetensors": sound()})
    hub.alter("*/a.safetensors", lambda _: (404, {}, b""), times=1)
    with open_hub_source(MODEL) as source:
        assert code_of(source, "a.safetensors") == "hub-file-changed"
        assert header_findings(source, "b.safetensors") == []
        with source.open("b.safetensors") as file:
            hub.alter("*/b.safetensors", lambda _: (404, {}, b""), times=1)
            with pytest.raises(FileRefusedError) as caught:
                file.read(1_000_000, 1)
            assert caught.value.finding.code == "hub-file-changed"


def test_a_hub_that_goes_away_ends_the_work(hub: Hub, client: Path) -> None:
    hub.commit(REPO, {"a.safetensors": sound()})
    with open_hub_source(MODEL) as source:
        hub.fail("*", status=503, times=1000)
        with pytest.raises(HubError) as caught:
            read(source, "a.safetensors")
    assert caught.value.code == "hub-unreachable"


# Offline


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def fetch(*ignored: str) -> Path:
    return Path(huggingface_hub.snapshot_download(REPO, ignore_patterns=list(ignored)))


def refused_offline() -> None:
    with pytest.raises(HubError) as caught:
        open_hub_source(MODEL)
    assert caught.value.code == "hub-offline-missing"


def test_offline_the_cache_s_snapshot_is_the_source(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    fetch()
    hub.requests.clear()
    offline(monkeypatch)
    with open_hub_source(MODEL) as source:
        assert (source.name, source.findings) == (f"hf://{REPO}", ())
        assert {path: read(source, path) for path in source.files} == FILES
    assert hub.requests == []


def test_offline_a_repo_without_its_weights_is_refused(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    offline_before = constants.HF_HUB_OFFLINE
    offline(monkeypatch)
    refused_offline()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline_before)
    fetch("*.safetensors")
    offline(monkeypatch)
    refused_offline()


@pytest.mark.parametrize("missing", [SHARDS, SHARDS[:1]])
def test_offline_the_index_tells_where_the_library_keeps_no_listing(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    hub.commit(REPO, FILES)
    snapshot = fetch()
    for name in missing:
        (snapshot / name).unlink()
    offline(monkeypatch)
    monkeypatch.setattr(hub_source, "cached_checkpoint", lambda repo: snapshot)
    refused_offline()


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "index", [b"{", b"[]", b"{}", b'{"weight_map": 1}', b"[" * 100_000, b"\xff", None]
)
def test_offline_a_damaged_index_names_nothing(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch, index: bytes | None
) -> None:
    hub.commit(REPO, FILES)
    snapshot = fetch()
    path = snapshot / "model.safetensors.index.json"
    path.unlink()
    if index is None:
        path.symlink_to("nowhere")
    else:
        path.write_bytes(index)
    offline(monkeypatch)
    monkeypatch.setattr(hub_source, "cached_checkpoint", lambda repo: snapshot)
    source = open_hub_source(MODEL)
    assert source.files[path.name] == (None if index is None else len(index))


def test_a_few_requests_are_made_at_once_and_no_more(hub: Hub, client: Path) -> None:
    hub.commit(REPO, {f"model-{number:03}.safetensors": sound() for number in range(24)})
    # No request is answered before as many as allowed have come.
    together = threading.Barrier(CONNECTIONS, timeout=60)
    lock, running, most = threading.Lock(), 0, 0

    def counted(answer: Answer) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        return answer

    hub.alter("/stored/*", counted, times=2 * CONNECTIONS)
    with open_hub_source(MODEL) as source:
        for name in source.files:
            assert header_findings(source, name) == []
    assert most == CONNECTIONS
