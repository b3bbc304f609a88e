"""hf:// against an endpoint that speaks the Hub's protocol, by the real client."""

import io
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import logging
from huggingface_hub.utils._validators import validate_repo_id

from k2compat.errors import HubError, RefusedError
from k2compat.findings import Severity, catalogue
from k2compat.hub import (
    HubRepo,
    cache_entry_of,
    fetch_companions,
    parse_hub_url,
    snapshot_findings,
)
from tests.support.command import ENVIRONMENT
from tests.support.hub_client import REPO, HubCache, client_environment, repo_files
from tests.support.hub_endpoint import TOKEN, Hub, etag_of

FILES = repo_files()
COMPANIONS = {path: body for path, body in FILES.items() if not path.endswith(".safetensors")}
NO_WEIGHTS = ("*.safetensors",)
MODEL = HubRepo(REPO)

# The client keeps whole pieces only; here they are small, so that a cut leaves some.
PIECE = 1 << 16
LARGE = bytes(range(256)) * 4096


def fetch(repo: HubRepo = MODEL) -> Path:
    return fetch_companions(repo, NO_WEIGHTS)


def failure(repo: HubRepo = MODEL) -> HubError:
    with pytest.raises(HubError) as caught:
        fetch(repo)
    error = caught.value
    assert error.code in catalogue()
    assert error.message.endswith(".")
    assert "\n" not in error.message + error.hint
    return error


def contents(snapshot: Path) -> dict[str, bytes]:
    files = (path for path in snapshot.rglob("*") if path.is_file())
    return {str(path.relative_to(snapshot)): path.read_bytes() for path in files}


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client try again at once."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def offline(client: Path, monkeypatch: pytest.MonkeyPatch) -> "Switch":
    return Switch(monkeypatch)


class Switch:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def on(self) -> None:
        self._patch.setattr(constants, "HF_HUB_OFFLINE", True)


# Addresses


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("hf://moonshotai/Kimi-K2-Instruct", HubRepo("moonshotai/Kimi-K2-Instruct")),
        ("hf://a/b@main", HubRepo("a/b", "main")),
        ("hf://a/b_1.5@v1.0", HubRepo("a/b_1.5", "v1.0")),
        ("hf://a/b@refs/pr/1", HubRepo("a/b", "refs/pr/1")),
        ("hf://a/b@" + "0" * 40, HubRepo("a/b", "0" * 40)),
        ("hf://a/b@user@branch", HubRepo("a/b", "user@branch")),
        ("hf://a/b@测试", HubRepo("a/b", "测试")),
    ],
)
def test_an_address_names_a_repo_and_perhaps_a_revision(text: str, repo: HubRepo) -> None:
    assert parse_hub_url(text) == parse_hub_url(f"{text}/") == repo
    assert f"hf://{repo}" == text


@pytest.mark.parametrize(
    "text", ["", "model", "/hf://a/b", "./hf:", "https://host/a/b", "HF://a/b"]
)
def test_anything_else_is_no_address(text: str) -> None:
    assert parse_hub_url(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://a",
        "hf://a/",
        "hf:///b",
        "hf://a/b//",
        "hf://a/b/config.json",
        "hf://a/b@",
        "hf://a/b@/main",
        "hf://a/b@x//y",
        "hf://a/b@../../x",
        "hf://a/b@x/.y",
        "hf://a/b@x..y",
        "hf://a/b@x y",
        "hf://a/b@x\n",
        "hf://a/b@HEAD~1",
        "hf://a/b\n",
        "hf://a b/c",
        "hf://a/-b",
        "hf://a/b--c",
        "hf://a/..",
        "hf://a/b.git",
        "hf://ä/b",
        "hf://datasets/b",
        "hf://models/a/b",
        "hf://a/" + "b" * 97,
    ],
)
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_hub_url(text)
    assert caught.value.code == "hub-url-malformed"
    assert caught.value.code in catalogue()


def test_the_client_takes_every_name_that_is_let_through() -> None:
    for name in ("a/b", "moonshotai/Kimi-K2-Instruct", "a_b/c.d", "A" * 96 + "/" + "b" * 96):
        assert parse_hub_url(f"hf://{name}")
        validate_repo_id(name)


