"""stage-gguf from hf://, as its users run it, against a Hub on this machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from k2compat.samples import checkpoint_files
from tests.support.command import ENVIRONMENT
from tests.support.hub_client import client_environment
from tests.support.hub_endpoint import Hub
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
    machine.stage()
    before = tree(machine.entry)
    (machine.folder / "ggufs" / "README.md").write_text("changed in place")
    (snapshot,) = (machine.entry / "snapshots").iterdir()
    code, document = machine.run("stage-gguf", str(snapshot), "ggufs", "--force")
    assert code == 0
    assert {f["path"] for f in document["files"] if f["action"] == "replaced"} == {"README.md"}
    assert tree(machine.entry) == before
    assert (snapshot / "config.json").is_symlink()


@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@commit"])
def test_offline_the_cache_answers(machine: Machine, revision: str) -> None:
    (commit,) = machine.hub.repos[REPO].commits
    repo = REPO + revision.replace("commit", commit)
    assert machine.stage(repo)[0] == 0
    asked = len(machine.hub.requests)
    code, document = machine.stage(repo, HF_HUB_OFFLINE="1")
    assert code == 0
    assert {file["action"] for file in document["files"]} == {"same"}
    assert len(machine.hub.requests) == asked


def test_a_snapshot_in_the_real_cache_is_not_patched(machine: Machine) -> None:
    machine.stage()
    before = tree(machine.entry)
    (snapshot,) = (machine.entry / "snapshots").iterdir()
    patch = ("patch-config", str(snapshot), "--to", "deepseek_v3")
    code, document = machine.run(*patch)
    assert (code, document["error"]["code"]) == (2, "config-in-hub-cache")
    code, document = machine.run(*patch, "--overlay", "overlay")
    assert (code, document["changed"]) == (0, True)
    assert tree(machine.entry) == before


def test_an_overlay_of_a_snapshot_is_a_model(machine: Machine) -> None:
    machine.stage()
    (snapshot,) = (machine.entry / "snapshots").iterdir()
    machine.run("patch-config", str(snapshot), "--to", "deepseek_v3", "--overlay", "overlay")
    make_ggufs(machine.folder / "others")
    code, document = machine.run("stage-gguf", "overlay", "others")
    assert code == 0, document
    assert b"deepseek_v3" in (machine.folder / "others" / "config.json").read_bytes()


def gated(hub: Hub) -> None:
    hub.repos[REPO].gated = True


def absent(hub: Hub) -> None:
    del hub.repos[REPO]


def untouched(hub: Hub) -> None:
    assert hub.repos


@pytest.mark.parametrize(
    ("change", "repo", "environment", "code"),
    [
        (gated, REPO, {}, "hub-gated"),
        (absent, REPO, {}, "hub-repo-not-found"),
        (untouched, f"{REPO}@nonsense", {}, "hub-revision-not-found"),
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


def test_an_interrupted_download_is_continued(machine: Machine) -> None:
    machine.hub.fail("*/resolve/*/tiktoken.model", status=403)
    code, document = machine.stage()
    assert (code, document["error"]["code"]) == (2, "hub-failed")
    assert machine.stage()[0] == 0


def test_a_part_of_the_cache_is_not_taken_for_the_whole(machine: Machine) -> None:
    machine.stage()
    (snapshot,) = (machine.entry / "snapshots").iterdir()
    (snapshot / "tokenization_kimi.py").unlink()
    code, document = machine.stage(HF_HUB_OFFLINE="1")
    assert (code, document["error"]["code"]) == (2, "hub-offline-missing")
