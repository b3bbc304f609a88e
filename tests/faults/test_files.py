"""Whatever fails while files are prepared and published: each appears whole or not at all."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.errors import K2CompatError
from k2compat.files import (
    UnsupportedLinkError,
    Workspace,
    exclusive,
    publish,
    sync_file_system,
    sync_folder,
)
from tests.support.faults import each_failure, each_kill

WHOLE = {"written": b"written", "copied": b"source", "linked": b"source", "named": b"source"}
MAY_FAIL = (K2CompatError, UnsupportedLinkError, OSError)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[[], Path]:
    numbers = itertools.count()
    (tmp_path / "source").write_bytes(b"source")

    def fresh() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "replaced").write_bytes(b"old")
        return folder

    return fresh


def stage(folder: Path) -> None:
    """What staging does: prepare all, make it durable in one call, publish."""
    source = folder.parent / "source"
    with exclusive(folder) as opened, Workspace(opened) as workspace:
        prepared = {
            "written": workspace.write(b"written"),
            "copied": workspace.copy(source),
            "linked": workspace.hardlink(source),
            "named": workspace.symlink(source),
        }
        replacement = workspace.write(b"new")
        sync_file_system(opened.descriptor)
        for name, hidden in prepared.items():
            if not os.path.lexists(folder / name):
                publish(hidden, opened, name)
        publish(replacement, opened, "replaced", replace=True)
        sync_folder(opened.descriptor)


def check_whole_or_absent(folder: Path, what: str) -> None:
    for path in folder.iterdir():
        if path.name == "replaced":
            assert path.read_bytes() in (b"old", b"new"), what
        elif not path.name.startswith(".k2compat-"):
            assert path.read_bytes() == WHOLE[path.name], what
    assert (folder / "replaced").exists(), what
    assert (folder.parent / "source").read_bytes() == b"source", what


def check_finished(folder: Path, what: str) -> None:
    stage(folder)
    assert {path.name for path in folder.iterdir()} == {*WHOLE, "replaced"}, what
    assert (folder / "replaced").read_bytes() == b"new", what
    check_whole_or_absent(folder, what)


def test_a_failing_call_leaves_each_file_whole_or_absent(prepare: Callable[[], Path]) -> None:
    for failed in each_failure(prepare, stage, expected=MAY_FAIL):
        check_whole_or_absent(failed.state, failed.what)
        check_finished(failed.state, failed.what)


def test_a_kill_leaves_each_file_whole_or_absent(prepare: Callable[[], Path]) -> None:
    for folder, what in each_kill(prepare, stage):
        check_whole_or_absent(folder, what)
        check_finished(folder, what)
