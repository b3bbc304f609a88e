"""How findings are shown: folded, short, in lines that fit a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from k2compat.cli.output import Outcome, Output
from k2compat.errors import K2CompatError
from k2compat.findings import Finding, Report, Severity
from tests.support.command import ENVIRONMENT, PROGRAM
from tests.support.models import make_model

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


def test_what_the_headline_or_the_fix_holds_is_not_repeated(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert shown(capfd, FINDING) == [
        "warning: serve-node0: --tp has another name. [flag-renamed]",
        "  fix: Write --tp-size.",
    ]
    part = replace(FINDING, where="--tp", expected="--tp-siz", fix=None)
    assert "  expected: --tp-siz" in shown(capfd, part)


def test_an_info_is_a_headline_and_a_fix(capfd: pytest.CaptureFixture[str]) -> None:
    info = replace(FINDING, severity=Severity.INFO, expected="a", actual="b", fix=None)
    assert shown(capfd, info) == ["info: serve-node0: --tp has another name. [flag-renamed]"]


def test_findings_that_differ_in_their_place_alone_are_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    many = [
        replace(FINDING, where=f"model-{number}.safetensors", message="is empty")
        for number in range(16)
    ]
    assert shown(capfd, *many)[:2] == [
        "warning: model-0.safetensors is empty [flag-renamed]",
        "  also: model-1.safetensors, model-2.safetensors, model-3.safetensors and 12 more",
    ]
    assert shown(capfd, *many[:2])[1] == "  also: model-1.safetensors"
    other = replace(FINDING, message="--dp has another name.")
    assert len([line for line in shown(capfd, FINDING, other) if "warning" in line]) == 2


def test_quiet_leaves_findings_and_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, quiet=True)
    output.status("status")
    output.waiting()
    output.finish("launch", Outcome({}, "answer", Report((FINDING,))))
    printed = capfd.readouterr()
    assert printed.out == "answer\n"
    assert "status" not in printed.err
    assert "waiting" not in printed.err
    assert "[flag-renamed]" in printed.err
    output.print_error("launch", K2CompatError("no-space", "The disk is full.", hint="Free some."))
    assert capfd.readouterr().err == "error: The disk is full. [no-space]\nhint: Free some.\n"


def test_an_error_after_a_document_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.print_json_line({"type": "content"})
    output.print_error("parse", K2CompatError("no-space", "The disk is full.", hint="Free some."))
    printed = capfd.readouterr()
    assert printed.out == '{"type": "content"}\n'
    assert printed.err.startswith("error: The disk is full. [no-space]")


def test_a_long_detail_is_wrapped_and_not_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    found = replace(FINDING, expected=" ".join(["--tensor-parallel-size"] * 6), fix="x " * 60)
    Output(as_json=False).finish("launch", Outcome({}, "", Report((found,))))
    lines = capsys.readouterr().err.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  fix: ")) <= 60
    assert not [line for line in lines if "\\n" in line]


def test_a_long_fix_ends_its_lines_after_sentences_and_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    fix = "Look at the model's file. For vLLM: --a 'It is. So  it is.'  For SGLang: --b"
    Output(as_json=False).finish("x", Outcome({}, "", Report((replace(FINDING, fix=fix),))))
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "  fix: Look at the model's file.",
        "    For vLLM: --a 'It is. So  it is.'",
        "    For SGLang: --b",
    ]
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    Output(as_json=False).finish("x", Outcome({}, "", Report((replace(FINDING, fix=fix),))))
    assert capsys.readouterr().err.splitlines()[-1] == f"  fix: {fix}"


def test_answers_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    for arguments in (("validate", str(model)), ("explain",), ("explain", "patch-not-needed")):
        lines = [line.replace(str(tmp_path), "") for line in on_a_terminal(*arguments)]
        assert [line for line in lines if len(line) > 80] == []
    assert any(line.startswith("wrong-usage ") for line in on_a_terminal("explain"))


@pytest.mark.sample(3)
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
