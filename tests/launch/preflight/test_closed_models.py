"""A model that a plain user may not read: each command names what is closed, and starts nothing."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import ENVIRONMENT, PROGRAM
from tests.support.models import make_model

USER = 65_534  # a user without files of its own
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed: setpriv"),
]


@pytest.fixture
def model() -> Iterator[Path]:
    """A model below folders that everyone may enter; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    made = make_model(folder / "storage" / "K2")
    for path in made.parent.rglob("*"):  # whatever the umask of this shell is
        path.chmod(0o755 if path.is_dir() else 0o644)
    made.parent.chmod(0o755)
    yield made
    shutil.rmtree(folder)


def run_as_user(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [*AS_USER, PROGRAM, *map(str, arguments)],
        env={**ENVIRONMENT, "HOME": "/"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.fixture(autouse=True, scope="module")
def program_can_be_started() -> None:
    if run_as_user("--version")[0] != 0:
        pytest.skip("this user cannot start k2compat where it is installed")


CLOSED = {
    "the folder around it": ("..", 0o700, "model-missing", "{model} cannot be read on this node"),
    "the folder": (".", 0o700, "not-readable", "{model}/config.json cannot be read"),
    "the names in it alone": (".", 0o711, "not-readable", "{model} cannot be read"),
    "all but the names": (".", 0o744, "not-readable", "{model}/config.json cannot be read"),
    "config.json": ("config.json", 0o600, "not-readable", "{model}/config.json cannot be read"),
    "a shard": (
        "model-1-of-3.safetensors",
        0o600,
        "file-unreadable",
        "{model}/model-1-of-3.safetensors cannot be opened",
    ),
    "the vocabulary": (
        "tiktoken.model",
        0o600,
        "file-unreadable",
        "{model}/tiktoken.model cannot be opened",
    ),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("part", CLOSED)
def test_what_is_closed_is_named(model: Path, part: str) -> None:
    place, mode, code, words = CLOSED[part]
    (model / place).resolve().chmod(mode)
    for command in ("preflight", "launch"):
        rank = ("--node-rank", "0") if command == "preflight" else ("--run",)
        status, said = run_as_user(command, "vllm", model, "--gpus-per-node", "1", *rank)
        assert f"[{code}]" in said
        assert words.format(model=model) in said
        assert "Permission denied" in said
        assert status in (1, 2)


@pytest.mark.parametrize("mode", [0o744, 0o700])
def test_a_closed_folder_is_no_folder_without_a_config(model: Path, mode: int) -> None:
    model.chmod(mode)
    status, said = run_as_user("patch-config", model, "--to", "deepseek_v3", "--dry-run")
    assert status == 2
    assert "[not-readable]" in said
    assert "config-missing" not in said


def test_a_folder_without_a_list_of_names_is_patched_by_the_name(model: Path) -> None:
    model.chmod(0o711)
    status, said = run_as_user("patch-config", model, "--to", "deepseek_v3", "--dry-run")
    assert status == 0, said