# Downloads


def test_everything_but_the_weights_comes_into_the_cache(hub: Hub, client: Path) -> None:
    commit = hub.commit(REPO, FILES)
    snapshot = fetch()
    assert snapshot == client / "models--moonshotai--Kimi-K2-Tiny" / "snapshots" / commit
    assert contents(snapshot) == COMPANIONS
    assert [request for request in hub.requests if ".safetensors" in request.path[:-1]] == [
        request for request in hub.requests if "index.json" in request.path
    ]
    # Files of the same content are one blob, fetched once.
    assert sum(request.sent for request in hub.got()) == sum(map(len, set(COMPANIONS.values())))


def test_the_cache_is_one_of_links_to_plain_blobs(hub_cache: HubCache) -> None:
    files = [path for path in hub_cache.snapshot.rglob("*") if not path.is_dir()]
    assert len(files) == len(COMPANIONS)
    for path in files:
        blob = path.resolve()
        assert path.is_symlink()
        assert not path.readlink().is_absolute()
        assert blob.parent == hub_cache.entry / "blobs"
        assert blob.is_file()
        name = str(path.relative_to(hub_cache.snapshot))
        assert blob.name == etag_of(name, COMPANIONS[name])
        assert cache_entry_of(blob) == cache_entry_of(path) == hub_cache.entry
    assert not any(path.is_symlink() for path in (hub_cache.entry / "blobs").iterdir())
    assert cache_entry_of(hub_cache.folder / "elsewhere") is None


def test_what_is_in_the_cache_is_not_fetched_again(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES)
    first = fetch()
    hub.requests.clear()
    assert fetch() == first
    assert hub.got() == []


@pytest.mark.parametrize("revision", ["main", "v1", "refs/pr/1", "commit"])
def test_a_revision_is_a_branch_a_tag_a_ref_or_a_commit(
    hub: Hub, client: Path, offline: Switch, revision: str
) -> None:
    commit = hub.commit(REPO, FILES, names=("main", "v1", "refs/pr/1"))
    repo = HubRepo(REPO, commit if revision == "commit" else revision)
    snapshot = fetch(repo)
    assert snapshot.name == commit
    offline.on()
    assert fetch(repo) == snapshot


def test_a_revision_is_the_one_asked_for(hub: Hub, client: Path) -> None:
    old = hub.commit(REPO, FILES, names=("main", "v1"))
    new = hub.commit(REPO, {**FILES, "README.md": b"# New\n"})
    assert (fetch(HubRepo(REPO, "v1")) / "README.md").read_bytes() == FILES["README.md"]
    assert (fetch() / "README.md").read_bytes() == b"# New\n"
    assert fetch(HubRepo(REPO, old)).name == old != new


