"""The one place that prints. stdout is the answer, stderr the words.

Every command returns an Outcome; with --json the sink prints it as one document, without it
as text. A failure goes the same way, so that a caller always gets a document to parse.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from k2compat.errors import K2CompatError
from k2compat.findings import Finding, Report

FINE = 0
FOUND_ERRORS = 1
REFUSED = 2

_COLORS = {"error": "31", "warning": "33", "info": "36", "hint": "32"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did or found.

    Attributes:
        document: The members of the JSON document beside schema and findings.
        answer: The same for a person, for stdout; may be empty.
        report: The findings.
        exit_code: 0 fine; 1 errors were found, or --check would change something.
    """

    document: Mapping[str, Any]
    answer: str
    report: Report = field(default_factory=Report)
    exit_code: int = FINE


class Output:
    """Where a command's words and answer go."""

    def __init__(self, *, as_json: bool) -> None:
        """Choose between one JSON document and text."""
        self.as_json = as_json

    def say(self, words: str) -> None:
        """Say something on stderr at once."""
        _write(sys.stderr, printable(words) + "\n")

    def waiting(self) -> None:
        """Say that another process holds the folder."""
        self.say("Another k2compat is writing in that folder; waiting for it.")

    def show(self, text: str) -> None:
        """Show a part of a text answer at once; with --json nothing is shown."""
        if not self.as_json:
            _write(sys.stdout, text + "\n")

    def finish(self, command: str, outcome: Outcome) -> int:
        """Print an outcome; returns the exit status."""
        findings = list(outcome.report)
        if self.as_json:
            self._print_document(command, outcome.document, findings)
        else:
            if outcome.answer:
                _write(sys.stdout, outcome.answer.removesuffix("\n") + "\n")
            for finding in findings:
                self._say_finding(finding)
        return outcome.exit_code

    def fail(self, command: str, error: K2CompatError) -> int:
        """Print an error; returns the exit status."""
        if self.as_json:
            words = {"code": error.code, "message": error.message, "hint": error.hint}
            self._print_document(command, {"error": words}, [])
        else:
            self._say_labelled("error", f"{error.message} [{error.code}]")
            self._say_labelled("hint", error.hint)
        return REFUSED

    def _print_document(
        self, command: str, members: Mapping[str, Any], findings: list[Finding]
    ) -> None:
        document = {
            "schema": f"k2compat.{command}/1",
            **members,
            "findings": [finding.as_dict() for finding in findings],
        }
        _write(sys.stdout, json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")

    def _say_finding(self, finding: Finding) -> None:
        self._say_labelled(finding.severity, f"{finding.message} [{finding.code}]")
        details = {
            "where": finding.where,
            "expected": finding.expected,
            "found": finding.actual,
            "fix": finding.fix,
        }
        for label, words in details.items():
            if words:
                self.say(f"  {label}: {words}")

    def _say_labelled(self, label: str, words: str) -> None:
        shown = f"\033[1;{_COLORS[label]}m{label}\033[0m" if _has_colors(sys.stderr) else label
        _write(sys.stderr, f"{shown}: {printable(words)}\n")


def printable(text: str) -> str:
    """The text with what could steer a terminal or hide itself written as escapes."""
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


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
