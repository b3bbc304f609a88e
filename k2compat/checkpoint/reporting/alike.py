"""One mistake in many places becomes one sentence. Every limit on what is shown is here."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from k2compat.findings import Finding
from k2compat.printable import shortened

FINDINGS_PER_CODE: Final = 1_000
"""A hostile file can hold a defect in each of a million tensors; the rest is only counted."""

ALIKE_SHOWN: Final = 4
"""Files with the same defect that have a finding each. More of them share one cause."""

NAMES_SHOWN: Final = 3
RANGES_SHOWN: Final = 4
NUMBERS_SHOWN: Final = 20


def fold_equal(root: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings that differ only in their file become one: a clone without LFS is one mistake.

    Args:
        root: Names the checkpoint.
        findings: In any order. One with `items` is a summary already and stays.
    """
    return _folded(
        root,
        findings,
        lambda finding: finding if finding.items else replace(finding, where=""),
        "{count:,} files have the same defect, first {where}: {message}",
    )


def fold_by_code(root: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the same code become one, though numbers in their messages differ.

    Args:
        root: Names the checkpoint.
        findings: In any order.
    """
    return _folded(
        root,
        findings,
        lambda finding: finding.code,
        "{count:,} times, first at {where}: {message}",
    )


def _folded(
    root: str, findings: Iterable[Finding], key: Callable[[Finding], Hashable], message: str
) -> tuple[Finding, ...]:
    groups: dict[Hashable, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(key(finding), []).append(finding)
    return tuple(
        one
        for group in groups.values()
        for one in (group if len(group) <= ALIKE_SHOWN else [_shared(root, group, message)])
    )


def _shared(root: str, group: Sequence[Finding], message: str) -> Finding:
    first = group[0]
    are_same = {(finding.expected, finding.actual) for finding in group} == {
        (first.expected, first.actual)
    }
    return replace(
        first,
        where=root,
        expected=first.expected if are_same else None,
        actual=first.actual if are_same else None,
        message=message.format(count=len(group), where=first.where, message=first.message),
        count=sum(finding.count for finding in group),
        items=tuple(finding.where for finding in group),
    )


def named(names: Iterable[str], most: int = NAMES_SHOWN) -> str:
    """The first names, made printable, and how many more there are."""
    listed = list(names)
    shown = ", ".join(map(shortened, listed[:most]))
    rest = len(listed) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def numbered(word: str, numbers: Iterable[int]) -> str:
    """Numbers in words: "layer 3", "layers 3–5 and 9"; many ranges end in "…"."""
    found = ranges(numbers)
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in found]
    if len(shown) > RANGES_SHOWN:
        text = ", ".join(shown[:RANGES_SHOWN]) + ", …"
    else:
        text = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    is_one = len(found) == 1 and found[0][0] == found[0][1]
    return f"{word} {text}" if is_one else f"{word}s {text}"


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers, in order."""
    ordered = sorted(set(numbers))
    breaks = [before for before, after in pairwise(ordered) if after != before + 1]
    starts = [after for before, after in pairwise(ordered) if after != before + 1]
    return list(zip([ordered[0], *starts], [*breaks, ordered[-1]], strict=True)) if ordered else []
