"""ms:// by ModelScope's own client, against an endpoint on this machine that speaks its words."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import modelscope_hub
import pytest

from k2compat.checkpoint import validate
from k2compat.errors import HubError, RefusedError
from k2compat.findings import catalogue
from k2compat.hub import HubRepo, list_repo, modelscope, parse_hub_url, parse_repo_url, ranges
from k2compat.samples import checkpoint_files
from k2compat.staging import StagingRequest, stage
from tests.support.command import Result, k2compat
from tests.support.models import STAGED, make_ggufs, tree
from tests.support.modelscope_endpoint import ModelScope, serve_modelscope

REPO = "moonshotai/Kimi-K2-Instruct"
MODEL = HubRepo(REPO, None, "ms")
FILES = checkpoint_files()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelScope]:
    with serve_modelscope() as running:
        running.commit(REPO, FILES)
        for name, value in environment(running, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ranges, "WAITS", (0.0, 0.0))
        modelscope_hub.set_default_config(modelscope_hub.HubConfig(endpoint=running.url))
        yield running


def environment(server: ModelScope, folder: Path) -> dict[str, str]:
    return {
        "MODELSCOPE_ENDPOINT": server.url,
        "MODELSCOPE_API_TOKEN": "",
        "MODELSCOPE_HOME": str(folder / "modelscope"),
        "NO_PROXY": "127.0.0.1",
        "HOME": str(folder),
    }


def run(server: ModelScope, folder: Path, *arguments: str) -> Result:
    return k2compat(*arguments, "--json", environment=environment(server, folder), folder=folder)


def refusal(repo: HubRepo = MODEL) -> HubError:
    with pytest.raises(HubError) as caught:
        list_repo(repo)
    assert caught.value.code in catalogue()
    assert "\n" not in caught.value.message
    return caught.value


def test_an_address_names_a_repo_and_perhaps_a_revision() -> None:
    assert parse_repo_url(f"ms://{REPO}") == MODEL
    assert parse_repo_url("ms://a/b@v1.0") == HubRepo("a/b", "v1.0", "ms")
    assert parse_repo_url("hf://a/b") == HubRepo("a/b")
    assert parse_repo_url("a/b") is None
    assert parse_hub_url(f"ms://{REPO}") is None
    assert MODEL.address == f"ms://{REPO}"
    with pytest.raises(RefusedError, match="ms://ORG/REPO"):
        parse_repo_url("ms://a")


def test_a_listing_names_files_sizes_and_hashes(server: ModelScope) -> None:
    server.commit(REPO, {"config.json": b"{}"}, "v1")
    remote = list_repo(HubRepo(REPO, "v1", "ms"))
    assert dict(remote.sizes) == {"config.json": 2}
    assert remote.read("config.json", 0, 2) == b"{}"
    assert server.asked == [("config.json", "bytes=0-1")]
    assert dict(list_repo(MODEL).sizes) == {path: len(body) for path, body in FILES.items()}


def test_everything_but_the_weights_is_staged(server: ModelScope, tmp_path: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    assert run(server, tmp_path, "stage-gguf", f"ms://{REPO}", "ggufs").code == 0
    staged = tree(ggufs)
    assert {name: staged[name] for name in STAGED} == {name: FILES[name] for name in STAGED}
    assert not any(path.endswith(".safetensors") for path, _ in server.asked)


def test_the_same_address_is_validated(server: ModelScope, tmp_path: Path) -> None:
    report = validate(f"ms://{REPO}").report
    assert not report.has_errors
    result = run(server, tmp_path, "validate", f"ms://{REPO}")
    assert result.code == 0, result.words
    assert result.document["source"] == f"ms://{REPO}"


@pytest.mark.parametrize("name", ["modeling_deepseek.py", "README.md"])
def test_other_bytes_of_the_same_length_are_refused(
    server: ModelScope, tmp_path: Path, name: str
) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    before = tree(ggufs)
    server.sent[name] = FILES[name][::-1]
    with pytest.raises(HubError) as caught:
        stage(StagingRequest(model=list_repo(MODEL), gguf_folder=ggufs))
    assert caught.value.code == "hub-content-differs"
    assert tree(ggufs) == before


def test_a_file_of_another_size_is_refused_and_a_longer_answer_cut_off(server: ModelScope) -> None:
    server.sent["README.md"] = FILES["README.md"] + bytes(100)
    with pytest.raises(HubError) as caught:
        list_repo(MODEL).read("README.md", 0, 1000)
    assert caught.value.code == "hub-file-changed"
    assert caught.value.message.startswith("ModelScope at 127.0.0.1:")


def test_a_listing_with_a_path_out_of_the_folder_is_refused(server: ModelScope) -> None:
    server.commit(REPO, {"../evil.py": b"evil"})
    assert refusal().code == "hub-listing-unsafe"


def test_a_listing_without_hashes_is_not_staged(server: ModelScope, tmp_path: Path) -> None:
    def without(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**entry, "Sha256": "../../evil"} for entry in entries]

    server.listed = without
    with pytest.raises(HubError) as caught:
        stage(StagingRequest(model=list_repo(MODEL), gguf_folder=make_ggufs(tmp_path / "ggufs")))
    assert caught.value.code == "hub-hash-missing"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "hub-gated"), (403, "hub-gated"), (404, "hub-repo-not-found"), (400, "hub-failed")],
)
def test_a_refusal_is_one_sentence_and_a_way_out(
    server: ModelScope, status: int, code: str
) -> None:
    server.statuses = [status]
    assert refusal().code == code


def test_a_missing_repo_and_a_missing_revision(server: ModelScope) -> None:
    assert refusal(HubRepo("org/other", None, "ms")).code == "hub-repo-not-found"
    assert refusal(HubRepo(REPO, "v9", "ms")).code == "hub-repo-not-found"


def test_a_file_is_asked_for_again_where_that_may_help(server: ModelScope) -> None:
    remote = list_repo(MODEL)
    server.statuses = [503, 503]
    assert remote.read("config.json", 0, 10**6) == FILES["config.json"]
    server.statuses = [503, 503, 503]
    with pytest.raises(HubError) as caught:
        remote.read("config.json", 0, 10**6)
    assert caught.value.code == "hub-unreachable"


def test_an_error_without_words_is_named_by_its_kind() -> None:
    error = modelscope._explained(MODEL, "ModelScope", RuntimeError())
    assert (error.code, error.message) == (
        "hub-failed",
        f"ModelScope refused {REPO}: RuntimeError.",
    )


def test_without_the_client_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "modelscope_hub", None)
    error = refusal()
    assert error.code == "modelscope-missing"
    assert error.hint == "pip install 'k2compat[modelscope]'"


def test_offline_mode_of_the_hub_is_not_modelscope_s(server: ModelScope, tmp_path: Path) -> None:
    make_ggufs(tmp_path / "ggufs")
    done = k2compat(
        *("stage-gguf", f"ms://{REPO}", "ggufs", "--dry-run", "--json"),
        environment={**environment(server, tmp_path), "HF_HUB_OFFLINE": "1"},
        folder=tmp_path,
    )
    assert done.code == 0, done.words
    assert json.loads(done.out)["source"] == f"ms://{REPO}"


def test_a_listing_that_is_not_whole_is_refused(
    server: ModelScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cuts a listing off at 3,000 entries; the client then goes folder by folder."""
    legacy = sys.modules["modelscope_hub._legacy_api"]
    monkeypatch.setattr(legacy, "REPO_FILES_TRUNCATION_LIMIT", 5)
    monkeypatch.setattr(legacy, "REPO_TREE_MAX_REQUESTS", 2)
    error = refusal()
    assert error.code == "hub-failed"
    assert "does not list all files" in error.message
    assert error.hint.endswith(f"ms download {REPO}")


