"""Collect the findings about one file, bounded however damaged the file is."""

from collections import Counter
from collections.abc import Iterable

from k2compat.findings import Codes, Finding, Fix

MOST_FINDINGS_PER_CODE = 1_000
"""A file made to annoy can hold a defect per tensor; what goes beyond is only counted."""

MOST_CHARACTERS_SHOWN = 200

_codes = Codes("checkpoint")


class Defects:
    """The findings about one file, in the order they were found."""

    def __init__(self, path: str) -> None:
        """Take the file's path as it is to be shown; it is made printable here."""
        self._path = printable(path)
        self._findings: list[Finding] = []
        self._seen: Counter[str] = Counter()

    def add(
        self,
        code: str,
        message: str,
        *,
        at: str = "",
        count: int = 1,
        expected: object = None,
        actual: object = None,
        fix: Fix | None = None,
        items: Iterable[str] = (),
    ) -> None:
        """Note one defect.

        Args:
            code: A key of the room's `codes.toml`.
            message: One sentence; what it quotes from the file went through `printable`.
            at: The place inside the file: a tensor, a key, a byte.
            count: How many single things are meant.
            expected: What should be there; shown as `str` gives it.
            actual: What is there; shown as `str` gives it.
            fix: Advice in words, or a command as its words.
            items: The single things, where `count` of them are meant; made printable here.
        """
        self._seen[code] += 1
        if self._seen[code] > MOST_FINDINGS_PER_CODE:
            return
        self._findings.append(
            _codes.finding(
                code,
                f"{self._path}: {at}" if at else self._path,
                message,
                count=count,
                expected=None if expected is None else printable(str(expected)),
                actual=None if actual is None else printable(str(actual)),
                fix=fix,
                items=tuple(map(printable, items)),
            )
        )

    def findings(self) -> tuple[Finding, ...]:
        """All findings; of each code at most `MOST_FINDINGS_PER_CODE`, then one for the rest."""
        rest = tuple(
            _codes.finding(
                code,
                self._path,
                f"has {seen - MOST_FINDINGS_PER_CODE:,} more of these findings",
                count=seen - MOST_FINDINGS_PER_CODE,
            )
            for code, seen in self._seen.items()
            if seen > MOST_FINDINGS_PER_CODE
        )
        return (*self._findings, *rest)


def printable(text: str) -> str:
    r"""The text with everything escaped that a terminal would not print as itself.

    Names come out of untrusted files: line feeds, escape sequences, characters
    that turn the writing direction and lone surrogates become `\n`, `\x1b`,
    `\u202e`. What is longer than `MOST_CHARACTERS_SHOWN` is cut.
    """
    if len(text) > MOST_CHARACTERS_SHOWN:
        text = text[:MOST_CHARACTERS_SHOWN] + "…"
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
