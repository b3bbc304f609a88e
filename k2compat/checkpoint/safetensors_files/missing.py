"""Summarise missing layers, MTP blocks and vision towers; list other missing tensors one by one.

Layers that the config does not have are summarised, too. Converters drop MTP layers and vision
towers, so these may be missing as a whole, but not in part.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from k2compat.checkpoint.model import (
    MTP,
    TEXT_LAYERS,
    VISION,
    VISION_LAYERS,
    Architecture,
    Block,
    Kind,
)
from k2compat.checkpoint.reporting import FileFindings, numbered
from k2compat.checkpoint.safetensors_files.comparison import Comparison
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.findings import Finding
from k2compat.printable import counted


class Gap(NamedTuple):
    """A tensor that the config calls for and no shard has.

    Attributes:
        name: The whole name.
        block: Its layer, or the block outside of layers.
        kind: Its expected shape, dtypes and role.
    """

    name: str
    block: Block
    kind: Kind


class Missing(NamedTuple):
    """The missing tensors.

    Attributes:
        findings: Findings on missing layers, MTP blocks and vision towers.
        single: All other missing tensors.
        names: Every name that is reported, in either way.
        hidden: How many may be in files that could not be read.
    """

    findings: tuple[Finding, ...]
    single: tuple[TensorDeviation, ...]
    names: AbstractSet[str]
    hidden: int


def find_missing(
    root: str,
    architecture: Architecture,
    comparison: Comparison,
    places: Mapping[str, str],
    unread: AbstractSet[str],
) -> Missing:
    """Find the tensors that the config requires and no shard holds.

    Args:
        root: Names the checkpoint.
        architecture: The architecture of the config.
        comparison: The comparison, after all shards were added.
        places: The index's files for the tensors that no shard has.
        unread: Files that could not be read, absent ones included.
    """
    gaps = [
        Gap(block.prefix + rest, block, block.kinds[rest])
        for block, rests in comparison.finish()
        for rest in rests
    ]
    known = [gap for gap in gaps if places.get(gap.name) not in unread]
    counts = Counter(gap.kind.necessity for gap in known if gap.kind.necessity in (MTP, VISION))
    absent = {
        necessity for necessity, count in counts.items() if count == comparison.count(necessity)
    }
    layers: defaultdict[bool, dict[int, list[Gap]]] = defaultdict(dict)  # vision's apart
    single: list[Gap] = []
    for gap in known:
        if gap.kind.necessity in absent:
            continue
        if gap.block.layer is not None and comparison.is_untouched(gap.block):
            of_vision = gap.block.prefix.startswith(VISION_LAYERS)
            layers[of_vision].setdefault(gap.block.layer, []).append(gap)
        else:
            single.append(gap)
    return Missing(
        findings=(
            *_missing_layers(root, layers[False], architecture.layers, ""),
            *_missing_layers(
                root, layers[True], architecture.vision_layers, " of the vision tower"
            ),
            *_absent_parts(root, architecture, absent, counts),
        ),
        single=tuple(_odd(single, places)),
        names={gap.name for gap in known},
        hidden=len(gaps) - len(known),
    )


def split_unexpected(
    root: str, architecture: Architecture, odd: Iterable[TensorDeviation]
) -> tuple[list[TensorDeviation], tuple[Finding, ...]]:
    """Separate the tensors of layers that the config does not have.

    Returns:
        The other tensors, and findings on those layers.
    """
    layers: defaultdict[int, list[str]] = defaultdict(list)
    rest: list[TensorDeviation] = []
    start = architecture.prefix + TEXT_LAYERS
    first_unknown = architecture.layers + architecture.mtp_layers
    for one in odd:
        is_beyond = (
            one.deviation is Deviation.UNEXPECTED
            and one.layer is not None
            and one.layer >= first_unknown
            and one.name.startswith(start)
        )
        if is_beyond and one.layer is not None:
            layers[one.layer].append(one.name)
        else:
            rest.append(one)
    defects = FileFindings(root)
    mtp = {layer for layer, names in layers.items() if _is_mtp(names)}
    for code, numbers, words in (
        ("mtp-unused", mtp, "for multi-token prediction, which the config does not name"),
        ("layer-unexpected", layers.keys() - mtp, "that the config does not have"),
    ):
        if numbers:
            names = [name for number in sorted(numbers) for name in layers[number]]
            defects.add(
                code,
                f"{numbered('layer', numbers)}: {counted(len(names), 'tensor')} of layers {words}",
                count=len(names),
                expected=counted(architecture.layers, "layer"),
                items=names,
            )
    return rest, defects.findings()


def _is_mtp(names: Iterable[str]) -> bool:
    return any(name.endswith(".eh_proj.weight") for name in names)


def _missing_layers(
    root: str, layers: Mapping[int, list[Gap]], count: int, place: str
) -> Iterator[Finding]:
    if not layers:
        return
    defects = FileFindings(root)
    defects.add(
        "layer-missing",
        f"{numbered('layer', layers)}{place}: nothing of them is there",
        count=sum(map(len, layers.values())),
        expected=_layers(count, place),
        actual=_layers(count - len(layers), place),
        items=[gap.name for gaps in layers.values() for gap in gaps],
    )
    yield from defects.findings()


def _layers(count: int, place: str) -> str:
    return f"{counted(count, 'layer')}{place}"


def _absent_parts(
    root: str, architecture: Architecture, absent: AbstractSet[str], counts: Mapping[str, int]
) -> Iterator[Finding]:
    defects = FileFindings(root)
    if MTP in absent:
        first = architecture.layers
        numbers = range(first, first + architecture.mtp_layers)
        message = f"{numbered('layer', numbers)}, for multi-token prediction: absent"
        defects.add("mtp-absent", message, count=counts[MTP])
    if VISION in absent:
        message = f"the vision tower is absent: {counted(counts[VISION], 'tensor')}"
        defects.add("vision-absent", message, count=counts[VISION])
    yield from defects.findings()


def _odd(gaps: Iterable[Gap], places: Mapping[str, str]) -> Iterator[TensorDeviation]:
    gaps = list(gaps)
    # A missing scale is reported only if its weight is there.
    weightless = {_module(gap) for gap in gaps if not gap.kind.is_scale}
    for gap in gaps:
        is_alone = gap.kind.is_scale and _module(gap) not in weightless
        deviation = Deviation.SCALE_MISSING if is_alone else Deviation.MISSING
        place = places.get(gap.name)
        yield TensorDeviation(deviation, gap.name, gap.block.layer, gap.kind.part, place)


def _module(gap: Gap) -> str:
    return gap.name.rpartition(".")[0]
