"""What is said of a path that is not there."""

import shlex
from pathlib import Path

import pytest

from k2compat.files.missing import missing_hint


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Kimi-K2-Instruct").mkdir()
    (tmp_path / "a b").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("gone")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("kimi-k2-instruct", "Did you mean Kimi-K2-Instruct?"),
        ("Kimi-K2-Instrukt/config.json", "Did you mean Kimi-K2-Instruct/config.json?"),
        ("A B/config.json", "Did you mean 'a b/config.json'?"),
        ("zzz", "Check the name: nothing in this folder has one like it."),
        ("zzz/yyy", "Check the path: there is no zzz."),
        ("file/x", "Check the path: file is no folder."),
        ("dangling", "It is a symbolic link to gone: restore that, or name another path."),
        ("/no/such/disk/model", "Check the path: there is no /no. Is its disk mounted?"),
    ],
)
def test_the_hint_names_what_is_there(path: str, words: str) -> None:
    assert missing_hint(Path(path)) == words


def test_an_absolute_path_names_its_folder(tmp_path: Path) -> None:
    hint = missing_hint(tmp_path / "zzz")
    assert hint == f"Check the name: nothing in {tmp_path} has one like it."
    near = missing_hint(tmp_path / "A b")
    assert near == f"Did you mean {shlex.quote(str(tmp_path / 'a b'))}?"


def test_a_folder_that_cannot_be_listed_has_no_near_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("os.scandir", refuse)
    assert missing_hint(Path("kimi-k2-instruct")).startswith("Check the name")
