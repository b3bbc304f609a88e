"""Files are prepared out of sight, then appear; a folder appears whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import (
    Folder,
    Prepared,
    UnsupportedLinkError,
    Workspace,
    build_folder,
    make_folder,
    open_folder,
    publish,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"bytes" * 1_000_000)  # several chunks
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


@contextmanager
def working(path: Path) -> Iterator[Workspace]:
    with open_folder(path) as folder, Workspace(folder) as workspace:
        yield workspace


def named(prepared: Prepared, path: Path, *, replace: bool = False) -> None:
    with open_folder(path.parent) as folder:
        publish(prepared, folder, path.name, replace=replace)


def bytes_of(prepared: Prepared) -> bytes:
    return (prepared.folder.path / prepared.name).read_bytes()


def raising(code: int) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


def test_what_is_not_published_disappears(folder: Path) -> None:
    with working(folder) as workspace:
        workspace.write(b"a")
        named(workspace.write(b"b"), folder / "b")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert (folder / "b").read_bytes() == b"b"
    assert (folder / "b").stat().st_nlink == 1


def test_a_copy_has_the_bytes_and_no_tie_to_the_source(source: Path, folder: Path) -> None:
    with working(folder) as workspace:
        named(workspace.copy(source), folder / "copy")
    assert (folder / "copy").read_bytes() == source.read_bytes()
    assert not (folder / "copy").samefile(source)


def test_a_hard_link_is_the_file_itself(source: Path, folder: Path) -> None:
    with working(folder) as workspace:
        named(workspace.hardlink(source), folder / "link")
    assert (folder / "link").samefile(source)


def test_a_symbolic_link_points_where_it_was_told(source: Path, folder: Path) -> None:
    with working(folder) as workspace:
        named(workspace.symlink(source), folder / "link")
    assert (folder / "link").readlink() == source


def test_a_clone_has_the_bytes(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(target: int, request: int, origin: int) -> int:
        assert request == 0x40049409
        os.write(target, os.pread(origin, 10_000_000, 0))
        return 0

    # A file system with clones is rarely at hand; what the call must be given is known.
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with working(folder) as workspace:
        named(workspace.clone(source), folder / "clone")
    assert (folder / "clone").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY])
@pytest.mark.parametrize("kind", ["clone", "hardlink", "symlink"])
def test_a_link_that_the_file_system_cannot_make_is_told_apart(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", raising(code))
    monkeypatch.setattr(os, "link", raising(code))
    monkeypatch.setattr(os, "symlink", raising(code))
    with working(folder) as workspace:
        with pytest.raises(UnsupportedLinkError):
            getattr(workspace, kind)(source)
        assert list(next(folder.iterdir()).iterdir()) == []


@pytest.mark.parametrize("kind", ["copy", "clone"])
@pytest.mark.parametrize("what", ["absent", "fifo", "link"])
def test_only_a_regular_file_is_copied(tmp_path: Path, folder: Path, kind: str, what: str) -> None:
    path = tmp_path / "it"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/hostname")
    with working(folder) as workspace, pytest.raises(RefusedError):
        getattr(workspace, kind)(path)


@pytest.mark.parametrize("answer", [raising(errno.EXDEV), lambda *_: 0])
def test_what_the_system_does_not_copy_we_do(
    source: Path, folder: Path, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems refuse, some say that they copied nothing."""
    monkeypatch.setattr(os, "copy_file_range", answer)
    with working(folder) as workspace:
        assert bytes_of(workspace.copy(source)) == source.read_bytes()


def test_a_copy_that_stops_half_way_is_no_copy(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the system has copied a part, its refusal is an error, not a reason to begin anew."""
    answers = iter([1000])

    def copy_file_range(*_: Any) -> int:
        for count in answers:
            return count
        raise OSError(errno.EINVAL, "no more")

    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    with working(folder) as workspace, pytest.raises(WriteError):
        workspace.copy(source)


def test_a_full_disk_is_explained(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with working(folder) as prepared:
        monkeypatch.setattr(os, "write", raising(errno.ENOSPC))
        with pytest.raises(WriteError) as caught:
            prepared.write(b"a")
        assert caught.value.code == "no-space"
        monkeypatch.setattr(os, "copy_file_range", raising(errno.ENOSPC))
        with pytest.raises(WriteError):
            prepared.copy(source)
        monkeypatch.setattr(os, "link", raising(errno.ENOSPC))
        with pytest.raises(WriteError):
            prepared.hardlink(source)


def test_a_folder_that_is_none_holds_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WriteError):
        open_folder(tmp_path / "absent")
    with open_folder(make_folder(tmp_path / "gone")) as folder:
        (tmp_path / "gone").rmdir()
        with pytest.raises(WriteError):
            Workspace(folder)


@pytest.mark.parametrize("can_link", [True, False])
def test_publish_takes_no_name_that_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, can_link: bool
) -> None:
    (folder / "taken").write_bytes(b"mine")
    if not can_link:
        monkeypatch.setattr(os, "link", raising(errno.EPERM))
    with working(folder) as prepared:
        with pytest.raises(FileExistsError):
            named(prepared.write(b"new"), folder / "taken")
        named(prepared.write(b"new"), folder / "free")
        named(prepared.write(b"newer"), folder / "free", replace=True)
    assert (folder / "taken").read_bytes() == b"mine"
    assert (folder / "free").read_bytes() == b"newer"


def test_publish_lets_other_errors_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", raising(errno.EIO))
    with working(folder) as prepared, pytest.raises(OSError, match="Input/output"):
        named(prepared.write(b"new"), folder / "name")


def test_a_folder_is_built_whole(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "new" / "folder"
    build_folder(target, {"config.json": b"{}", "figures/a.png": source})
    assert (target / "config.json").read_bytes() == b"{}"
    assert (target / "figures" / "a.png").readlink() == source
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_an_empty_folder_may_have_the_name_and_no_other_thing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    build_folder(tmp_path / "empty", {"a": b"a"})
    with pytest.raises(WriteError):
        build_folder(tmp_path / "empty", {"b": b"b"})
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "a"]


def test_a_file_is_prepared_from_pieces_and_what_they_raise_passes_through(folder: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("mine")

    with working(folder) as workspace:
        assert bytes_of(workspace.write(iter([b"a", b"", b"bc"]))) == b"abc"
        with pytest.raises(ValueError, match="mine"):
            workspace.write(pieces())


def test_a_hidden_folder_that_cannot_be_entered_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder(folder) as opened:
        monkeypatch.setattr(Folder, "below", raising(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            Workspace(opened)
    assert list(folder.iterdir()) == []
