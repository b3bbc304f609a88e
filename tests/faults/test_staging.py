"""Whatever fails and whenever the process ends: each staged file is absent, old or whole.

And the same command, run again, finishes the job and leaves nothing behind.
"""

import errno
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k2compat.files import UnsupportedLinkError, Workspace, open_folder
from k2compat.staging import LinkMode, StagingRequest, stage
from tests.support.faults import each_failure, each_kill
from tests.support.models import make_ggufs, make_model, tree

MODEL = {"config.json": b'{"model_type": "kimi_k2"}', "docs/a.md": b"# a", "README.md": b"ours"}
OLD = {"x.gguf": b"GGUF", "README.md": b"theirs"}
NEW = {**OLD, **MODEL}

Action = Callable[[Path], object]


def request(folder: Path, mode: LinkMode) -> StagingRequest:
    return StagingRequest(
        model=folder / "model", gguf_folder=folder / "ggufs", mode=mode, force=True
    )


def copying(folder: Path) -> None:
    stage(request(folder, LinkMode.COPY))


def falling_back(folder: Path) -> None:
    stage(request(folder, LinkMode.AUTO))


def hard_linking(folder: Path) -> None:
    stage(request(folder, LinkMode.HARDLINK))


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[[], Path]:
    """Makes one fresh pair of folders after the other."""
    numbers = itertools.count()

    def fresh() -> Path:
        folder = tmp_path / str(next(numbers))
        for name, files in (("model", MODEL), ("ggufs", OLD)):
            for relative, content in files.items():
                place = folder / name / relative
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        return folder

    return fresh


def assert_old_or_new(folder: Path, what: str) -> None:
    assert tree(folder / "model") == MODEL, what
    for relative, content in tree(folder / "ggufs").items():
        if not relative.startswith(".k2compat-"):
            assert content in {OLD.get(relative), NEW.get(relative)}, f"{relative}: {what}"
    assert tree(folder / "ggufs").keys() >= OLD.keys(), what


actions = pytest.mark.parametrize("action", [copying, falling_back, hard_linking])


@actions
def test_a_failing_call_leaves_old_or_new(prepare: Callable[[], Path], action: Action) -> None:
    for failed in each_failure(prepare, action):
        assert_old_or_new(failed.state, failed.what)
        if failed.error is None:
            assert tree(failed.state / "ggufs") == NEW, failed.what
        action(failed.state)
        assert tree(failed.state / "ggufs") == NEW, failed.what


@actions
def test_a_kill_leaves_old_or_new(prepare: Callable[[], Path], action: Action) -> None:
    for folder, what in each_kill(prepare, action):
        assert_old_or_new(folder, what)
        action(folder)
        assert tree(folder / "ggufs") == NEW, what


def test_a_full_disk_is_noticed_before_the_first_file_appears(prepare: Callable[[], Path]) -> None:
    writes = 0
    # Of large files the kernel copies the bytes.
    for failed in each_failure(prepare, copying, errors=[errno.ENOSPC], every=3):
        if re.search(", (write|copy_file_range)", failed.what):
            writes += 1
            visible = {
                name: content
                for name, content in tree(failed.state / "ggufs").items()
                if not name.startswith(".k2compat-")
            }
            assert visible == OLD, failed.what
    assert writes


def test_many_processes_at_once_agree(tmp_path: Path) -> None:
    """As in a Slurm job whose nodes all stage onto one shared folder."""
    make_model(tmp_path / "model")
    make_ggufs(tmp_path / "ggufs")
    command = [sys.executable, "-m", "k2compat", "stage-gguf", "model", "ggufs"]
    processes = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum("11 new" in answer for answer in answers) == 1
    assert sum("11 same" in answer for answer in answers) == 3
    assert not list((tmp_path / "ggufs").glob(".k2compat-*"))


def test_clones_share_no_bytes_on_disk_until_written(tmp_path: Path, btrfs: Path) -> None:
    """On a real file system that clones: nothing falls back, and the clone is its own file."""
    make_model(btrfs / "model")
    make_ggufs(btrfs / "ggufs")
    staging = stage(
        StagingRequest(model=btrfs / "model", gguf_folder=btrfs / "ggufs", mode=LinkMode.CLONE)
    )
    assert "link-unavailable" not in {finding.code for finding in staging.report}
    (btrfs / "ggufs" / "README.md").write_text("changed")
    assert (btrfs / "model" / "README.md").read_text() != "changed"
    with pytest.raises(UnsupportedLinkError), working(btrfs) as place:
        place.clone(make_model(tmp_path / "elsewhere") / "README.md")


@contextmanager
def working(path: Path) -> Iterator[Workspace]:
    with open_folder(path) as folder, Workspace(folder) as workspace:
        yield workspace


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that clones, in a file; where nothing can be mounted, a skip."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(128 * 1024 * 1024)
    for command in (
        ["mkfs.btrfs", "-q", str(image)],
        ["mount", "-oloop", str(image), str(mounted)],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no Btrfs can be made and mounted here")
    yield mounted
    subprocess.run(["umount", mounted], check=True)
