"""System calls: explained, bounded, following no link."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import (
    explained_reading,
    explained_writing,
    make_folder,
    open_folder,
    open_regular,
    read_input,
    read_regular,
    reading,
    sync_file_system,
    sync_folder,
    system,
)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "no-space"),
        (errno.EDQUOT, "no-space"),
        (errno.EROFS, "not-writable"),
        (errno.EACCES, "not-writable"),
        (errno.EIO, "disk-error"),
        (errno.EMFILE, "write-failed"),
        (None, "write-failed"),
    ],
)
def test_a_refused_write_names_file_reason_and_way_out(number: int | None, code: str) -> None:
    error = OSError("odd") if number is None else OSError(number, os.strerror(number))
    with pytest.raises(WriteError) as caught, explained_writing(Path("/models/config.json")):
        raise error
    reason = "odd" if number is None else os.strerror(number)
    assert caught.value.code == code
    assert caught.value.message == f"/models/config.json cannot be written: {reason}."
    assert caught.value.hint


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOENT, "not-found"), (errno.EACCES, "not-readable"), (errno.ELOOP, "not-readable")],
)
def test_a_refused_read_is_explained(number: int, code: str) -> None:
    with pytest.raises(RefusedError) as caught, explained_reading(Path("config.json")):
        raise OSError(number, os.strerror(number))
    assert caught.value.code == code


def test_a_regular_file_is_read_whole_or_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_regular(tmp_path / "file") == b"0123456789"
    assert read_regular(tmp_path / "file", 4) == b"0123"


def test_what_the_shell_opened_is_read_to_its_end_and_a_fifo_by_name_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"0123")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_input(tmp_path / "link") == b"0123"
    reader, writer = os.pipe()
    os.write(writer, b"4567")
    os.close(writer)
    assert read_input(Path(f"/dev/fd/{reader}")) == b"4567"
    os.close(reader)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read_input(Path(f"/proc/self/fd/{reader}"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r".+"):
        read_input(tmp_path / "fifo")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "absent", "device"])
def test_nothing_else_is_read_and_nothing_hangs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "real").write_bytes(b"bytes")
        path.symlink_to(tmp_path / "real")
    elif kind == "device":
        path = Path("/dev/zero")
    with pytest.raises(OSError, match=r".+"), open_regular(path):
        raise AssertionError


def test_all_bytes_are_written_however_few_the_system_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, content: write(to, content[:3]))
    with open_folder(tmp_path) as folder:
        descriptor = system.create(folder.descriptor, "file", mode=0o600)
    system.write_all(descriptor, b"0123456789")
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_name_that_is_taken_is_never_opened_for_writing(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    with open_folder(tmp_path) as folder, pytest.raises(FileExistsError):
        system.create(folder.descriptor, "dangling", mode=0o600)
    assert not (tmp_path / "elsewhere").exists()


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        make_folder(tmp_path / "file" / "a")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(WriteError, match="is no folder") as caught:
            make_folder(path)
        assert caught.value.code == "not-a-folder"


def test_a_file_system_that_syncs_no_folders_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([errno.EINVAL, errno.EIO])

    def fsync(descriptor: int) -> None:
        number = next(answers)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with open_folder(tmp_path) as folder:
        sync_folder(folder.descriptor)
        with pytest.raises(OSError, match="Input/output"):
            sync_folder(folder.descriptor)


def test_a_file_system_is_synced_and_says_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder(tmp_path) as folder:
        sync_file_system(folder.descriptor)

    def syncfs(descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    library = type("Library", (), {"syncfs": staticmethod(syncfs)})
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    with open_folder(tmp_path) as folder, pytest.raises(OSError, match="Input/output"):
        sync_file_system(folder.descriptor)


def test_the_innermost_file_is_noted_first() -> None:
    with pytest.raises(MemoryError) as caught, reading("folder"), reading("folder/file"):
        raise MemoryError
    assert caught.value.__notes__ == ["folder/file", "folder"]


def test_another_error_gets_no_note() -> None:
    with pytest.raises(KeyError) as caught, reading("file"):
        raise KeyError
    assert not hasattr(caught.value, "__notes__")
