"""The results about a checkpoint as values, and the folding of equal findings.

`FileFindings` collects a file's findings, and is bounded for any damage of the file. One mistake in
many places becomes one sentence. All limits on the number of shown findings are here.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import msgspec

from k2compat.findings import Codes, Finding, Fix, Report
from k2compat.printable import shortened

_codes = Codes("checkpoint")

Progress = Callable[[int, int], object]
"""Takes the number of finished files of weights, and of all files."""

UNKNOWN_VARIANT = "unknown"

FINDINGS_PER_CODE: Final = 1_000
"""A hostile file can hold a defect in each of a million tensors; the rest is only counted."""

ALIKE_SHOWN: Final = 4
"""Files with the same defect that have a finding each. More of them become one finding."""

NAMES_SHOWN: Final = 3
RANGES_SHOWN: Final = 4
NUMBERS_SHOWN: Final = 20


class FileSummary(msgspec.Struct, frozen=True):
    """A file of weights.

    Attributes:
        path: Within the checkpoint.
        bytes: Its size; None where it could not be opened.
        tensors: How many its header names.
    """

    path: str
    bytes: int | None
    tensors: int


class StoredPart(msgspec.Struct, frozen=True):
    """Tensors with the same storage in the config.

    Attributes:
        name: The scheme and its programs, as "MXFP4 of AMD Quark", or "plain weights".
        tensors: The number of judged tensors.
        bytes: The bytes of their data in the shards.
    """

    name: str
    tensors: int
    bytes: int


class Coverage(msgspec.Struct, frozen=True):
    """How many tensors were compared with a rule.

    Attributes:
        judged: How many were compared.
        all: How many there are, also in files that were not or could not be read.
        reasons: Why the others were not; empty where all were.
        parts: The judged ones by how they are stored, where more than one way is known.
    """

    judged: int
    all: int
    reasons: tuple[str, ...] = ()
    parts: tuple[StoredPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """The results about a checkpoint.

    Attributes:
        source: As the user named it.
        format: "safetensors" or "gguf".
        variant: Model type and storage, as "kimi_k2 fp8"; "unknown" without a usable config.
        tensors: How many are stored.
        parameters: Elements of all stored tensors, scales and buffers included.
        model_parameters: The model's own: without scales and buffers, and a packed element
            counts as the weights that it holds.
        bytes: Of the tensors' data.
        files: The files of weights that were read.
        not_checked: Parts that were not checked, as sentences.
        report: The findings.
        coverage: Which of the tensors were judged.
    """

    source: str
    format: str
    variant: str
    tensors: int
    parameters: int
    model_parameters: int
    bytes: int
    files: tuple[FileSummary, ...]
    not_checked: tuple[str, ...]
    report: Report
    coverage: Coverage


class FileFindings:
    """The findings about one file, in the order they were found."""

    def __init__(self, path: str) -> None:
        """Take the file's path for messages; it is made printable here."""
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
            message: One sentence; quotations from the file must be made with `shortened`.
            at: The place inside the file: a tensor, a key, a byte.
            count: The number of single things.
            expected: The expected value, shown by `str`.
            actual: The value of the file, shown by `str`.
            fix: Advice in words, or a command as its words.
            items: The single things, if there are `count` of them; made printable here.
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

    def add_named(self, code: str, message: str, names: Collection[str], **more: Any) -> None:
        """Note one defect of several things: the message ends in the first names, `items` has all.

        Args:
            code: A key of the room's `codes.toml`.
            message: One sentence without the names.
            names: The things in their order, at least one.
            more: Further arguments of `add`.
        """
        self.add(code, f"{message}: {named(names)}", count=len(names), items=names, **more)

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


def fold_equal(root: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Fold findings that differ only in their file: a clone without LFS is one mistake.

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
    """Fold findings with the same code, even if numbers in their messages differ.

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
