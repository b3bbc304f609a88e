"""Whatever stands where a file should be, opening it ends, and says what it is."""

import os
import socket
from pathlib import Path

import pytest

from k2compat.checkpoint.sources.source import FileRefusedError, open_file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"


def _code(path: Path) -> str:
    with pytest.raises(FileRefusedError) as refusal, open_file(path):
        raise AssertionError("was opened")
    return refusal.value.finding.code


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"0123456789")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    with open_file(link) as file:
        assert file.size == 10
        assert file.read(2, 3) == b"234"
        assert file.read(8, 100) == b"89"
        assert file.read(10, 1) == b""
        assert file.read(0, 0) == b""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file-empty"),
        (POINTER, "file-lfs-pointer"),
        (b"\n<!DOCTYPE html><html>", "file-web-page"),
        (b"\xef\xbb\xbf<html>", "file-web-page"),
        (b'{"error":"Repository not found"}', "file-web-page"),
        (b"Entry not found", "file-web-page"),
    ],
)
def test_other_content_is_told(content: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert _code(path) == code


def test_absent_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert _code(tmp_path / "absent") == "file-missing"
    assert _code(tmp_path / "file" / "below") == "file-missing"
    assert _code(tmp_path / ("x" * 300)) == "file-missing"
    assert _code(tmp_path / "nul\0") == "file-missing"
    assert _code(tmp_path / "dangling") == "file-link-dangling"
    assert _code(tmp_path / "loop") == "file-link-loop"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert _code(tmp_path) == "file-is-directory"
        assert _code(tmp_path / "fifo") == "file-is-special"
        assert _code(tmp_path / "socket") == "file-is-special"
        assert _code(Path("/dev/zero")) == "file-is-special"


def test_a_fifo_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"x")
    regular = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda path: regular)
    assert _code(tmp_path / "fifo") == "file-is-special"


def _raise(error: OSError) -> None:
    raise error


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x")
    # The tests may run as root, who may read everything.
    monkeypatch.setattr(os, "open", lambda *_: _raise(PermissionError(13, "no")))
    assert _code(path) == "file-unreadable"


def test_a_disk_that_fails_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x" * 10)
    monkeypatch.setattr(os, "pread", lambda *_: _raise(OSError(5, "no")))
    assert _code(path) == "file-unreadable"


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"0123456789")
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda file, length, start: read(file, min(length, 3), start))
    with open_file(path) as file:
        assert file.read(1, 8) == b"12345678"
