"""k2compat validate hf://…, from the address to the exit status."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from k2compat.hub import ranges
from tests.support.command import ENVIRONMENT, Result
from tests.support.hub_client import REPO, client_environment, repo_files
from tests.support.hub_endpoint import TOKEN, Hub

Command = Callable[..., Result]
FILES = repo_files()
SHARDS = sorted(path for path in FILES if path.endswith(".safetensors"))
ADDRESS = f"hf://{REPO}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "WAITS", (0.0,))


def test_a_repo_is_judged_as_the_same_folder_is(
    hub: Hub, client: Path, command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    for name, body in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    hub.commit(REPO, FILES)
    local, remote = command("validate", folder, "--json"), command("validate", ADDRESS, "--json")
    assert remote.code == local.code == 0
    assert remote.document == {
        **local.document,
        "source": ADDRESS,
        "findings": [
            {**one, "where": one["where"].replace(str(folder), ADDRESS)}
            for one in local.document["findings"]
        ],
    }
    assert not client.exists()


def test_a_damaged_shard_is_named_by_its_address(hub: Hub, client: Path, command: Command) -> None:
    hub.commit(REPO, {**FILES, SHARDS[0]: FILES[SHARDS[0]][:-1000]})
    result = command("validate", ADDRESS)
    assert result.code == 1
    assert f"{ADDRESS}/{SHARDS[0]}" in result.err.decode()
    assert "[safetensors-truncated]" in result.err.decode()


def test_a_server_s_bad_answers_are_findings_of_their_file(
    hub: Hub, client: Path, command: Command
) -> None:
    hub.commit(REPO, FILES)
    hub.alter(f"*/{SHARDS[1]}", lambda _: (404, {}, b""), times=1)
    result = command("validate", ADDRESS, "--json")
    assert result.code == 1
    found = {one["code"]: one["where"] for one in result.document["findings"]}
    assert found["hub-file-changed"] == f"{ADDRESS}/{SHARDS[1]}"


def test_a_hub_that_is_away_is_a_refusal(hub: Hub, client: Path, command: Command) -> None:
    hub.fail(status=503, times=1000)
    result = command("validate", ADDRESS)
    assert (result.code, result.out) == (2, b"")
    assert "[hub-unreachable]" in result.err.decode()


def test_so_is_one_that_goes_away_in_between(hub: Hub, client: Path, command: Command) -> None:
    hub.commit(REPO, FILES)
    hub.fail(f"*/{SHARDS[-1]}", status=503, times=1000)
    assert command("validate", ADDRESS).code == 2


def test_what_is_no_checkpoint_is_a_refusal(hub: Hub, client: Path, command: Command) -> None:
    hub.commit(REPO, {"README.md": b"# Nothing yet\n"})
    result = command("validate", ADDRESS)
    assert result.code == 2
    assert f"{ADDRESS} holds neither" in result.err.decode()


def test_offline_the_cache_is_judged_if_it_is_whole(
    hub: Hub, client: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, FILES)
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        result = command("validate", ADDRESS)
    assert result.code == 2
    assert f"HF_HUB_OFFLINE=0 hf download {REPO}\n" in result.err.decode()
    huggingface_hub.snapshot_download(REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert command("validate", ADDRESS).code == 0


BEGIN = """
from k2compat.cli import progress
progress.PATIENCE_SECONDS = -1.0
from k2compat.cli.start import main
main()
"""


def test_a_terminal_sees_files_done_of_all(hub: Hub, tmp_path: Path) -> None:
    """The whole program, a gated repo, and a real terminal."""
    hub.commit(REPO, FILES, gated=True)
    ours, theirs = os.openpty()
    environment = {**client_environment(hub, tmp_path / "cache"), "HF_TOKEN": TOKEN}
    process = subprocess.run(
        [sys.executable, "-c", BEGIN, "validate", ADDRESS, "--deep"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**ENVIRONMENT, **environment, "TERM": "xterm", "COLUMNS": "80"},
        check=False,
        timeout=120,
    )
    os.close(theirs)
    shown = os.read(ours, 1_000_000).decode()
    os.close(ours)
    assert process.returncode == 0, shown
    assert process.stdout.decode().startswith(f"{ADDRESS}: kimi_k2 fp8, safetensors\n")
    assert f"{len(SHARDS)}/{len(SHARDS)} files" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
