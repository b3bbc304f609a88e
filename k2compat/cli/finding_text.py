"""A finding as lines of text: one headline that begins with its place, and details below.

    error: Kimi-K2/model-3-of-61.safetensors is empty [file-empty]
      also: Kimi-K2/model-4-of-61.safetensors
      fix: …

The headline holds severity, place, message and code, so that `grep` finds a finding by any of
them and shows all of them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from k2compat.findings import Finding, Report, Severity

LOCATIONS_SHOWN = 3
"""Places that are shown for findings that differ only in their place."""

# A message without a subject is the predicate of its place.
_PREDICATE = re.compile(r"(?:is|does|has|holds|begins|cannot) ")


class FindingText(NamedTuple):
    """The text of one finding, or of several that differ only in their place.

    Attributes:
        severity: The label of the headline.
        headline: The place, the message and the code.
        details: Labels and words of the lines below.
    """

    severity: Severity
    headline: str
    details: tuple[tuple[str, str], ...]


def finding_texts(report: Report) -> Iterator[FindingText]:
    """A report's findings as text; those that differ only in their place are one text."""
    alike: dict[tuple[str | None, ...], list[Finding]] = {}
    for finding in report:
        key = (
            finding.code,
            finding.message,
            finding.expected,
            finding.actual,
            finding.fix,
            finding.because,
        )
        alike.setdefault(key, []).append(finding)
    for finding, *others in alike.values():
        headline = f"{sentence(finding.where, finding.message)} [{finding.code}]"
        details = (*_other_places(others), *_details(finding))
        yield FindingText(finding.severity, headline, details)


def sentence(place: str, message: str) -> str:
    """One sentence that begins with the place, or names it.

    A predicate follows its place ("FILE is empty"). A message that begins with the end of the
    place continues it ("line 1: --tp" and "--tp has another name."). A message that names the
    place elsewhere is enough. Any other comes after the place and a colon.
    """
    if not place:
        return message
    if _PREDICATE.match(message):
        return f"{place} {message}"
    overlap = _overlap(place, message)
    if overlap:
        return place + message[overlap:]
    if _names(message, place):
        return message
    return f"{place}: {message}"


def _overlap(place: str, message: str) -> int:
    """How many characters at the message's beginning repeat the end of the place."""
    starts = [0, *(found.end() for found in re.finditer(r": |[/.\s]", place))]
    ends = (place[start:] for start in starts if start < len(place))
    return next((len(end) for end in ends if _begins(message, end)), 0)


def _begins(message: str, words: str) -> bool:
    return message.startswith(words) and not re.match(r"[\w-]", message[len(words) :])


def _names(message: str, place: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(place)}(?![\w-])", message) is not None


def _other_places(others: list[Finding]) -> Iterator[tuple[str, str]]:
    if others:
        shown = ", ".join(other.where for other in others[:LOCATIONS_SHOWN])
        more = len(others) - LOCATIONS_SHOWN
        yield "also", f"{shown} and {more} more" if more > 0 else shown


def _details(finding: Finding) -> Iterator[tuple[str, str]]:
    """The lines below: only what neither the headline nor the fix holds already."""
    known = f"{finding.message}\n{finding.fix or ''}"
    if finding.severity is not Severity.INFO:
        for label, words in (("expected", finding.expected), ("found", finding.actual)):
            if words and not _names(known, words):
                yield label, words
    if finding.because:
        yield "because", finding.because
    if finding.fix:
        yield "fix", finding.fix
