"""Paths in hints and fixes are quoted for the shell, whatever they contain."""

import ast
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import k2compat
from k2compat.errors import K2CompatError
from k2compat.files import open_folder, replace_content
from k2compat.files.missing import missing_hint
from k2compat.hub import snapshot_hint
from k2compat.staging.target import find_staging_target
from tests.support.amount import examples

PACKAGE = Path(k2compat.__file__).parent
PATHS = {"candidates", "entry", "file", "folder", "path", "place", "relative", "target"}
"""What the project calls variables and attributes that hold a path."""


def unquoted_paths() -> Iterator[str]:
    """Each path that an f-string of a hint or a fix holds as it is."""
    for source in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                for keyword in call.keywords:
                    if keyword.arg in ("hint", "fix"):
                        yield from (
                            f"{source.relative_to(PACKAGE)}:{value.lineno} {ast.unparse(value)}"
                            for value in _values(keyword.value)
                            if _is_path(value)
                        )


def _values(words: ast.expr) -> Iterator[ast.expr]:
    for part in ast.walk(words):
        if isinstance(part, ast.FormattedValue):
            yield part.value


def _is_path(value: ast.expr) -> bool:
    if isinstance(value, ast.BinOp):
        is_text = isinstance(getattr(value.right, "value", None), str)
        is_number = isinstance(value.right, ast.Constant | ast.Name) and not is_text
        return isinstance(value.op, ast.Div) and not is_number
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    return name in PATHS


def test_no_hint_holds_a_path_as_it_is() -> None:
    assert list(unquoted_paths()) == []


def near(folder: Path) -> str:
    return missing_hint(folder.with_name(folder.name + "x"))


def in_a_subfolder(folder: Path) -> str:
    (folder / "Q4").mkdir()
    (folder / "Q4" / "a.gguf").touch()
    return hint_of(lambda: find_staging_target(folder, None, None))


def backup(folder: Path) -> str:
    (folder / "config.json").write_bytes(b"old")
    (folder / "config.json.bak").write_bytes(b"other")

    def replace() -> None:
        with open_folder(folder) as opened:
            replace_content(opened, "config.json", b"new", was=b"old", backup="config.json.bak")

    return hint_of(replace)


def snapshot(folder: Path) -> str:
    entry = folder / "models--a--b"
    (entry / "snapshots" / "main").mkdir(parents=True)
    return str(snapshot_hint(entry)).partition("name its snapshot: ")[2]


def hint_of(action: Callable[[], object]) -> str:
    try:
        action()
    except K2CompatError as error:
        return error.hint
    raise AssertionError


NAMES = st.text(st.sampled_from("a 'é模\"$`;&*(\\-"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and name.strip()
)


@pytest.mark.parametrize("advise", [near, in_a_subfolder, backup, snapshot])
@given(name=NAMES)
@example(name="m x; touch pwned")
@example(name="模型 'K2'")
@settings(deadline=None, max_examples=examples(25))
def test_a_shell_reads_the_path_in_the_advice(advise: Callable[[Path], str], name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve() / f"{name}-long-enough-to-be-near"
        folder.mkdir()
        hint = advise(folder)
        words = [word.rstrip("?,") for word in shlex.split(hint)]
        assert any(word.startswith(str(folder)) for word in words), hint
