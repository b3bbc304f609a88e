"""Which interpreter runs an engine, and what is installed in it: stand-in scripts."""

import os
import sys
from pathlib import Path

import pytest

from k2compat.launch.preflight import engine_python as module
from k2compat.launch.preflight.engine_python import engine_python, installed_versions


def script(folder: Path, name: str, first_line: str, rest: str = "") -> Path:
    path = folder / name
    path.write_bytes(os.fsencode(f"{first_line}\n{rest}"))
    path.chmod(0o755)
    return path


def python_in(folder: Path) -> Path:
    """A Python that is the tests' own, in a folder of its own."""
    return script(folder, "python3", "#!/bin/sh", f'exec "{sys.executable}" "$@"\n')


def test_a_script_names_its_interpreter(tmp_path: Path) -> None:
    python = python_in(tmp_path)
    script(tmp_path, "vllm", f"#!{python}")
    assert engine_python("vllm", str(tmp_path)) == str(python)


@pytest.mark.parametrize("line", ["#!/usr/bin/env python3", "#!/usr/bin/env -S python3 -u"])
def test_through_env_it_is_looked_for_on_the_path(tmp_path: Path, line: str) -> None:
    python = python_in(tmp_path)
    script(tmp_path, "kt", line)
    assert engine_python("kt", str(tmp_path)) == str(python)


def test_a_python_is_its_own(tmp_path: Path) -> None:
    python = python_in(tmp_path)
    assert engine_python("python3", str(tmp_path)) == str(python)
    assert engine_python(str(python), "") == str(python)


@pytest.mark.parametrize("quoted", [True, False])
def test_pips_script_for_a_path_that_is_long_or_has_a_space(tmp_path: Path, quoted: bool) -> None:
    folder = tmp_path / ("with a space" if quoted else "x" * 140)
    folder.mkdir()
    python = python_in(folder)
    name = f'"{python}"' if quoted else str(python)
    script(tmp_path, "vllm", "#!/bin/sh", f"'''exec' {name} \"$0\" \"$@\"\n' '''\n")
    assert engine_python("vllm", str(tmp_path)) == str(python)


@pytest.mark.parametrize("line", ["#!/bin/sh", "#!", "\x7fELF", "#!/opt/gone/bin/python3"])
def test_what_is_no_python_script_tells_nothing(tmp_path: Path, line: str) -> None:
    script(tmp_path, "vllm", line)
    assert engine_python("vllm", str(tmp_path)) is None


def test_an_absent_program_and_an_unreadable_one(tmp_path: Path) -> None:
    assert engine_python("vllm", str(tmp_path)) is None
    assert module._interpreter_of_script(str(tmp_path), None) is None


def test_versions_are_those_of_that_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in engine: only its metadata lies on the interpreter's path."""
    site = tmp_path / "site"
    (site / "vllm-0.33.0.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.33.0\n"
    (site / "vllm-0.33.0.dist-info/METADATA").write_text(metadata)
    inserted = f"import sys; sys.path.insert(0, {str(site)!r}); exec(sys.argv.pop(1))"
    python = script(
        tmp_path, "python3", "#!/bin/sh", f'shift 2\nexec "{sys.executable}" -c "{inserted}" "$@"\n'
    )
    monkeypatch.setenv("PYTHONPATH", "")
    versions = installed_versions(str(python), ("vllm", "no-such-distribution", "click"))
    assert versions is not None
    assert versions["vllm"] == "0.33.0"
    assert set(versions) == {"vllm", "click"}


@pytest.mark.parametrize("answer", ["exit 1", "echo no JSON", "echo []", "exec sleep 5"])
def test_one_that_gives_no_answer(
    tmp_path: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    python = script(tmp_path, "python3", "#!/bin/sh", f"{answer}\n")
    assert installed_versions(str(python), ("click",)) is None


def test_one_that_cannot_be_started(tmp_path: Path) -> None:
    assert installed_versions(str(tmp_path / "gone"), ()) is None
