"""Several small files into a folder: all of them, or a refusal and none."""

import os
from pathlib import Path

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import NewFile, write_bundle
from tests.support.faults import each_failure, each_kill

FILES = {"node0.sh": NewFile(b"#!/bin/sh\n", True), "ssh/config": NewFile(b"Port 2233\n")}


def held(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".k2compat-")
    }


WHOLE = {name: file.content for name, file in FILES.items()}


def test_a_new_folder_holds_the_files_and_programs_can_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "新" / "out"
    assert write_bundle(folder, FILES) == tuple(FILES)
    assert held(folder) == WHOLE
    assert os.access(folder / "node0.sh", os.X_OK)
    assert not os.access(folder / "ssh/config", os.X_OK) or os.geteuid() == 0


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path, FILES)
    assert write_bundle(tmp_path, FILES) == ()


def test_a_file_that_differs_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "ssh").mkdir()
    (tmp_path / "ssh/config").write_bytes(b"mine")
    with pytest.raises(RefusedError) as caught:
        write_bundle(tmp_path, FILES)
    assert caught.value.code == "output-differs"
    assert held(tmp_path) == {"ssh/config": b"mine"}
    assert write_bundle(tmp_path, FILES, replace=True) == tuple(FILES)
    assert held(tmp_path) == WHOLE


def test_what_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        write_bundle(tmp_path / "file", FILES)


def test_a_failing_call_leaves_each_file_whole_or_absent(tmp_path: Path) -> None:
    number = iter(range(10_000))

    def fresh() -> Path:
        return tmp_path / str(next(number))

    def write(folder: Path) -> None:
        write_bundle(folder, FILES)

    for failed in each_failure(fresh, write, expected=(RefusedError, WriteError, OSError)):
        if failed.state.exists():
            assert held(failed.state).items() <= WHOLE.items(), failed.what
        write(failed.state)
        assert held(failed.state) == WHOLE, failed.what
    for folder, what in each_kill(fresh, write):
        if folder.exists():
            assert held(folder).items() <= WHOLE.items(), what
        write(folder)
        assert held(folder) == WHOLE, what
