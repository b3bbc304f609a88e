"""The progress bar: on a terminal only, and only when the work takes long."""

import io
import os
import subprocess
import sys

import pytest

from k2compat.cli import progress
from k2compat.cli.output import Output
from k2compat.cli.progress import progress_bar


class Terminal(io.StringIO):
    """Something that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


LONG_WORK = """
import time
from k2compat.cli import progress
from k2compat.cli.output import Output
progress.PATIENCE_SECONDS = -1.0
with progress.progress_bar("staging", Output(as_json=False)) as advance:
    advance(2_000_000)
    advance(1_000_000)
"""


def test_long_work_shows_what_is_done() -> None:
    """On a real terminal; when the work is over the line is wiped."""
    ours, theirs = os.openpty()
    process = subprocess.run(
        [sys.executable, "-c", LONG_WORK],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert process.stdout == b""
    assert "staging" in shown
    assert "3.0 MB" in shown
    assert shown.rstrip().endswith("\x1b[2K")


COUNTED_WORK = """
from k2compat.cli import progress
from k2compat.cli.output import Output
progress.PATIENCE_SECONDS = -1.0
with progress.counting_bar("validating", "files", Output(as_json=False)) as done:
    done(7, 61)
"""


def test_counted_work_shows_how_much_there_is() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-c", COUNTED_WORK]
    subprocess.run(command, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert " 7/61 files" in shown
    assert shown.rstrip().endswith("\x1b[2K")


def test_short_work_shows_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    # Again: pytest puts its own stream there between a fixture and its test.
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("staging", Output(as_json=False)) as advance:
        advance(1)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_nobody_watches(stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar("staging", Output(as_json=False)) as advance:
        advance(1)
    assert stream is None or stream.getvalue() == ""


def test_a_document_has_no_bar_beside_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    with progress_bar("staging", Output(as_json=True)) as advance:
        advance(1)
    assert terminal.getvalue() == ""
