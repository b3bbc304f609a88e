"""The one place that prints. The answer goes to stdout; findings and status go to stderr.

Every command returns an Outcome, which the sink prints as one document with --json and as text
without it. A failure is printed in the same way, so that a caller always gets a document to parse.
Nothing follows a document on stdout, whole or cut off: a later error goes to stderr.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from itertools import islice, pairwise
from typing import Any, NamedTuple, TextIO

from k2compat.cli.finding_text import finding_texts
from k2compat.errors import K2CompatError
from k2compat.findings import Finding, Report
from k2compat.printable import printable

OK = 0
FOUND_ERRORS = 1
REFUSED = 2

# Of a JSON document, in one write: some hundred kilobytes.
_JSON_CHUNKS_PER_WRITE = 10_000

# Where a sentence or a command ends, and before that what a shell reads as one quoted word.
_AFTER_A_SENTENCE = re.compile(r"(?<!\w)'[^']*'|(?P<end>(?<=[.?]) (?=[A-Z])|  +)")

_COLORS = {"error": "31", "warning": "33", "info": "36", "hint": "32"}


class Outcome(NamedTuple):
    """The result of a command.

    Attributes:
        document: The members of the JSON document, without schema and findings.
        answer: The same for a person, for stdout; may be empty.
        verbatim: The answer is a file's own text (a diff): anywhere but on a terminal it keeps
            its bytes.
        prose: The answer is sentences: on a terminal its lines end between words.
        bare: The document is the whole answer, with and without --json, with no schema and no
            findings in it; an empty one is not printed. The findings go to stderr.
        report: The findings.
        exit_code: 0 fine; 1 errors were found, or --check would change something.
    """

    document: Mapping[str, Any]
    answer: str
    report: Report = Report()
    exit_code: int = OK
    verbatim: bool = False
    prose: bool = False
    bare: bool = False


class OutputLostError(Exception):
    """The answer could not be written to stdout, as on a full disk."""


class Output:
    """The sink for a command's status, findings and answer."""

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        """Choose between one JSON document and text.

        Args:
            as_json: Print one JSON document.
            quiet: Print findings, errors and the answer only: no status, no progress.
        """
        self.as_json = as_json
        self.quiet = quiet
        self._stdout: TextIO | None = sys.stdout  # later, what others print is caught
        self._has_document = False  # on stdout, or the begin of one

    @property
    def shows_progress(self) -> bool:
        """Whether a progress bar has a reader."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        return is_terminal and not self.as_json and not self.quiet

    @property
    def width(self) -> int | None:
        """Columns of the answer's terminal; None where stdout is no terminal."""
        return _width() if self._stdout is not None and self._stdout.isatty() else None

    def status(self, words: str) -> None:
        """Print a line on stderr at once, unless --quiet is given; a failure stops no work."""
        if not self.quiet:
            self._print_line(printable(words))

    def waiting(self) -> None:
        """Print that another process holds the folder."""
        self.status("Another k2compat is writing in that folder; waiting for it.")

    def print_part(self, text: str) -> None:
        """Print a part of a text answer at once; with --json nothing is printed."""
        if not self.as_json:
            self.print_text(text)

    def print_text(self, text: str) -> None:
        """Print text on stdout even with --json: the help that was asked for."""
        if text:
            self._answer(text.removesuffix("\n") + "\n")

    def print_json_line(self, document: Mapping[str, Any]) -> None:
        """Print a document on a line of its own, at once."""
        self._has_document = True
        self._answer(json.dumps(document, ensure_ascii=False) + "\n", "utf-8")

    def finish(self, command: str, outcome: Outcome) -> int:
        """Print an outcome; returns the exit status."""
        findings = list(outcome.report)
        if outcome.bare:
            if outcome.document:
                self._print_json(outcome.document)
        elif self.as_json:
            self._print_document(command, outcome.document, findings)
            return outcome.exit_code
        elif outcome.answer:
            self._print_answer(outcome)
        self.print_findings(outcome.report)
        return outcome.exit_code

    def print_findings(self, report: Report) -> None:
        """Print a report's findings on stderr at once, for a process that may not end itself."""
        for text in finding_texts(report):
            self._print_labelled(text.severity, text.headline)
            for label, words in text.details:
                line = printable(f"  {label}: {words}")
                if label == "fix":  # for pasting: no line of a command is wrapped
                    self._print_line("\n    ".join(_sentences(line)))
                else:
                    self._print_line(_wrapped(line, indent="    "))

    def print_error(self, command: str, error: K2CompatError) -> int:
        """Print an error; returns the exit status.

        With --json it is a document, unless stdout already has one or the beginning of one.
        """
        if self.as_json and not self._has_document:
            words = {"code": error.code, "message": error.message, "hint": error.hint}
            with contextlib.suppress(OutputLostError):  # then the words below are all there is
                self._print_document(command, {"error": words}, [])
                return REFUSED
        self._print_labelled("error", f"{error.message} [{error.code}]")
        self._print_labelled("hint", error.hint)
        return REFUSED

    def report_lost_output(self, error: OutputLostError) -> int:
        """Print that the answer is lost; returns the exit status. Changes of the command remain."""
        self._print_labelled("error", f"The answer could not be written: {error} [output-failed]")
        hint = "Free space where stdout goes, or send it elsewhere, and run the command again."
        self._print_labelled("hint", hint)
        return FOUND_ERRORS

    def drop_answer(self) -> None:
        """Drop output that is not written yet, so that the end does not wait for a slow reader."""
        if self._has_document:
            self._drop_stdout()

    def _print_answer(self, outcome: Outcome) -> None:
        text = outcome.answer.removesuffix("\n") + "\n"
        if outcome.prose and self.width is not None:
            lines = (_filled(line, self.width) for line in text.split("\n"))
            self._answer("\n".join(lines))
        elif not outcome.verbatim:
            self._answer(text)
        elif self._stdout is not None and self._stdout.isatty():
            self._answer("\n".join(printable(line) for line in text.split("\n")))
        else:
            self._answer(text, "utf-8")

    def _answer(self, text: str, encoding: str | None = None) -> None:
        try:
            _write(self._stdout, text, encoding)
        except OSError as error:
            self._drop_stdout()
            if isinstance(error, BrokenPipeError):
                raise
            raise OutputLostError(error.strerror) from error

    def _drop_stdout(self) -> None:
        # Python would try to write the rest at exit; give it something that takes it.
        if self._stdout is not None:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    def _print_document(
        self, command: str, members: Mapping[str, Any], findings: list[Finding]
    ) -> None:
        document = {
            "schema": f"k2compat.{command}/1",
            **members,
            "findings": [finding.as_dict() for finding in findings],
        }
        self._print_json(document)

    def _print_json(self, document: Mapping[str, Any]) -> None:
        # In parts: the names of all tensors of a model, as one text, take as much as its index.
        self._has_document = True
        chunks = json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(document)
        while part := "".join(islice(chunks, _JSON_CHUNKS_PER_WRITE)):
            self._answer(part, "utf-8")
        self._answer("\n", "utf-8")

    def _print_labelled(self, label: str, words: str) -> None:
        shown = f"\033[1;{_COLORS[label]}m{label}\033[0m" if _has_colors(sys.stderr) else label
        text = _wrapped(printable(words), taken=len(label) + 2)
        self._print_line(f"{shown}: {text}")

    def _print_line(self, line: str) -> None:
        with contextlib.suppress(OSError):
            _write(sys.stderr, line + "\n")


