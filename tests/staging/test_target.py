"""The GGUF folder and the folder that receives the files."""

from pathlib import Path

import pytest

from k2compat.errors import RefusedError
from k2compat.staging.target import find_staging_target
from tests.support.models import make_ggufs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


def refusal(ggufs: Path, source: Path, into: Path | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        find_staging_target(ggufs, source, into)
    return caught.value


def test_files_go_beside_the_ggufs(tmp_path: Path, source: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    target = find_staging_target(ggufs, source, None)
    assert target.folder == ggufs
    assert target.links == ()


def test_or_into_a_folder_with_links_to_them(tmp_path: Path, source: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    target = find_staging_target(ggufs, source, tmp_path / "new")
    assert target.folder == tmp_path / "new"
    assert target.links == (("tiny.gguf", ggufs / "tiny.gguf"),)


def test_ggufs_in_subfolders_are_candidates(tmp_path: Path, source: Path) -> None:
    for name in ("Q4_K_M", "deep/er/Q8_0"):
        make_ggufs(tmp_path / "ggufs" / name)
    error = refusal(tmp_path / "ggufs", source)
    assert error.code == "gguf-in-subfolder"
    assert "Q4_K_M, deep/er/Q8_0" in error.message
    assert error.hint.endswith("ggufs/Q4_K_M")


def test_a_folder_without_ggufs_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "ggufs" / "folder.gguf").mkdir(parents=True)
    assert refusal(tmp_path / "ggufs", source).code == "gguf-missing"


def test_a_gguf_itself_is_no_folder(tmp_path: Path, source: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    assert refusal(ggufs / "tiny.gguf", source).code == "not-a-folder"


def test_an_absent_folder_is_named(tmp_path: Path, source: Path) -> None:
    assert refusal(tmp_path / "nowhere", source).code == "not-found"


@pytest.mark.parametrize("place", ["model/ggufs", "model", "."])
def test_model_and_target_must_not_nest(tmp_path: Path, source: Path, place: str) -> None:
    make_ggufs(tmp_path / place)
    assert refusal(tmp_path / place, source).code == "source-in-target"


@pytest.mark.parametrize("into", ["ggufs", "ggufs/new", "model/new"])
def test_the_new_folder_must_not_nest_either(tmp_path: Path, source: Path, into: str) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    assert refusal(ggufs, source, tmp_path / into).code == "source-in-target"


def test_the_hub_cache_is_no_target(tmp_path: Path, source: Path) -> None:
    ggufs = make_ggufs(tmp_path / "hub" / "models--a--b-GGUF" / "snapshots" / "0123")
    error = refusal(ggufs, source)
    assert error.code == "target-in-hub-cache"
    assert "--into" in error.hint
    assert find_staging_target(ggufs, source, tmp_path / "new").folder == tmp_path / "new"
