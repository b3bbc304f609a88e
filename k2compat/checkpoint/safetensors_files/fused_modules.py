"""Modules that engines load as one matrix, but that the config stores in different ways.

vLLM and SGLang join gate_proj and up_proj, and q_a_proj and kv_a_proj_with_mqa. Both engines stop
if only one of the two is quantised, or if the two have different schemes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from k2compat.checkpoint.model import Kind, Storage, describe
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.comparison import UnseenTensors
from k2compat.findings import Finding
from k2compat.printable import counted

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
