"""hf:// against an endpoint that speaks the Hub's protocol, by the real client."""

import io
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import logging
from huggingface_hub.utils._validators import validate_repo_id

from k2compat.errors import HubError, RefusedError
from k2compat.findings import Severity, catalogue
from k2compat.hub import (
    HubRepo,
    RemoteRepo,
    cache,
    cache_entry_of,
    find_companions,
    parse_hub_url,
    snapshot_findings,
)
from k2compat.hub.digests import digest
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


def download() -> Path:
    """Fill the cache as a user does: with the library."""
    return Path(huggingface_hub.snapshot_download(REPO, ignore_patterns=[*NO_WEIGHTS]))


def fetch(repo: HubRepo = MODEL) -> Path | RemoteRepo:
    return find_companions(repo, NO_WEIGHTS)[0]


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


@pytest.mark.parametrize("revision", ["main", "v1", "refs/pr/1", "commit"])
def test_a_revision_is_a_branch_a_tag_a_ref_or_a_commit(
    hub: Hub, client: Path, offline: Switch, revision: str
) -> None:
    commit = hub.commit(REPO, FILES, names=("main", "v1", "refs/pr/1"))
    repo = HubRepo(REPO, commit if revision == "commit" else revision)
    listed = fetch(repo)
    assert isinstance(listed, RemoteRepo)
    assert listed.commit == commit
    snapshot = huggingface_hub.snapshot_download(REPO, revision=repo.revision)
    offline.on()
    assert fetch(repo) == Path(snapshot)


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
    snapshot = download()
    (snapshot / "chat_template.jinja").unlink()
    offline.on()
    assert failure().code == "hub-offline-missing"


def test_offline_a_snapshot_whose_blob_is_gone_is_not_whole(
    hub: Hub, client: Path, offline: Switch
) -> None:
    hub.commit(REPO, FILES)
    (download() / "tokenization_kimi.py").resolve().unlink()
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
    snapshot, (finding,) = find_companions(MODEL, NO_WEIGHTS)
    assert (finding.code, finding.severity) == ("hub-snapshot-unconfirmed", Severity.WARNING)
    assert finding.where == str(snapshot)


def test_a_release_without_listings_is_trusted_where_the_hub_was_asked(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    monkeypatch.setattr(huggingface_hub, "get_cached_repo_tree", None)
    assert snapshot_findings(MODEL, download()) == ()


def test_with_the_hub_down_the_cache_answers(
    hub: Hub, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    snapshot = download()
    hub.fail(status=503, times=100)
    assert fetch() == snapshot
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetch() == snapshot


def test_with_the_hub_down_an_incomplete_snapshot_is_not_taken_for_a_whole_one(
    hub: Hub, client: Path
) -> None:
    hub.commit(REPO, FILES)
    (download() / "chat_template.jinja").unlink()
    hub.fail(status=503, times=100)
    assert failure().code == "hub-unreachable"


# What goes wrong


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
    hub.fail("/api/models/*", status=403, message="Not from this address.")
    error = failure()
    assert error.code == "hub-failed"
    assert error.message.endswith("(status 403): Not from this address.")
    hub.fail("/api/models/*", status=403)
    assert failure().message.endswith("(status 403).")


def test_an_endpoint_that_is_no_hub(hub: Hub, client: Path) -> None:
    hub.fail(status=200, times=100, message="<html>Log in to the hotel's network</html>")
    assert failure().code == "hub-failed"


def test_an_error_without_words_is_named_by_its_kind(
    client: Path, offline: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    offline.on()
    assert failure().message == f"Fetching {REPO} failed: RuntimeError."


def test_an_error_of_the_system_is_named_by_its_reason(
    client: Path, offline: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise NotADirectoryError(20, "Not a directory", "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    offline.on()
    assert failure().message == f"Fetching {REPO} failed: Not a directory."


# Around it


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stderr", [Terminal(), io.StringIO(), None])
def test_the_library_warns_at_terminals_alone(
    stderr: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logging.get_verbosity()
    monkeypatch.setattr(sys, "stderr", stderr)
    with cache.quiet():
        assert (logging.get_verbosity() == before) is isinstance(stderr, Terminal)
    assert logging.get_verbosity() == before


def test_a_blob_is_found_by_its_hash(
    hub_cache: HubCache, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache.folder))
    known = digest("sha256", etag_of("tiktoken.model", COMPANIONS["tiktoken.model"]))
    assert known is not None
    blob = cache.cached_blob(MODEL, known)
    assert blob is not None
    assert blob.read_bytes() == COMPANIONS["tiktoken.model"]
    assert cache.cached_blob(HubRepo("org/other"), known) is None


PROGRAM = """
import sys
from k2compat.hub import HubRepo, RemoteRepo, find_companions, parse_hub_url
assert "huggingface_hub" not in sys.modules
found, _ = find_companions(parse_hub_url(sys.argv[1]), ["*.safetensors"])
print(found.commit if isinstance(found, RemoteRepo) else found)
"""


def test_the_environment_says_where_hub_and_cache_are(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES, names=("refs/pr/1",), gated=True)
    cache = tmp_path / "cache"
    environment = client_environment(hub, cache)
    token = {"HF_TOKEN": TOKEN}
    library = (
        "import sys, huggingface_hub as h; h.snapshot_download(sys.argv[1], revision=sys.argv[2])"
    )
    runs = []
    for program, arguments, changes in (
        (PROGRAM, [f"hf://{REPO}@refs/pr/1"], token),
        (library, [REPO, "refs/pr/1"], token),
        (PROGRAM, [f"hf://{REPO}@refs/pr/1"], {"HF_HUB_OFFLINE": "1"}),
    ):
        requests = len(hub.requests)
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**ENVIRONMENT, **environment, **changes},
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        runs.append(done.stdout.strip())
    assert len(hub.requests) == requests
    assert runs[2] == str(cache / f"models--{REPO.replace('/', '--')}" / "snapshots" / runs[0])
