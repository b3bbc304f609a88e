"""stage-gguf from hf://, as its users run it, against a Hub on this machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from k2compat.samples import checkpoint_files
from tests.support.command import ENVIRONMENT
from tests.support.hub_client import client_environment
from tests.support.hub_endpoint import Answer, Hub
from tests.support.models import STAGED, make_ggufs, tree

REPO = "moonshotai/Kimi-K2-Instruct"


@dataclass
class Machine:
    """A machine with a Hub cache of its own, and a GGUF folder."""

    hub: Hub
    folder: Path

    @property
    def entry(self) -> Path:
        return self.folder / "cache" / f"models--{REPO.replace('/', '--')}"

    def run(self, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
        process = subprocess.run(
            [sys.executable, "-m", "k2compat", *arguments, "--json"],
            cwd=self.folder,
            env={
                **ENVIRONMENT,
                **client_environment(self.hub, self.folder / "cache"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.stderr == ""
        return process.returncode, json.loads(process.stdout)

    def download(self) -> Path:
        """Fill the cache as a user does: with the library; the snapshot's folder."""
        return Path(
            huggingface_hub.snapshot_download(
                REPO,
                cache_dir=self.folder / "cache",
                endpoint=self.hub.url,
                token=False,
                revision="v1",
                ignore_patterns=["*.safetensors"],
            )
        )

    def stage(self, repo: str = REPO, **environment: str) -> tuple[int, dict[str, Any]]:
        return self.run("stage-gguf", f"hf://{repo}", "ggufs", **environment)


@pytest.fixture
def machine(hub: Hub, tmp_path: Path) -> Machine:
    make_ggufs(tmp_path / "ggufs")
    hub.commit(REPO, checkpoint_files(), names=("main", "v1"))
    return Machine(hub, tmp_path)


def test_everything_but_the_weights_is_fetched_and_staged(machine: Machine) -> None:
    code, document = machine.stage()
    assert code == 0
    assert document["source"] == f"hf://{REPO}"
    assert {file["path"] for file in document["files"] if file["action"] == "new"} == set(STAGED)
    assert machine.hub.got("*.json")
    assert machine.hub.got("*.safetensors") == []
    staged = tree(machine.folder / "ggufs")
    assert {name: staged[name] for name in STAGED} == {
        name: content for name, content in checkpoint_files().items() if name in STAGED
    }


def test_the_cache_is_left_as_the_library_made_it(machine: Machine) -> None:
    snapshot = machine.download()
    before = tree(machine.entry)
    machine.hub.requests.clear()
    assert machine.stage()[0] == 0
    assert machine.hub.got() == []  # its blobs were read
    assert tree(machine.entry) == before
    (machine.folder / "ggufs" / "README.md").write_text("changed in place")
    code, document = machine.run("stage-gguf", str(snapshot), "ggufs", "--force")
    assert code == 0
    assert {f["path"] for f in document["files"] if f["action"] == "replaced"} == {"README.md"}
    assert tree(machine.entry) == before
    assert (snapshot / "config.json").is_symlink()


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_offline_the_cache_answers(machine: Machine, revision: str) -> None:
    repo = REPO + revision
    assert machine.stage(repo)[0] == 0
    machine.download()
    (machine.entry / "refs/main").write_bytes((machine.entry / "refs/v1").read_bytes())
    asked = len(machine.hub.requests)
    code, document = machine.stage(repo, HF_HUB_OFFLINE="1")
    assert code == 0
    assert {file["action"] for file in document["files"]} == {"same"}
    assert len(machine.hub.requests) == asked


def test_a_snapshot_in_the_real_cache_is_not_patched(machine: Machine) -> None:
    snapshot = machine.download()
    before = tree(machine.entry)
    patch = ("patch-config", str(snapshot), "--to", "deepseek_v3")
    code, document = machine.run(*patch)
    assert (code, document["error"]["code"]) == (2, "config-in-hub-cache")
    code, document = machine.run(*patch, "--overlay", "overlay")
    assert (code, document["changed"]) == (0, True)
    assert tree(machine.entry) == before


def test_an_overlay_of_a_snapshot_is_a_model(machine: Machine) -> None:
    snapshot = machine.download()
    machine.run("patch-config", str(snapshot), "--to", "deepseek_v3", "--overlay", "overlay")
    make_ggufs(machine.folder / "others")
    code, document = machine.run("stage-gguf", "overlay", "others")
    assert code == 0, document
    assert b"deepseek_v3" in (machine.folder / "others" / "config.json").read_bytes()


def gated(hub: Hub) -> None:
    hub.repos[REPO].gated = True


def untouched(hub: Hub) -> None:
    assert hub.repos


@pytest.mark.sample(3)  # where no Hub is, the waits are 7.5 seconds: tests/hub has them without
@pytest.mark.parametrize(
    ("change", "repo", "environment", "code"),
    [
        (gated, REPO, {}, "hub-gated"),
        (untouched, REPO, {"HF_HUB_OFFLINE": "1"}, "hub-offline-missing"),
        (untouched, REPO, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "hub-unreachable"),
        (untouched, "Kimi-K2-Instruct", {}, "hub-url-malformed"),
    ],
)
def test_what_fails_is_one_sentence_and_a_way_out(
    machine: Machine,
    change: Callable[[Hub], None],
    repo: str,
    environment: dict[str, str],
    code: str,
) -> None:
    change(machine.hub)
    before = tree(machine.folder / "ggufs")
    status, document = machine.stage(repo, **environment)
    assert (status, document["error"]["code"]) == (2, code)
    assert "\n" not in document["error"]["message"]
    assert document["error"]["hint"]
    assert tree(machine.folder / "ggufs") == before


