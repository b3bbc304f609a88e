"""Whatever fails and whenever the process ends: the config holds its old bytes or its new ones.

And the same command, run again, finishes the job and leaves nothing behind.
"""

import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.config import Patch, plan_patch
from k2compat.config.apply import patch_in_place
from k2compat.config.overlay import Overlay
from k2compat.config.target import find_target
from tests.support.configs import KIMI, PATCHED
from tests.support.faults import each_failure, each_kill

Action = Callable[[Path], object]


def plan(data: bytes) -> Patch:
    return plan_patch(data, to="deepseek_v3", where="config.json")


def in_place(folder: Path) -> None:
    patch_in_place(find_target(folder), plan)


def with_backup(folder: Path) -> None:
    patch_in_place(find_target(folder), plan, backup=True)


def as_overlay(folder: Path) -> None:
    overlay = Overlay(find_target(folder), folder.parent / "new" / "overlay")
    if not overlay.exists(PATCHED):
        overlay.build(PATCHED)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[[], Path]:
    """Makes one fresh model after the other."""
    numbers = itertools.count()

    def fresh() -> Path:
        folder = tmp_path / str(next(numbers)) / "Kimi-K2"
        (folder / "figures").mkdir(parents=True)
        (folder / "config.json").write_bytes(KIMI)
        (folder / "figures" / "a.png").write_bytes(b"picture")
        _make_worth_keeping(folder / "config.json")
        return folder

    return fresh


def _make_worth_keeping(file: Path) -> None:
    """Give the file an owner and an attribute, so that the calls which keep them are made."""
    with contextlib.suppress(OSError):
        os.setxattr(file, "user.origin", b"hub")
    with contextlib.suppress(PermissionError):
        os.chown(file, 1234, 1234)


def snapshot(folder: Path) -> dict[str, Any]:
    """What a stranger sees: every name below the folder, with bytes or link."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def visible(folder: Path) -> dict[str, Any]:
    """The same without what k2compat keeps out of sight while it works."""
    everything = snapshot(folder)
    return {name: what for name, what in everything.items() if ".k2compat-" not in name}


OLD = {"Kimi-K2/config.json": KIMI, "Kimi-K2/figures/a.png": b"picture"}
NEW = {**OLD, "Kimi-K2/config.json": PATCHED}
KEPT = {"Kimi-K2/config.json.bak": KIMI}


def overlaid(folder: Path) -> dict[str, Any]:
    links = {"new/overlay/figures/a.png": folder / "figures" / "a.png"}
    return {**OLD, "new/overlay/config.json": PATCHED, **links}


def states(action: Action, folder: Path) -> list[dict[str, Any]]:
    """All that may ever be seen, the finished state last."""
    if action is in_place:
        return [OLD, NEW]
    if action is with_backup:
        return [OLD, {**OLD, **KEPT}, {**NEW, **KEPT}]
    return [OLD, overlaid(folder)]


actions = pytest.mark.parametrize("action", [in_place, with_backup, as_overlay])


@actions
def test_a_failing_call_leaves_old_or_new(prepare: Callable[[], Path], action: Action) -> None:
    for failed in each_failure(prepare, action):
        folder = failed.state
        allowed = states(action, folder)
        assert visible(folder.parent) in allowed, failed.what
        if failed.error is None:
            assert snapshot(folder.parent) == allowed[-1], failed.what
        action(folder)
        assert snapshot(folder.parent) == allowed[-1], failed.what


@actions
def test_a_kill_leaves_old_or_new(prepare: Callable[[], Path], action: Action) -> None:
    for folder, what in each_kill(prepare, action):
        allowed = states(action, folder)
        assert visible(folder.parent) in allowed, what
        action(folder)
        assert snapshot(folder.parent) == allowed[-1], what
