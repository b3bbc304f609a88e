"""Summary of the deviations of a hundred thousand tensors in a few sentences.

Tensors with the same deviation become one finding: "layers 12–14: 36 expert tensors are missing,
all in model-7-of-61.safetensors". Its `items` are the exact names.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from k2compat.checkpoint.reporting import (
    FINDINGS_PER_CODE,
    RANGES_SHOWN,
    FileFindings,
    numbered,
    ranges,
)
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

SHARDS_SHOWN = 2

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
    Deviation.QUANTISED: "{what} quantised, which the config excludes",
    Deviation.NOT_QUANTISED: "{what} not quantised, which the config includes",
    Deviation.SCHEME: "{what} in another scheme than the config gives",
    Deviation.BITS: "{what} with another number of bits than the config gives",
    Deviation.GROUP_SIZE: "{what} with scales of other groups or blocks than the config gives",
    Deviation.SYMMETRY: "{what} with zero points where the config is symmetric, or without them",
    Deviation.SETTINGS: "{what} with other scales than the config's settings give",
    Deviation.UNSURE: "{what} quantised, about which sources contradict each other",
}


def group(root: str, odd: Iterable[TensorDeviation]) -> Iterator[Finding]:
    """One finding for all tensors with the same deviation.

    Args:
        root: Names the checkpoint.
        odd: The tensors that deviate, in any order.
    """
    groups: defaultdict[tuple[object, ...], list[TensorDeviation]] = defaultdict(list)
    for one in odd:
        # Unknown names are grouped by their form, with each number replaced.
        likeness = one.part or _NUMBER.sub("N", one.name)
        groups[one.deviation, likeness, one.expected, one.actual].append(one)
    told: Counter[Deviation] = Counter()
    rest: defaultdict[Deviation, list[str]] = defaultdict(list)
    for members in groups.values():
        deviation = members[0].deviation
        told[deviation] += 1
        if told[deviation] <= FINDINGS_PER_CODE:
            yield _finding(root, members)
        else:
            rest[deviation] += [one.name for one in members]
    defects = FileFindings(root)
    for deviation, names in rest.items():
        message = f"the same deviation in {counted(len(names), 'more tensor')}"
        defects.add(deviation.value, message, count=len(names), items=names)
    yield from defects.findings()


def _finding(root: str, members: Sequence[TensorDeviation]) -> Finding:
    first = members[0]
    shards = list(dict.fromkeys(one.shard for one in members if one.shard is not None))
    where = f"{root}/{shards[0]}" if len(shards) == 1 else root
    defects = FileFindings(where)
    words = _SAYING[first.deviation].format(what=_what(members))
    defects.add(
        first.deviation.value,
        f"{_place(members)}: {words}{_in_shards(members, shards)}",
        at=f"tensor {shortened(first.name)}" if len(members) == 1 else "",
        count=len(members),
        expected=first.expected or None,
        actual=first.actual or None,
        items=[one.name for one in members],
    )
    return defects.findings()[0]


def _what(members: Sequence[TensorDeviation]) -> str:
    """Words such as "36 expert tensors"; the name for a single tensor or one without a rule."""
    first = members[0]
    count = len(members)
    if count == 1:
        return f"1 {first.part} tensor" if first.part else shortened(first.name)
    if first.part:
        return counted(count, f"{first.part} tensor")
    return f"{counted(count, 'tensor')} like {shortened(first.name)}"


def _place(members: Sequence[TensorDeviation]) -> str:
    layers = {one.layer for one in members if one.layer is not None}
    if not layers:
        return "outside the layers"
    words = numbered("layer", layers)
    experts = {int(found[1]) for one in members if (found := _EXPERT.search(one.name))}
    if experts and len(ranges(experts)) <= RANGES_SHOWN:
        words += f", {numbered('expert', experts)}"
    return words


def _in_shards(members: Sequence[TensorDeviation], shards: Sequence[str]) -> str:
    if not shards:
        return ""
    if len(shards) <= SHARDS_SHOWN:
        names = " and ".join(map(shortened, shards))
        every = "all " if len(members) > 1 and len(shards) == 1 else ""
    else:
        names, every = counted(len(shards), "file"), ""
    return f", {every}in {names}"
