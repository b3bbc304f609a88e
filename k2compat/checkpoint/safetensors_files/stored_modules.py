"""Modules with another storage than in the config: one deviation for each module.

Without this, a module that is quantised although the config excludes it would be reported as a
wrong dtype, a wrong shape and several unexpected tensors.

vLLM and SGLang join gate_proj and up_proj, and q_a_proj and kv_a_proj_with_mqa. Both engines stop
if only one of the two is quantised, or if the two have different schemes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from k2compat.checkpoint.model import (
    SUFFIXES,
    FoundTensor,
    Kind,
    Module,
    Storage,
    describe,
    fits,
    infer_storage,
    is_plain,
    module_tensors,
)
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.comparison import REQUIRED, Comparison, UnseenTensors
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.findings import Finding
from k2compat.printable import counted

_OF_STORAGE: Final = (
    Deviation.UNEXPECTED,
    Deviation.SHAPE,
    Deviation.TRANSPOSED,
    Deviation.SCALE_SHAPE,
    Deviation.DTYPE,
    Deviation.PRECISION,
)


class _Place(NamedTuple):
    """A module of a block."""

    block: UnseenTensors
    name: str
    """Within the block."""


class _Finding(NamedTuple):
    """The storage of a module, and its tensors that deviate from the config."""

    module: Module
    stored: Storage | None
    part: str
    deviations: list[TensorDeviation]
    missing: list[str]
    seen: frozenset[FoundTensor]

    @property
    def is_of_settings(self) -> bool:
        """Whether the scheme is the config's with other settings, or with tensors left out.

        The config is wrong only if all of its modules share the difference. For example, FP8 of
        Model Optimizer without its input_scale is FP8 of compressed-tensors.
        """
        expected = self.module.storage
        return (
            expected is not None
            and self.stored is not None
            and (expected.scheme == self.stored.scheme or not self.deviations)
        )


def merge_modules(comparison: Comparison, *, accept_unsure: bool = False) -> None:
    """Replace the deviations of tensors by those of modules, where these explain them.

    Args:
        comparison: The comparison, after all shards were added. This changes its deviations and
            unseen tensors.
        accept_unsure: Whether sources contradict each other about the routers' storage.
    """
    found = dict(_modules(comparison))
    shared = _shared_settings(comparison, found.values())
    merged: set[int] = set()
    added: list[TensorDeviation] = []
    for place, one in found.items():
        expected, stored = one.module.storage, one.stored
        if one.is_of_settings:
            stored = shared.get(expected)
            if stored is None:
                continue
        deviation = _deviation(expected, stored)
        merged.update(map(id, one.deviations))
        place.block.explained.update(one.missing)
        if accept_unsure and one.module.kind == "router":
            deviation = Deviation.UNSURE
        shards = [each.shard for each in one.deviations]
        added.append(
            TensorDeviation(
                deviation,
                f"{place.block.block.prefix}{place.name}.weight",
                place.block.block.layer,
                one.part,
                shards[0] if shards else None,
                describe(expected),
                describe(stored),
            )
        )
    kept = [each for each in comparison.deviations if id(each) not in merged]
    comparison.deviations[:] = [*kept, *added]


def _deviation(expected: Storage | None, stored: Storage | None) -> Deviation:
    if stored is None:
        return Deviation.NOT_QUANTISED
    if expected is None:
        return Deviation.QUANTISED
    if expected.scheme != stored.scheme:
        return Deviation.SCHEME
    sizes = {name for name, _ in {*expected.sizes} ^ {*stored.sizes}}
    if "bits" in sizes:
        return Deviation.BITS
    if sizes:
        return Deviation.GROUP_SIZE
    return (
        Deviation.SYMMETRY
        if "asymmetric" in expected.traits ^ stored.traits
        else (Deviation.SETTINGS)
    )


def _modules(comparison: Comparison) -> Iterator[tuple[_Place, _Finding]]:
    """Each module with deviating or missing tensors whose real storage is known."""
    deviations: defaultdict[int, dict[str, list[TensorDeviation]]] = defaultdict(dict)
    for each in comparison.deviations:
        block = comparison.block_of(each.name)
        if each.deviation in _OF_STORAGE and block is not None:
            inner, _, suffix = each.name.removeprefix(block.block.prefix).rpartition(".")
            if suffix in SUFFIXES:
                deviations[id(block)].setdefault(inner, []).append(each)
    tables: dict[int, Mapping[str, _Expected]] = {}
    for block in comparison.blocks():
        of_block = deviations[id(block)]
        kinds = block.block.kinds
        missing = {
            name.rpartition(".")[0] for name in block.unseen if kinds[name].necessity in REQUIRED
        }
        if not of_block and not missing:
            continue
        if id(kinds) not in tables:
            tables[id(kinds)] = _by_module(kinds)
        table = tables[id(kinds)]
        for name in table:  # in the table's order, which the report follows
            if name not in missing and name not in of_block:
                continue
            place = _Place(block, name)
            found = _judge(place, table[name], of_block.get(name, []))
            if found is not None:
                yield place, found


class _Expected(NamedTuple):
    """A module, and the tensors that the config gives it: suffix and kind."""

    module: Module
    kinds: list[tuple[str, Kind]]


def _by_module(kinds: Mapping[str, Kind]) -> Mapping[str, _Expected]:
    table: dict[str, _Expected] = {}
    for name, kind in kinds.items():
        if kind.module is not None and kind.shape is not None:
            module, _, suffix = name.rpartition(".")
            table.setdefault(module, _Expected(kind.module, [])).kinds.append((suffix, kind))
    return table


def _judge(
    place: _Place, expected: _Expected, deviations: list[TensorDeviation]
) -> _Finding | None:
    module, kinds = expected
    other = {each.name.rpartition(".")[2]: each for each in deviations}
    names = [f"{place.name}.{suffix}" for suffix, _ in kinds]
    missing = [name for name in names if name in place.block.unseen]
    seen = frozenset(
        FoundTensor(suffix, kind.dtypes, (kind.shape or (), *kind.other_shapes))
        for suffix, kind in kinds
        if suffix not in other and f"{place.name}.{suffix}" not in missing
    ) | {FoundTensor(suffix, (each.dtype,), (each.shape,)) for suffix, each in other.items()}
    rows, columns = module.shape
    stored = None
    if not is_plain(seen, rows, columns):
        stored = infer_storage(seen, rows, columns, module.storage)
        if stored is None:
            return None
    return _Finding(module, stored, kinds[0][1].part, deviations, missing, seen)


def _shared_settings(
    comparison: Comparison, found: Iterable[_Finding]
) -> dict[Storage | None, Storage]:
    """For a storage of the config, the one that all of its modules have instead."""
    others: defaultdict[Storage, list[_Finding]] = defaultdict(list)
    for one in found:
        if one.is_of_settings and one.module.storage is not None:
            others[one.module.storage].append(one)
    if not others:
        return {}
    shapes = _module_shapes(comparison)
    shared: dict[Storage | None, Storage] = {}
    for expected, members in others.items():
        for stored, _ in Counter(one.stored for one in members).most_common():
            if stored is not None and _explains(stored, expected, members, shapes[expected]):
                shared[expected] = stored
                break
    return shared


def _explains(
    stored: Storage,
    expected: Storage,
    members: Sequence[_Finding],
    shapes: Mapping[tuple[int, ...], int],
) -> bool:
    """Whether a storage fits all deviating modules, and gives all others the same tensors."""
    differing = sum(
        count
        for (rows, columns), count in shapes.items()
        if module_tensors(stored, rows, columns) != module_tensors(expected, rows, columns)
    )
    return differing == len(members) and all(
        fits(one.seen, one.module.shape[0], one.module.shape[1], stored) for one in members
    )


def _module_shapes(comparison: Comparison) -> Mapping[Storage | None, Counter[tuple[int, ...]]]:
    """How many modules of each shape the config stores in each way."""
    totals: defaultdict[Storage | None, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for block in comparison.blocks():
        for module, _ in _by_module(block.block.kinds).values():
            totals[module.storage][module.shape] += 1
    return totals


_PAIRS: Final = (("gate_proj", "up_proj"), ("q_a_proj", "kv_a_proj_with_mqa"))


class _SplitPair(NamedTuple):
    """Two modules of a block that are stored in different ways."""

    halves: tuple[str, str]
    module: str
    storages: tuple[Storage | None, Storage | None]


def check_fused(root: str, blocks: Iterable[UnseenTensors]) -> tuple[Finding, ...]:
    """A finding for each kind of pair whose halves are stored in different ways.

    Args:
        root: Names the checkpoint.
        blocks: The layers, and the block outside of them.
    """
    tables: dict[int, list[_SplitPair]] = {}  # equal layers share their kinds
    split: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], _SplitPair] = {}
    for each in blocks:
        kinds = each.block.kinds
        if id(kinds) not in tables:
            tables[id(kinds)] = list(_split_pairs(kinds))
        for pair in tables[id(kinds)]:
            first.setdefault(pair.halves, pair)
            split.setdefault(pair.halves, []).append(f"{each.block.prefix}{pair.module}")
    found = FileFindings(root)
    for halves, names in split.items():
        one, other = first[halves].storages
        found.add(
            "quantization-fused",
            f"the config stores {halves[0]} and {halves[1]} in two ways in "
            f"{counted(len(names), 'place')}: engines load them as one matrix, and stop there",
            at=names[0],
            count=len(names),
            expected=f"both {describe(one)}",
            actual=f"{halves[1]} {describe(other)}",
            items=names,
        )
    return found.findings()


def _split_pairs(kinds: Mapping[str, Kind]) -> Iterator[_SplitPair]:
    storages = {
        name.rpartition(".")[0]: kind.module.storage
        for name, kind in kinds.items()
        if kind.module is not None and kind.shape is not None
    }
    for module, stored in storages.items():
        for first, second in _PAIRS:
            other = f"{module.removesuffix(first)}{second}"
            if module.endswith(f".{first}") and storages.get(other, stored) != stored:
                yield _SplitPair((first, second), module, (stored, storages[other]))
