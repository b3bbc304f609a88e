"""How findings are shown: folded, short, in lines that fit a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from dataclasses import replace

import pytest

from k2compat.cli.output import Outcome, Output
from k2compat.findings import Finding, Report, Severity
from tests.support.command import ENVIRONMENT, PROGRAM

FINDING = Finding(
    code="flag-renamed",
    severity=Severity.WARNING,
    where="serve-node0: --tp",
    message="--tp has another name.",
    expected="--tp-size",
    actual="--tp",
    fix="Write --tp-size.",
)


def shown(capfd: pytest.CaptureFixture[str], *findings: Finding) -> list[str]:
    Output(as_json=False).finish("launch", Outcome({}, "", Report(findings)))
    return capfd.readouterr().err.splitlines()


def test_what_the_message_or_the_fix_says_is_not_said_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert shown(capfd, FINDING) == [
        "warning: --tp has another name. [flag-renamed]",
        "  where: serve-node0: --tp",
        "  fix: Write --tp-size.",
    ]
    part = replace(FINDING, where="--tp", expected="--tp-siz", fix=None)
    assert "  expected: --tp-siz" in shown(capfd, part)


def test_an_info_is_a_sentence_a_place_and_a_fix(capfd: pytest.CaptureFixture[str]) -> None:
    info = replace(FINDING, severity=Severity.INFO, expected="a", actual="b", fix=None)
    assert shown(capfd, info) == [
        "info: --tp has another name. [flag-renamed]",
        "  where: serve-node0: --tp",
    ]


def test_the_same_of_many_places_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    many = [replace(FINDING, where=f"serve-node{number}") for number in range(16)]
    assert shown(capfd, *many)[1] == "  where: serve-node0, serve-node1, serve-node2 and 13 more"
    assert shown(capfd, *many[:2])[1] == "  where: serve-node0, serve-node1"
    other = replace(FINDING, message="--dp has another name.")
    assert len([line for line in shown(capfd, FINDING, other) if "warning" in line]) == 2


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "ktransformers"])
@pytest.mark.parametrize("profile", ["default", "guide"])
def test_a_plan_fits_a_terminal_of_80_columns(engine: str, profile: str) -> None:
    lines = on_a_terminal("launch", engine, "/models/Kimi-K2-Instruct", "--profile", profile)
    comments = [line for line in lines if not line.startswith((" ", "  fix:")) and "\\" not in line]
    assert len(lines) > 20
    assert [line for line in comments if len(line) > 80] == []


def on_a_terminal(*arguments: str) -> list[str]:
    """Both streams on a terminal of 80 columns."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**ENVIRONMENT, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [PROGRAM, *arguments], stdout=secondary, stderr=secondary, env=environment
    )
    os.close(secondary)
    seen = b""
    try:
        while chunk := os.read(primary, 65536):
            seen += chunk
    except OSError:  # Linux ends a terminal so
        pass
    os.close(primary)
    process.wait()
    return seen.decode().splitlines()
