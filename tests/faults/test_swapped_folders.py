"""A folder that another user swaps for a link while a command runs is never written through.

The swaps go on in a thread, so that they meet each moment between the check and the write.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from k2compat.config import plan_patch
from k2compat.config.apply import patch_in_place
from k2compat.config.target import find_target
from k2compat.errors import K2CompatError
from k2compat.files import NewFile, build_folder, workspace, write_bundle
from k2compat.staging import LinkMode, StagingRequest, stage
from tests.support.amount import EVERYTHING
from tests.support.configs import KIMI
from tests.support.models import tree

RUNS = 200 if EVERYTHING else 40

Action = Callable[[Path, int], object]


@contextmanager
def swapping(place: Path, elsewhere: Path) -> Iterator[None]:
    """Put a link to `elsewhere` in the place of a folder and the folder back, all the time."""
    kept, link = place.with_name("kept"), place.with_name("link")
    link.symlink_to(elsewhere)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            with suppress(OSError):  # there is no folder yet, or it was just made anew
                place.rename(kept)
                link.rename(place)
            with suppress(OSError):
                place.rename(link)
                kept.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def staging(folder: Path, run: int) -> None:
    (folder / "model/docs/a.md").write_text(f"# {run}")
    model, ggufs = folder / "model", folder / "place"
    stage(StagingRequest(model=model, gguf_folder=ggufs, mode=LinkMode.COPY, force=True))


def patching(folder: Path, run: int) -> None:
    to = ("deepseek_v3", "kimi_k2")[run % 2]
    patch_in_place(
        find_target(folder / "place"), lambda data: plan_patch(data, to=to, where=""), backup=False
    )


def bundling(folder: Path, run: int) -> None:
    files = {"docs/a.sh": NewFile(str(run).encode()), "b": NewFile(str(run).encode())}
    write_bundle(folder / "place", files, replace=True)


def building(folder: Path, run: int) -> None:
    build_folder(folder / "place" / str(run), {"docs/a": b"a", "link": Path("/nowhere")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model/docs").mkdir(parents=True)
    (tmp_path / "model/config.json").write_bytes(KIMI)
    (tmp_path / "place/docs").mkdir(parents=True)
    (tmp_path / "place/config.json").write_bytes(KIMI)
    (tmp_path / "place/x.gguf").write_bytes(b"GGUF")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


@pytest.mark.parametrize("action", [staging, bundling])
def test_a_subfolder_that_becomes_a_link_is_not_written_through(
    folder: Path, action: Action
) -> None:
    with swapping(folder / "place/docs", folder / "elsewhere"):
        for run in range(RUNS):
            with suppress(K2CompatError, OSError):
                action(folder, run)
    assert list((folder / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("action", [staging, patching, bundling, building])
def test_the_folder_itself_may_become_a_link_after_it_was_looked_up(
    folder: Path, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock opens the folder that was looked up before, and what is written goes there."""
    elsewhere = folder / "elsewhere"
    (elsewhere / "x.gguf").write_bytes(b"GGUF")
    (elsewhere / "config.json").write_bytes(KIMI)
    before = tree(elsewhere)
    real = os.path.realpath
    moved: list[object] = []

    def looked_up(path: object, *arguments: object, **options: object) -> object:
        """The place, as it was before the swap that follows the first look."""
        answer = real(path, *arguments, **options)  # type: ignore[call-overload]
        if str(answer) == str(folder / "place") and not moved:
            moved.append(answer)
            (folder / "place").rename(folder / "kept")
            (folder / "place").symlink_to(elsewhere)
        return answer

    monkeypatch.setattr(os.path, "realpath", looked_up)
    with suppress(K2CompatError, OSError):
        action(folder, 0)
    assert moved
    assert tree(elsewhere) == before


def test_a_swap_after_the_plan_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(descriptor: int) -> None:
        (folder / "place/docs").rename(folder / "kept")
        (folder / "place/docs").symlink_to(folder / "elsewhere")

    (folder / "model/docs/a.md").write_text("# a")
    monkeypatch.setattr("k2compat.staging.apply.sync_file_system", swap)
    with pytest.raises(K2CompatError) as caught:
        stage(StagingRequest(model=folder / "model", gguf_folder=folder / "place", force=True))
    assert caught.value.code == "changed-meanwhile"
    assert str(folder / "place/docs") in caught.value.message
    assert list((folder / "elsewhere").iterdir()) == []
    assert not list((folder / "place").glob(".k2compat-*"))


def test_a_model_s_folder_that_becomes_a_link_is_not_read_through(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root would copy what the other user may not read."""
    (folder / "model/docs/a.md").write_text("# a")
    (folder / "elsewhere/a.md").write_text("a secret")
    real = workspace.Workspace.copy

    def swapped(self: workspace.Workspace, source: Path) -> object:
        if source.name == "a.md":
            (folder / "model/docs").rename(folder / "kept")
            (folder / "model/docs").symlink_to(folder / "elsewhere")
        return real(self, source)

    monkeypatch.setattr(workspace.Workspace, "copy", swapped)
    with pytest.raises(K2CompatError) as caught:
        stage(
            StagingRequest(model=folder / "model", gguf_folder=folder / "place", mode=LinkMode.COPY)
        )
    assert caught.value.code == "not-readable"
    assert "a.md cannot be read" in caught.value.message
    assert tree(folder / "place") == {"config.json": KIMI, "x.gguf": b"GGUF"}
