"""The progress bar: on a terminal only, and only when the work takes long."""

import io
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


def test_long_work_shows_what_is_done(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    with progress_bar("staging", Output(as_json=False)) as advance:
        advance(2_000_000)
        advance(1_000_000)
    assert "staging" in terminal.getvalue()
    assert "3.0 MB" in terminal.getvalue()


def test_short_work_shows_nothing(terminal: Terminal) -> None:
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
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    with progress_bar("staging", Output(as_json=True)) as advance:
        advance(1)
    assert terminal.getvalue() == ""
