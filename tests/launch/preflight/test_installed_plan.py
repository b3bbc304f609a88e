"""A plan's commands before the parser of the engine that is installed; a stand-in plays it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.findings import Finding
from k2compat.launch.preflight.engine_parser import check_plan_installed
from tests.launch.preflight.test_engine_parser import install
from tests.launch.support import plan

TWO = ("10.0.0.1", "10.0.0.2")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in lies, and a `python` that finds it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return folder


def told(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in findings]


def test_one_command_of_each_kind_is_asked_about(site: Path) -> None:
    install(site)  # a parser with four flags only
    found = plan("sglang", "/k2", nodes=TWO)
    assert told(check_plan_installed(found)) == [
        ("installed-refuses", "serve-node0: sglang.launch_server")
    ]


def test_programs_that_are_not_the_engines_are_not_asked_about(site: Path) -> None:
    found = plan("vllm", "/k2", nodes=TWO, facts=frozenset({"executor=ray"}))
    assert told(check_plan_installed(found)) == [("engine-not-installed", "serve-node0: vllm")]


def test_an_engine_that_is_absent_is_said_once(site: Path) -> None:
    found = plan("vllm", "/k2", nodes=TWO)
    assert told(check_plan_installed(found)) == [("engine-not-installed", "serve-node0: vllm")]