def test_a_token_opens_a_gated_repo_and_goes_nowhere_else(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES, gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert contents(fetch()) == COMPANIONS
    authorized = {request.authorized for request in hub.requests if "/stored/" in request.path}
    assert authorized == {False}


def test_a_file_that_is_cut_off_is_continued_by_a_range(
    hub: Hub, client: Path, no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", PIECE)
    hub.commit(REPO, {**FILES, "tiktoken.model": LARGE})
    hub.cut("*/tiktoken.model", after=4 * PIECE)
    assert (fetch() / "tiktoken.model").read_bytes() == LARGE
    first, second = (request for request in hub.got("tiktoken.model") if request.status != 302)
    assert (first.range, first.sent) == (None, 4 * PIECE)
    assert (second.range, second.status) == (f"bytes={4 * PIECE}-", 206)
    assert second.sent == len(LARGE) - 4 * PIECE


def test_an_answer_of_503_is_asked_again(hub: Hub, client: Path, no_waiting: None) -> None:
    hub.commit(REPO, FILES)
    hub.fail("*/resolve/*/config.json", times=2)
    assert contents(fetch()) == COMPANIONS


def test_an_interrupted_download_is_continued_by_the_same_call(
    hub: Hub, client: Path, no_waiting: None, offline: Switch
) -> None:
    hub.commit(REPO, FILES)
    hub.cut("*/tiktoken.model", after=0, times=6)
    error = failure()
    assert error.code == "hub-unreachable"
    assert "127.0.0.1" in error.message
    (snapshot,) = client.glob("models--*/snapshots/*")
    kept = contents(snapshot)
    assert kept == {path: COMPANIONS[path] for path in kept}
    assert "tiktoken.model" not in kept
    hub.requests.clear()
    assert contents(fetch()) == COMPANIONS
    assert not any(hub.got(path) for path in kept)


# Without the Hub


def test_offline_the_cache_answers_without_a_request(
    hub_cache: HubCache, client: Path, offline: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache.folder))
    monkeypatch.setattr(constants, "ENDPOINT", hub_cache.hub.url)
    hub_cache.hub.requests.clear()
    offline.on()
    assert fetch() == hub_cache.snapshot
    assert snapshot_findings(MODEL, hub_cache.snapshot) == ()
    assert hub_cache.hub.requests == []


def test_offline_what_was_never_fetched_is_missing(hub: Hub, client: Path, offline: Switch) -> None:
    hub.commit(REPO, FILES, names=("main", "v1"))
    offline.on()
    error = failure(HubRepo(REPO, "v1"))
    assert error.code == "hub-offline-missing"
    assert f"{REPO}@v1" in error.message
    assert f"HF_HUB_OFFLINE=0 hf download {REPO} --revision v1" in error.hint
    assert hub.requests == []


def test_offline_an_incomplete_snapshot_is_not_taken_for_a_whole_one(
    hub: Hub, client: Path, offline: Switch
) -> None:
    hub.commit(REPO, FILES)
    snapshot = fetch()
    (snapshot / "chat_template.jinja").unlink()
    offline.on()
    assert failure().code == "hub-offline-missing"


def test_offline_a_snapshot_whose_blob_is_gone_is_not_whole(
    hub: Hub, client: Path, offline: Switch
) -> None:
    hub.commit(REPO, FILES)
    (fetch() / "tokenization_kimi.py").resolve().unlink()
    offline.on()
    assert failure().code == "hub-offline-missing"


def test_offline_a_folder_without_a_config_is_no_snapshot(
    hub: Hub, client: Path, offline: Switch
) -> None:
    hub.commit(REPO, FILES)
    # Other programs fetch single files; then the cache has no listing of the repo.
    huggingface_hub.hf_hub_download(REPO, "tiktoken.model")
    offline.on()
    assert failure().code == "hub-offline-missing"


@pytest.mark.parametrize("keeps_listings", [True, False])
def test_offline_a_snapshot_of_unknown_extent_is_told(
    hub: Hub,
    client: Path,
    offline: Switch,
    monkeypatch: pytest.MonkeyPatch,
    keeps_listings: bool,
) -> None:
    hub.commit(REPO, FILES)
    huggingface_hub.hf_hub_download(REPO, "config.json")
    if not keeps_listings:
        monkeypatch.setattr(huggingface_hub, "get_cached_repo_tree", None)
    offline.on()
    snapshot = fetch()
    (finding,) = snapshot_findings(MODEL, snapshot)
    assert (finding.code, finding.severity) == ("hub-snapshot-unconfirmed", Severity.WARNING)
    assert finding.where == str(snapshot)


def test_a_release_without_listings_is_trusted_where_the_hub_was_asked(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    monkeypatch.setattr(huggingface_hub, "get_cached_repo_tree", None)
    assert snapshot_findings(MODEL, fetch()) == ()


def test_with_the_hub_down_the_cache_answers(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    snapshot = fetch()
    hub.fail(status=503, times=100)
    assert fetch() == snapshot
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetch() == snapshot


def test_with_the_hub_down_an_incomplete_snapshot_is_not_taken_for_a_whole_one(
    hub: Hub, client: Path
) -> None:
    hub.commit(REPO, FILES)
    (fetch() / "chat_template.jinja").unlink()
    hub.fail(status=503, times=100)
    assert failure().code == "hub-unreachable"


# What goes wrong


def test_a_gated_repo(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES, gated=True)
    error = failure()
    assert error.code == "hub-gated"
    assert "HF_TOKEN" in error.hint


def test_a_missing_repo(hub: Hub, client: Path) -> None:
    error = failure()
    assert error.code == "hub-repo-not-found"
    assert REPO in error.message


@pytest.mark.parametrize("revision", ["v9", "refs/pr/9", "f" * 40])
def test_a_missing_revision(hub: Hub, client: Path, revision: str) -> None:
    hub.commit(REPO, FILES)
    error = failure(HubRepo(REPO, revision))
    assert error.code == "hub-revision-not-found"
    assert revision in error.message


def test_an_endpoint_where_nobody_listens(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://user:secret@127.0.0.1:9")
    error = failure()
    assert error.code == "hub-unreachable"
    assert "The Hub at 127.0.0.1:9 cannot be reached: Connection refused" in error.message
    assert "secret" not in error.message + error.hint


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_out_of_order(hub: Hub, client: Path, status: int) -> None:
    hub.fail(status=status, times=100)
    error = failure()
    assert error.code == "hub-unreachable"
    assert f"(status {status})" in error.message


def test_a_request_that_is_refused(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES)
    hub.fail("*/tree/*", status=403, message="Not from this address.")
    error = failure()
    assert error.code == "hub-failed"
    assert error.message.endswith("(status 403): Not from this address.")
    hub.fail("*/tree/*", status=403)
    assert failure().message.endswith("(status 403).")


def test_an_endpoint_that_is_no_hub(hub: Hub, client: Path) -> None:
    hub.fail(status=200, times=100, message="<html>Log in to the hotel's network</html>")
    assert failure().code == "hub-failed"


def test_a_repo_without_a_model(hub: Hub, client: Path) -> None:
    hub.commit(REPO, {"README.md": b"# GGUFs only\n"})
    error = failure()
    assert error.code == "hub-failed"
    assert "no config.json" in error.message


def test_a_cache_that_cannot_be_written(hub: Hub, client: Path) -> None:
    hub.commit(REPO, FILES)
    client.write_bytes(b"a file")
    error = failure()
    assert error.code == "hub-failed"
    assert "Not a directory" in error.message


def test_an_error_without_words_is_named_by_its_kind(
    client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert failure().message == f"Fetching {REPO} failed: RuntimeError."


def test_an_early_release_s_error_without_a_response(
    client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MissingError(HfHubHTTPError, LocalEntryNotFoundError):
        def __init__(self) -> None:
            Exception.__init__(self, "An error happened.")

    def fail(*_: object, **__: object) -> str:
        raise MissingError from ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    error = failure()
    assert error.code == "hub-unreachable"
    assert "cannot be reached: no route, " in error.message


# Around it


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_are_for_terminals(hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, FILES)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fetch()
    assert "Fetching" in terminal.getvalue()


def test_nothing_is_said_without_a_terminal(
    hub: Hub, client: Path, no_waiting: None, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.commit(REPO, FILES)
    hub.cut("*/tiktoken.model", after=100)
    before = logging.get_verbosity()
    fetch()
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == before


def test_a_closed_stderr_is_no_terminal(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    monkeypatch.setattr(sys, "stderr", None)
    assert contents(fetch()) == COMPANIONS


PROGRAM = """
import sys
from k2compat.hub import HubRepo, fetch_companions, parse_hub_url
assert "huggingface_hub" not in sys.modules
print(fetch_companions(parse_hub_url(sys.argv[1]), ["*.safetensors"]))
"""


def test_the_environment_says_where_hub_and_cache_are(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES, names=("refs/pr/1",), gated=True)
    cache = tmp_path / "cache"
    environment = client_environment(hub, cache)
    runs = []
    for changes in ({"HF_TOKEN": TOKEN}, {"HF_HUB_OFFLINE": "1"}):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"hf://{REPO}@refs/pr/1"],
            env={**ENVIRONMENT, **environment, **changes},
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        runs.append(done.stdout)
        requests = len(hub.requests)
    assert len(hub.requests) == requests
    assert runs[0] == runs[1]
    assert Path(runs[0].strip()).is_relative_to(cache)
    assert contents(Path(runs[0].strip())) == COMPANIONS
