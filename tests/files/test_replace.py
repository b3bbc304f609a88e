"""One file's bytes are replaced in one step; all else about the file stays."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.errors import RefusedError, WriteError
from k2compat.files import open_folder, replace_content

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    return path


def replaced(file: Path, new: bytes, *, was: bytes, backup: Path | None = None) -> None:
    with open_folder(file.parent) as folder:
        kept = None if backup is None else backup.name
        replace_content(folder, file.name, new, was=was, backup=kept)


def test_the_bytes_are_replaced_and_nothing_stays_beside(file: Path) -> None:
    replaced(file, b"new", was=b"old")
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == {file.name: b"new"}


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o444, 0o755])
def test_the_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    replaced(file, b"new", was=b"old", backup=file.with_suffix(".bak"))
    assert file.stat().st_mode & 0o7777 == mode
    assert file.with_suffix(".bak").stat().st_mode & 0o7777 == mode


@root_only
def test_owner_and_group_are_kept(file: Path) -> None:
    os.chown(file, 1234, 5678)
    replaced(file, b"new", was=b"old")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)


def test_the_group_is_kept_where_the_owner_cannot_be(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse(monkeypatch, "fchown", errno.EPERM, when=lambda arguments: arguments[1] != -1)
    monkeypatch.setattr(os, "fstat", owned_by(file, 1234, 5678))
    replaced(file, b"new", was=b"old")
    assert [arguments[1:] for arguments in asked] == [(1234, 5678), (-1, 5678)]
    assert file.read_bytes() == b"new"


def owned_by(file: Path, user: int, group: int) -> Callable[[int], os.stat_result]:
    """A stand-in for os.fstat to which this file, and no other, is another user's."""
    real, number = os.fstat, file.stat().st_ino

    def fstat(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        if values[1] == number:
            values[4:6] = [user, group]
        return os.stat_result(values)

    return fstat


@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL, errno.ENOTSUP])
def test_an_owner_that_cannot_be_kept_is_no_reason_to_fail(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fstat", owned_by(file, 1234, 5678))
    refuse(monkeypatch, "fchown", code)
    replaced(file, b"new", was=b"old")
    assert file.read_bytes() == b"new"


def test_extended_attributes_are_kept(file: Path) -> None:
    set_attributes(file, {"user.origin": b"hub", "user.sum": b"\x00\xff"})
    replaced(file, b"new", was=b"old")
    assert attributes(file) == {"user.origin": b"hub", "user.sum": b"\x00\xff"}


def test_an_attribute_that_cannot_be_kept_does_not_cost_the_others(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_attributes(file, {"user.a": b"1", "user.b": b"2", "user.c": b"3"})
    refuse(monkeypatch, "setxattr", errno.EPERM, when=lambda arguments: arguments[1] == "user.b")
    replaced(file, b"new", was=b"old")
    assert attributes(file) == {"user.a": b"1", "user.c": b"3"}


def set_attributes(file: Path, values: dict[str, bytes]) -> None:
    try:
        for name, value in values.items():
            os.setxattr(file, name, value)
    except OSError:
        pytest.skip("this file system has no extended attributes")


def attributes(file: Path) -> dict[str, bytes]:
    return {name: os.getxattr(file, name) for name in os.listxattr(file) if name[:5] == "user."}


def refuse(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
    when: Callable[[tuple[Any, ...]], bool] = lambda _: True,
) -> list[tuple[Any, ...]]:
    """Let one function of `os` fail; returns the list of calls it will get."""
    real = getattr(os, name)
    asked: list[tuple[Any, ...]] = []

    def call(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        if when(arguments):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options) if name != "fchown" else None

    monkeypatch.setattr(os, name, call)
    return asked


def test_the_other_names_of_a_hard_linked_file_keep_the_old_bytes(file: Path) -> None:
    other = file.with_name("other")
    os.link(file, other)
    replaced(file, b"new", was=b"old")
    assert other.read_bytes() == b"old"


def test_a_file_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        replaced(file, b"new", was=b"older")
    assert caught.value.code == "changed-meanwhile"
    assert [path.read_bytes() for path in file.parent.iterdir()] == [b"old"]


def test_a_file_that_became_a_link_meanwhile_is_not_followed(file: Path) -> None:
    real = file.rename(file.with_name("real"))
    file.symlink_to(real)
    with pytest.raises(WriteError):
        replaced(file, b"new", was=b"old")
    assert file.is_symlink()
    assert real.read_bytes() == b"old"


def test_a_backup_holds_the_old_bytes(file: Path) -> None:
    backup = file.with_name("config.json.bak")
    replaced(file, b"new", was=b"old", backup=backup)
    assert (file.read_bytes(), backup.read_bytes()) == (b"new", b"old")
    assert backup.stat().st_nlink == 1


def test_a_backup_of_the_same_bytes_is_kept(file: Path) -> None:
    backup = file.with_name("config.json.bak")
    backup.write_bytes(b"old")
    replaced(file, b"new", was=b"old", backup=backup)
    assert (file.read_bytes(), backup.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("kind", ["other bytes", "folder", "dangling link", "link to the file"])
def test_what_has_the_backup_s_name_already_is_never_lost(file: Path, kind: str) -> None:
    backup = file.with_name("config.json.bak")
    if kind == "other bytes":
        backup.write_bytes(b"older")
    elif kind == "folder":
        backup.mkdir()
    else:
        backup.symlink_to(file if kind == "link to the file" else "nowhere")
    before = os.lstat(backup)
    with pytest.raises(RefusedError) as caught:
        replaced(file, b"new", was=b"old", backup=backup)
    assert caught.value.code == "backup-exists"
    assert file.read_bytes() == b"old"
    assert os.lstat(backup).st_ino == before.st_ino
    assert len(list(file.parent.iterdir())) == 2


@pytest.mark.parametrize(
    "name",
    ["模" * 80, "😀" * 60, "\udcff" * 200, "a\nb", "-rf *"],
    ids=["three bytes each", "four bytes each", "no UTF-8", "newline", "option and star"],
)
def test_any_name_that_the_system_takes_will_do(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"old")
    replaced(file, b"new", was=b"old")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]
