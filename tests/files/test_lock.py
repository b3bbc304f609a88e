"""One at a time in a folder; what a killed run left is cleared; no lock is no obstacle."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import exclusive, lock, make_folder
from k2compat.files.lock import hidden_name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_lock_leaves_nothing(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        assert names(tmp_path) == []
    assert names(tmp_path) == []


def test_the_second_waits_for_the_first_and_says_so_once(tmp_path: Path) -> None:
    said = []
    order = []
    waiting = threading.Event()

    def wait() -> None:
        said.append("waiting")
        waiting.set()

    def second() -> None:
        with exclusive(tmp_path, wait):
            order.append("second")

    with exclusive(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert said == ["waiting"]


def test_a_lock_that_is_never_released_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0)
    with exclusive(tmp_path), pytest.raises(RefusedError) as caught, exclusive(tmp_path):
        raise AssertionError
    assert caught.value.code == "folder-in-use"


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / hidden_name("config.json")
    left.write_bytes(b"half")
    folder = tmp_path / hidden_name()
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "1").write_bytes(b"half")
    (tmp_path / hidden_name("link")).symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (folder / "link").symlink_to(tmp_path / "kept")
    with exclusive(tmp_path):
        assert names(tmp_path) == ["kept"]


@pytest.mark.parametrize(
    "name", [".k2compat", ".k2compat-", ".k2compat-0123456", ".k2compat-0123456X", "k2compat-1"]
)
def test_other_names_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with exclusive(tmp_path):
        assert names(tmp_path) == [name]


def test_a_leftover_that_cannot_be_removed_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / hidden_name()
    left.write_bytes(b"half")

    def unlink(path: str, *, dir_fd: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "unlink", unlink)
    with exclusive(tmp_path):
        assert names(tmp_path) == [left.name]


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_nothing_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    left = tmp_path / hidden_name()  # for all we know, another run is just writing it
    left.write_bytes(b"half")

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive(tmp_path):
        assert names(tmp_path) == [left.name]


def test_a_folder_that_is_none_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(WriteError), exclusive(tmp_path / "absent"):
        raise AssertionError


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), exclusive(tmp_path):
        raise ValueError("mine")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


class TestMadeFolders:
    """What `make=True` made goes again where the block fails and leaves it empty."""

    def test_after_a_failure_nothing_is_left(self, tmp_path: Path) -> None:
        failing(tmp_path / "a" / "b" / "c", lambda folder: None)
        assert names(tmp_path) == []

    def test_what_was_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(KeyboardInterrupt), exclusive(tmp_path / "a" / "b", make=True):
            raise KeyboardInterrupt
        assert names(tmp_path) == ["a"]
        assert names(tmp_path / "a") == []

    def test_what_holds_a_file_stays(self, tmp_path: Path) -> None:
        failing(tmp_path / "a" / "b", lambda folder: (folder.parent / "theirs").touch())
        assert names(tmp_path / "a") == ["theirs"]

    def test_a_folder_that_cannot_be_made_leaves_no_parents(self, tmp_path: Path) -> None:
        with pytest.raises(WriteError, match="cannot be made: File name too long"):
            make_folder(tmp_path / "a" / ("x" * 300))
        assert names(tmp_path) == []

    def test_a_link_on_the_way_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "link").symlink_to("elsewhere")
        for target in (tmp_path / "link", tmp_path / "link" / "new"):
            with pytest.raises(RefusedError) as caught, exclusive(target, make=True):
                raise AssertionError
            assert caught.value.code == "changed-meanwhile"
        assert names(tmp_path / "elsewhere") == []

    def test_who_waited_makes_the_folder_anew(self, tmp_path: Path) -> None:
        """The first process made it, fails and removes it; the second had it open."""
        target = tmp_path / "a"
        waiting = threading.Event()
        found: list[list[str]] = []

        def second() -> None:
            with exclusive(target, waiting.set, make=True) as folder:
                os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder.descriptor))
                found.append(names(target))

        thread = threading.Thread(target=second)

        def begin_second(folder: Path) -> None:
            thread.start()
            assert waiting.wait(30)

        failing(target, begin_second)
        thread.join(30)
        assert found == [["file"]]


def failing(target: Path, first: Callable[[Path], None]) -> None:
    """Make and lock a folder, do something, then fail."""

    def work() -> None:
        with exclusive(target, make=True) as folder:
            first(folder.path)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