def test_a_refused_file_leaves_the_folder_as_it_was(machine: Machine) -> None:
    before = tree(machine.folder / "ggufs")
    machine.hub.fail("*/resolve/*/tiktoken.model", status=403)
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "hub-failed")
    assert tree(machine.folder / "ggufs") == before
    assert machine.stage()[0] == 0


def test_a_part_of_the_cache_is_not_taken_for_the_whole(machine: Machine) -> None:
    snapshot = machine.download()
    (snapshot / "tokenization_kimi.py").unlink()
    code, document = machine.stage(HF_HUB_OFFLINE="1")
    assert (code, document["error"]["code"]) == (2, "hub-offline-missing")


# What arrives is held against the listing


def changed(body: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    """The right answer with another body, and whatever length that has."""

    def change(answer: Answer) -> Answer:
        status, headers, content = answer
        return status, headers, body(content)

    return change


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", ["modeling_deepseek.py", "config.json", "README.md"])
def test_other_bytes_of_the_same_length_are_refused(machine: Machine, name: str) -> None:
    before = tree(machine.folder / "ggufs")
    machine.hub.alter(f"*/resolve/*/{name}", changed(lambda content: content[::-1]))
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "hub-content-differs")
    assert name in document["error"]["message"]
    assert tree(machine.folder / "ggufs") == before


def test_an_answer_that_is_longer_than_listed_is_cut_off(machine: Machine) -> None:
    """A gigabyte would follow; what the system's buffers hold is all that is taken."""
    endless = bytes(64 << 20)
    size = len(checkpoint_files()["README.md"])

    def longer(answer: Answer) -> Answer:
        status, headers, content = answer
        return status, {**headers, "Content-Length": str(len(endless))}, content + endless

    machine.hub.alter("*/resolve/*/README.md", longer)
    machine.hub.written = 0
    code, _ = machine.stage()
    assert code == 0
    assert (machine.folder / "ggufs/README.md").stat().st_size == size
    assert machine.hub.written < len(endless) // 3


def test_a_hostile_etag_reaches_no_path(machine: Machine) -> None:
    """huggingface-hub 2.4.0 writes to blobs/ETAG: here no file goes through its downloads."""

    def hostile(answer: Answer) -> Answer:
        status, headers, content = answer
        tag = '"../../../../evil"'
        return status, {**headers, "ETag": tag, "X-Linked-ETag": tag}, content

    machine.hub.alter("*/resolve/*", hostile, times=100)
    assert machine.stage()[0] == 0
    assert not list(machine.folder.rglob("*evil*"))
    assert not machine.entry.exists()


@pytest.mark.sample(3)
@pytest.mark.parametrize("path", ["../evil.py", "/evil.py", "docs/../../evil.py", "a/./b", "a\nb"])
def test_a_listing_with_a_path_out_of_the_folder_is_refused(machine: Machine, path: str) -> None:
    machine.hub.commit(REPO, {**checkpoint_files(), path: b"evil"})
    before = tree(machine.folder)
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "hub-listing-unsafe")
    assert tree(machine.folder) == before


def test_a_listing_without_hashes_is_refused(machine: Machine) -> None:
    def without(answer: Answer) -> Answer:
        status, headers, content = answer
        info = json.loads(content)
        for file in info["siblings"]:
            file["blobId"] = "../../evil"
        content = json.dumps(info).encode()
        return status, {**headers, "Content-Length": str(len(content))}, content

    machine.hub.alter("/api/models/*", without)
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "hub-hash-missing")


def test_damaged_blobs_of_the_cache_are_not_taken(machine: Machine) -> None:
    snapshot = machine.download()
    blob = (snapshot / "modeling_deepseek.py").resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    machine.hub.requests.clear()
    assert machine.stage()[0] == 0
    assert [request.path.rpartition("/")[2] for request in machine.hub.got()] == [
        "modeling_deepseek.py"
    ]
    staged = (machine.folder / "ggufs/modeling_deepseek.py").read_bytes()
    assert staged == checkpoint_files()["modeling_deepseek.py"]


def test_the_same_command_again_fetches_nothing_and_a_plan_few(machine: Machine) -> None:
    assert machine.run("stage-gguf", f"hf://{REPO}", "ggufs", "--dry-run")[0] == 0
    assert not machine.hub.got("docs/*")
    machine.stage()
    machine.hub.requests.clear()
    code, document = machine.stage()
    assert code == 0
    assert {file["action"] for file in document["files"]} == {"same", "skipped"}
    assert machine.hub.got() == []


def test_a_repo_s_config_is_patched(machine: Machine) -> None:
    code, _ = machine.run("stage-gguf", f"hf://{REPO}", "ggufs", "--patch-to", "deepseek_v3")
    assert code == 0
    assert b"deepseek_v3" in (machine.folder / "ggufs/config.json").read_bytes()


def test_a_repo_without_a_model_is_refused(machine: Machine) -> None:
    machine.hub.commit(REPO, {"README.md": b"# GGUFs only"})
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "config-missing")


def test_a_model_that_is_not_the_ggufs_is_refused_before_the_large_files(machine: Machine) -> None:
    config = json.loads(checkpoint_files()["config.json"])
    other = json.dumps({**config, "n_routed_experts": 384}).encode()
    machine.hub.commit(REPO, {**checkpoint_files(), "config.json": other})
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "ktransformers-other-model")
    assert not machine.hub.got("docs/*")