def _wrapped(words: str, taken: int = 0, indent: str = "  ") -> str:
    """On a terminal, lines end between words; in a file or pipe a message is one line."""
    if sys.stderr is None or not sys.stderr.isatty():
        return words
    return _filled(words, _width(), taken, indent)


def _sentences(line: str) -> list[str]:
    """A line longer than the terminal's width, cut after its sentences and commands."""
    if sys.stderr is None or not sys.stderr.isatty() or len(line) <= _width():
        return [line]
    found = _AFTER_A_SENTENCE.finditer(line, 2)  # the indent is none
    ends = [match.end() for match in found if match["end"] is not None]
    return [line[start:end].rstrip() for start, end in pairwise([0, *ends, len(line)])]


def _width() -> int:
    import shutil

    return max(shutil.get_terminal_size().columns, 40)


def _filled(words: str, width: int, taken: int = 0, indent: str = "  ") -> str:
    import textwrap

    filled = textwrap.fill(
        words,
        width,
        initial_indent=" " * taken,  # the label
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled[taken:]


def _has_colors(stream: TextIO | None) -> bool:
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def _write(stream: TextIO | None, text: str, encoding: str | None = None) -> None:
    """Write and flush; file names that no encoding can hold come out escaped.

    In JSON the escape that "backslashreplace" writes for a lone surrogate is JSON's own.
    """
    if stream is None:  # the caller closed it
        return
    encoded = text.encode(encoding or stream.encoding or "utf-8", "backslashreplace")
    stream.flush()
    stream.buffer.write(encoded)
    stream.buffer.flush()
