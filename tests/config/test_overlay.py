"""A patched config beside an untouched model."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.config.overlay import Overlay
from k2compat.config.target import find_target
from k2compat.errors import RefusedError
from k2compat.files.lock import hidden_name
from tests.support.configs import KIMI, PATCHED
from tests.support.hub_cache import hub_snapshot


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        make()
    return caught.value.code


def test_the_folder_has_the_patched_config_and_links_to_the_rest(
    model: Path, tmp_path: Path
) -> None:
    (model / "figures").mkdir()
    (model / "figures" / "a.png").write_bytes(b"picture")
    (model / "docs").symlink_to(tmp_path)
    overlay = Overlay(find_target(model), tmp_path / "new" / "overlay")
    assert not overlay.exists(PATCHED)
    assert overlay.build(PATCHED)
    assert overlay.exists(PATCHED)
    assert overlay.config.read_bytes() == PATCHED
    links = {
        path.relative_to(overlay.folder): path.readlink()
        for path in overlay.folder.rglob("*")
        if path.is_symlink()
    }
    assert links == {
        Path(name): model / name for name in ("model-1-of-1.safetensors", "figures/a.png", "docs")
    }
    assert [finding.count for finding in overlay.findings()] == [3]
    assert (model / "config.json").read_bytes() == KIMI


def test_the_overlay_of_a_snapshot_leaves_the_blobs_alone(tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path / "hub")
    overlay = Overlay(find_target(snapshot), tmp_path / "overlay")
    overlay.build(PATCHED)
    assert (overlay.folder / "model-1-of-1.safetensors").read_bytes() == b"weights"
    assert (snapshot / "config.json").read_bytes() == KIMI
    assert not overlay.config.is_symlink()


@pytest.mark.parametrize("place", ["inside", "same", "around"])
def test_overlay_and_model_do_not_lie_in_one_another(model: Path, place: str) -> None:
    folder = {"inside": model / "overlay", "same": model, "around": model.parent}[place]
    assert refusal(lambda: Overlay(find_target(model), folder)) == "overlay-in-model"


def test_a_hub_cache_takes_no_overlay(model: Path, tmp_path: Path) -> None:
    folder = hub_snapshot(tmp_path / "hub").with_name("overlay")
    assert refusal(lambda: Overlay(find_target(model), folder)) == "overlay-in-hub-cache"


@pytest.mark.parametrize(
    "there", ["file", "other file", "more", "other link", "other config", "link", "loop", "linked"]
)
def test_what_has_the_name_is_never_lost(model: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "overlay"
    overlay = Overlay(find_target(model), folder)
    if there == "file":
        folder.write_bytes(b"mine")
    elif there == "link":
        folder.symlink_to("nowhere")
    elif there == "loop":
        folder.symlink_to("overlay")
    elif there == "linked":
        (tmp_path / "empty").mkdir()
        folder.symlink_to("empty")
    elif there == "other file":
        folder.mkdir()
        (folder / "config.json").write_bytes(PATCHED)
    else:
        overlay.build(PATCHED)
        change_overlay(folder, there)
    before = [(path, os.lstat(path).st_ino) for path in sorted(tmp_path.rglob("*"))]
    assert refusal(lambda: overlay.exists(PATCHED)) == "overlay-exists"
    assert refusal(lambda: overlay.build(PATCHED)) == "overlay-exists"
    assert [(path, os.lstat(path).st_ino) for path in sorted(tmp_path.rglob("*"))] == before


def change_overlay(folder: Path, how: str) -> None:
    if how == "more":
        (folder / "mine").write_bytes(b"mine")
    elif how == "other config":
        (folder / "config.json").write_bytes(KIMI)
    else:
        (folder / "model-1-of-1.safetensors").unlink()
        (folder / "model-1-of-1.safetensors").symlink_to("elsewhere")


def test_a_name_in_a_loop_of_links_is_refused_and_not_a_bug(model: Path, tmp_path: Path) -> None:
    (tmp_path / "overlay").symlink_to("overlay")
    overlay = Overlay(find_target(model), tmp_path / "overlay")
    assert refusal(lambda: overlay.exists(PATCHED)) == "overlay-exists"


def test_an_empty_folder_becomes_the_overlay(model: Path, tmp_path: Path) -> None:
    (tmp_path / "overlay").mkdir()
    overlay = Overlay(find_target(model), tmp_path / "overlay")
    assert not overlay.exists(PATCHED)
    assert overlay.build(PATCHED)


def test_of_two_at_once_the_second_finds_it_made(model: Path, tmp_path: Path) -> None:
    first, second = (Overlay(find_target(model), tmp_path / "overlay") for _ in range(2))
    assert not second.exists(PATCHED)
    assert first.build(PATCHED)
    assert not second.build(PATCHED)


def test_what_another_run_is_preparing_in_the_model_is_not_linked(
    model: Path, tmp_path: Path
) -> None:
    (model / hidden_name("config.json")).write_bytes(b"half")
    (model / hidden_name()).mkdir()
    (model / hidden_name()).mkdir()
    overlay = Overlay(find_target(model), tmp_path / "overlay")
    overlay.build(PATCHED)
    names = {path.name for path in overlay.folder.iterdir()}
    assert names == {"config.json", "model-1-of-1.safetensors"}


def test_a_model_that_cannot_be_listed_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = find_target(model)

    def scandir(_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", scandir)
    assert refusal(lambda: Overlay(target, tmp_path / "overlay")) == "not-readable"
