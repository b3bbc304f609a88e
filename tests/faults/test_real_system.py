"""The same promises on the real system: strace, a full disk, two processes at once."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.config import plan_patch
from k2compat.config.apply import patch_in_place
from k2compat.config.target import find_target
from tests.support.command import ENVIRONMENT, PROGRAM, k2compat
from tests.support.configs import KIMI, PATCHED
from tests.support.faults import WRITING, calls_of
from tests.support.models import make_ggufs, make_model

# What strace calls a system call, and what the stand-ins call it.
STRACED = {
    "openat": "open",
    "write": "write",
    "fchmod": "fchmod",
    "fchown": "fchown",
    "fsetxattr": "setxattr",
    "fsync": "fsync",
    "syncfs": "syncfs",
    "flock": "flock",
    "rename": "replace",
    "renameat": "replace",
    "renameat2": "replace",
    "link": "link",
    "linkat": "link",
    "symlink": "symlink",
    "symlinkat": "symlink",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
}
# Calls that write and that k2compat has no business to make.
NEVER = ["truncate", "ftruncate", "chmod", "chown", "setxattr", "lsetxattr", "mknod", "fallocate"]
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")


def can_trace() -> bool:
    """Whether strace is there and allowed."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason="needs strace")


def in_process(model: Path, *, backup: bool) -> None:
    patch_in_place(
        find_target(model), lambda data: plan_patch(data, to="deepseek_v3", where=""), backup=backup
    )


@needs_strace
@pytest.mark.parametrize("backup", [False, True])
def test_the_process_writes_with_no_other_calls_than_the_faults_cover(
    model: Path, tmp_path: Path, *, backup: bool
) -> None:
    twin = Path(shutil.copytree(model, tmp_path / "twin"))
    counted = [
        call for call in calls_of(lambda: in_process(twin, backup=backup)) if call in WRITING
    ]
    log = tmp_path / "log"
    names = ",".join(f"?{name}" for name in [*STRACED, *NEVER])
    options = ["--backup"] if backup else []
    command = [PROGRAM, "patch-config", str(model), "--to", "deepseek_v3", *options]
    subprocess.run(
        ["strace", "-f", "-y", "-s", "8192", "-o", log, "-e", f"trace={names}", *command],
        check=True,
        capture_output=True,
        # Python's own writing (bytecode, coverage data) is no part of this.
        env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert list(writing_calls(log, model)) == counted
    assert (model / "config.json").read_bytes() == PATCHED


def writing_calls(log: Path, model: Path) -> Iterator[str]:
    """The calls on the model's folder that write, in the stand-ins' words."""
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if match is None:
            continue
        name, arguments = match.groups()
        # What is printed may name the folder too; there the descriptor tells.
        place = arguments.split(",")[0] if name == "write" else arguments
        if str(model) not in place:
            continue
        if name == "openat" and not any(flag in arguments for flag in WRITING_FLAGS):
            continue
        yield STRACED.get(name, name)


@needs_strace
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("fsync:error=EIO:when=1", "disk-error"),
        ("/^rename:error=EROFS", "not-writable"),
        ("fchmod:error=ENOSPC", "no-space"),
        ("flock:error=EIO", "disk-error"),
    ],
)
def test_an_error_of_the_real_kernel_is_explained(model: Path, call: str, code: str) -> None:
    command = [PROGRAM, "patch-config", str(model), "--to", "deepseek_v3"]
    # Python itself calls some of these too, on other files.
    on_the_folder = ["-P", str(model)] if call.startswith("flock") else []
    done = subprocess.run(
        ["strace", "-f", "-o", os.devnull, *on_the_folder, "-e", f"inject={call}", *command],
        capture_output=True,
        check=False,
        env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr.decode()
    assert (model / "config.json").read_bytes() == KIMI
    assert {path.name for path in model.iterdir()} == {"config.json", "model-1-of-1.safetensors"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k,nr_inodes=100", "tmpfs", str(folder)]
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as writer:
        while True:
            writer.write(b"x" * 4096)


@pytest.mark.parametrize("options", [[], ["--backup"], ["--overlay"]])
def test_on_a_full_disk_nothing_is_lost(small_disk: Path, options: list[str]) -> None:
    model = small_disk / "model"
    model.mkdir()
    config = model / "config.json"
    old = KIMI.replace(b"{", b'{"filler": "' + b"x" * 4000 + b'", ', 1)
    config.write_bytes(old)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        fill(filler)
    given = [*options, str(small_disk / "overlay")] if "--overlay" in options else options
    arguments = ["patch-config", str(model), "--to", "deepseek_v3", *given]
    result = k2compat(*arguments)
    assert result.code == 2
    assert "[no-space]" in result.words
    assert config.read_bytes() == old
    assert [path.name for path in model.iterdir()] == ["config.json"]
    filler.unlink()
    assert k2compat(*arguments).code == 0


def test_on_a_full_disk_staging_leaves_no_folder(small_disk: Path, tmp_path: Path) -> None:
    make_model(tmp_path / "staged-model")
    make_ggufs(tmp_path / "ggufs")
    with pytest.raises(OSError, match="No space"):
        fill(small_disk / "filler")
    into = small_disk / "deep" / "into"
    arguments = ("stage-gguf", tmp_path / "staged-model", tmp_path / "ggufs", "--into", into)
    result = k2compat(*arguments)
    assert result.code == 2
    assert "[no-space]" in result.words
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


ROUNDS = """
import sys
from pathlib import Path
from k2compat.config import plan_patch
from k2compat.config.apply import patch_in_place
from k2compat.config.target import find_target
from k2compat.errors import RefusedError
folder, to, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
plan = lambda data: plan_patch(data, to=to, where="config.json")
for _ in range(rounds):
    patch_in_place(find_target(folder), plan)
"""


@pytest.mark.parametrize("others", ["deepseek_v3", "kimi_k2"])
def test_two_processes_at_once_corrupt_nothing(model: Path, others: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", ROUNDS, str(model), to, "50"], env=ENVIRONMENT)
        for to in ("deepseek_v3", others)
    ]
    seen = set()
    while any(process.poll() is None for process in processes):
        seen.add((model / "config.json").read_bytes())
    assert [process.returncode for process in processes] == [0, 0]
    assert seen <= {KIMI, PATCHED}
    assert {path.name for path in model.iterdir()} == {"config.json", "model-1-of-1.safetensors"}


def test_two_overlays_at_once_are_one(model: Path, tmp_path: Path) -> None:
    results = []

    def make() -> None:
        overlay = str(tmp_path / "overlay")
        arguments = ["patch-config", str(model), "--to", "deepseek_v3", "--overlay", overlay]
        results.append(k2compat(*arguments))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.code for result in results] == [0, 0]
    assert (tmp_path / "overlay" / "config.json").read_bytes() == PATCHED
