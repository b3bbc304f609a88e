"""Collect the findings about one file, bounded however damaged the file is."""

from collections import Counter
from collections.abc import Iterable

from k2compat.checkpoint.reporting.alike import FINDINGS_PER_CODE
from k2compat.findings import Codes, Finding, Fix
from k2compat.printable import shortened

_codes = Codes("checkpoint")


class FileFindings:
    """The findings about one file, in the order they were found."""

    def __init__(self, path: str) -> None:
        """Take the file's path as it is to be shown; it is made printable here."""
        self._path = shortened(path)
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
            message: One sentence; what it quotes from the file went through `shortened`.
            at: The place inside the file: a tensor, a key, a byte.
            count: How many single things are meant.
            expected: What should be there; shown as `str` gives it.
            actual: What is there; shown as `str` gives it.
            fix: Advice in words, or a command as its words.
            items: The single things, where `count` of them are meant; made printable here.
        """
        self._seen[code] += 1
        if self._seen[code] > FINDINGS_PER_CODE:
            return
        self._findings.append(
            _codes.finding(
                code,
                f"{self._path}: {at}" if at else self._path,
                message,
                count=count,
                expected=None if expected is None else shortened(str(expected)),
                actual=None if actual is None else shortened(str(actual)),
                fix=fix,
                items=tuple(map(shortened, items)),
            )
        )

    def findings(self) -> tuple[Finding, ...]:
        """All findings; of each code at most `FINDINGS_PER_CODE`, then one for the rest."""
        rest = tuple(
            _codes.finding(
                code,
                self._path,
                f"has {seen - FINDINGS_PER_CODE:,} more of these findings",
                count=seen - FINDINGS_PER_CODE,
            )
            for code, seen in self._seen.items()
            if seen > FINDINGS_PER_CODE
        )
        return (*self._findings, *rest)