class TestTheClientsLog:
    """The client logs at INFO to stderr, and warns of variables; findings and answer stay alone."""

    WARNS: ClassVar = {"MODELSCOPE_DOMAIN": "old.example", "MODELSCOPE_REPO_TREE_MAX_REQUESTS": "x"}

    @pytest.fixture(autouse=True)
    def _retries(self, server: ModelScope) -> None:
        server.statuses = [503]

    @pytest.mark.sample(3)
    @pytest.mark.parametrize("options", [[], ["--json", "--quiet"]])
    def test_stderr_has_nothing_of_it(
        self, server: ModelScope, tmp_path: Path, options: list[str]
    ) -> None:
        make_ggufs(tmp_path / "ggufs")
        for arguments in (
            ("stage-gguf", f"ms://{REPO}", "ggufs", "--dry-run"),
            ("validate", f"ms://{REPO}"),
            ("validate", "ms://org/other"),
        ):
            done = k2compat(
                *(*arguments, *options),
                environment={**self.WARNS, **environment(server, tmp_path)},
                folder=tmp_path,
            )
            labels = {line.partition(":")[0] for line in done.words.splitlines() if line[0] != " "}
            assert labels <= {"error", "hint", "warning", "info"}, done.words
            if "--json" in options:
                assert done.words == ""

    def test_who_sets_its_level_sees_it(
        self, server: ModelScope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = logging.getLogger("modelscope_hub")
        monkeypatch.setattr(log, "handlers", [])
        monkeypatch.setenv("MODELSCOPE_LOG_LEVEL", "DEBUG")
        modelscope._keep_quiet()
        assert log.handlers == []
        monkeypatch.delenv("MODELSCOPE_LOG_LEVEL")
        modelscope._keep_quiet()
        modelscope._keep_quiet()
        assert len(log.handlers) == 1
