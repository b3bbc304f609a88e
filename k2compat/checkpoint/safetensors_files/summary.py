"""Say what is odd about a hundred thousand tensors in a few sentences.

Tensors that are odd in the same way belong to one finding: "layers 12–14: 36 expert tensors
are missing, all in model-7-of-61.safetensors". The exact names go with it as `items`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from k2compat.checkpoint.reporting.collector import MOST_FINDINGS_PER_CODE, Defects, printable
from k2compat.checkpoint.safetensors_files.comparison import Deviation, Odd
from k2compat.findings import Finding

MOST_RANGES = 4
MOST_SHARDS = 2

MOST_ALONE = 4
"""Files with the same defect that are named one by one; more are one thing that went wrong."""

_EXPERT = re.compile(r"\.experts\.([0-9]{1,9})\.")
_NUMBER = re.compile(r"[0-9]+")

_SAYING: Mapping[Deviation, str] = {
    Deviation.MISSING: "{what} missing",
    Deviation.SCALE_MISSING: "the scales of {what} missing",
    Deviation.UNEXPECTED: "{what} that the config does not call for",
    Deviation.SHAPE: "{what} of another shape than the config gives",
    Deviation.TRANSPOSED: "{what} transposed",
    Deviation.SCALE_SHAPE: "{what} with scales of the wrong shape",
    Deviation.DTYPE: "{what} of the wrong dtype",
    Deviation.PRECISION: "{what} with less precision than they should have",
    Deviation.DUPLICATE: "{what} in several shards",
}


def group(root: str, odd: Iterable[Odd]) -> Iterator[Finding]:
    """One finding for all tensors that are odd in the same way.

    Args:
        root: Names the checkpoint.
        odd: In any order.
    """
    groups: defaultdict[tuple[object, ...], list[Odd]] = defaultdict(list)
    for one in odd:
        # Of an unknown name, what it looks like tells more than where it is.
        likeness = one.part or _NUMBER.sub("N", one.name)
        groups[one.deviation, likeness, one.expected, one.actual].append(one)
    told: Counter[Deviation] = Counter()
    rest: defaultdict[Deviation, list[str]] = defaultdict(list)
    for members in groups.values():
        deviation = members[0].deviation
        told[deviation] += 1
        if told[deviation] <= MOST_FINDINGS_PER_CODE:
            yield _finding(root, members)
        else:
            rest[deviation] += [one.name for one in members]
    defects = Defects(root)
    for deviation, names in rest.items():
        message = f"{len(names):,} more tensors deviate in the same way"
        defects.add(deviation.value, message, count=len(names), items=names)
    yield from defects.findings()


def together(root: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, those that many files share as one: a clone without LFS is one mistake.

    Args:
        root: Names the checkpoint.
        findings: In any order; what stands for several things already stays as it is.
    """
    alike: dict[Finding, list[Finding]] = {}
    for finding in findings:
        key = finding if finding.items else replace(finding, where="")
        alike.setdefault(key, []).append(finding)
    return tuple(
        one
        for same in alike.values()
        for one in (same if len(same) <= MOST_ALONE else [_shared(root, same)])
    )


def _shared(root: str, same: Sequence[Finding]) -> Finding:
    first = same[0]
    return replace(
        first,
        where=root,
        message=f"{len(same):,} files have the same defect, first {first.where}: {first.message}",
        count=sum(finding.count for finding in same),
        items=tuple(finding.where for finding in same),
    )


def _finding(root: str, members: Sequence[Odd]) -> Finding:
    first = members[0]
    shards = list(dict.fromkeys(one.shard for one in members if one.shard is not None))
    where = f"{root}/{shards[0]}" if len(shards) == 1 else root
    defects = Defects(where)
    words = _SAYING[first.deviation].format(what=_what(members))
    defects.add(
        first.deviation.value,
        f"{_place(members)}: {words}{_in_shards(members, shards)}",
        at=f"tensor {printable(first.name)}" if len(members) == 1 else "",
        count=len(members),
        expected=first.expected or None,
        actual=first.actual or None,
        items=[one.name for one in members],
    )
    return defects.findings()[0]


def _what(members: Sequence[Odd]) -> str:
    """Say "36 expert tensors"; one alone, and what nobody knows, by name."""
    first = members[0]
    count = len(members)
    if count == 1:
        return f"1 {first.part} tensor" if first.part else printable(first.name)
    if first.part:
        return f"{count:,} {first.part} tensors"
    return f"{count:,} tensors like {printable(first.name)}"


def _place(members: Sequence[Odd]) -> str:
    layers = {one.layer for one in members if one.layer is not None}
    if not layers:
        return "outside the layers"
    words = numbered("layer", layers)
    experts = {int(found[1]) for one in members if (found := _EXPERT.search(one.name))}
    if experts and len(ranges(experts)) <= MOST_RANGES:
        words += f", {numbered('expert', experts)}"
    return words


def _in_shards(members: Sequence[Odd], shards: Sequence[str]) -> str:
    if not shards:
        return ""
    if len(shards) <= MOST_SHARDS:
        names = " and ".join(map(printable, shards))
        every = "all " if len(members) > 1 and len(shards) == 1 else ""
    else:
        names, every = f"{len(shards)} files", ""
    return f", {every}in {names}"


def numbered(word: str, numbers: Iterable[int]) -> str:
    """Numbers in words: "layer 3", "layers 3–5 and 9"; many ranges end in "…"."""
    found = ranges(numbers)
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in found]
    if len(shown) > MOST_RANGES:
        text = ", ".join(shown[:MOST_RANGES]) + ", …"
    else:
        text = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    is_one = len(found) == 1 and found[0][0] == found[0][1]
    return f"{word} {text}" if is_one else f"{word}s {text}"


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of whole numbers, in order."""
    ordered = sorted(set(numbers))
    breaks = [before for before, after in pairwise(ordered) if after != before + 1]
    starts = [after for before, after in pairwise(ordered) if after != before + 1]
    return list(zip([ordered[0], *starts], [*breaks, ordered[-1]], strict=True)) if ordered else []
