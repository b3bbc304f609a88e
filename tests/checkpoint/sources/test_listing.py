"""A model's folder as an engine sees it."""

import errno
import os
from pathlib import Path

import pytest

from k2compat.checkpoint.sources import listing as model_folder
from k2compat.checkpoint.sources.listing import read_model_folder


def test_files_are_listed_and_linked_folders_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.gguf").write_text("")
    (tmp_path / "a.gguf").symlink_to("sub/b.gguf")
    (tmp_path / "linked").symlink_to("sub")
    folder = read_model_folder(tmp_path)
    assert folder.ending_with(".gguf") == ["a.gguf", "sub/b.gguf"]
    assert folder.linked_folders == ("linked",)


def test_what_is_planned_counts_as_there(tmp_path: Path) -> None:
    folder = read_model_folder(tmp_path / "absent", {"config.json": tmp_path / "elsewhere"})
    assert folder.files == {"config.json": tmp_path / "elsewhere"}


def test_a_listing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "MAXIMUM_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text("")
    assert len(read_model_folder(tmp_path).files) == 2


def test_what_may_not_be_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "a.gguf").write_text("")
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if path.name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    folder = read_model_folder(tmp_path)
    assert list(folder.files) == ["a.gguf"]
    assert folder.folders == ("lost+found",)
