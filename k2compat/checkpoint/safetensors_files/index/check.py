"""Compare an index with the shards it describes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from k2compat.checkpoint.reporting import ALIKE_SHOWN, FileFindings
from k2compat.checkpoint.safetensors_files.index.reading import INDEX_FILE, WeightIndex
from k2compat.findings import Finding
from k2compat.printable import counted


class IndexCheck:
    """Takes shards one after the other; the index itself does not change.

    Names of a shard that holds what the index says are released at once. Kept to the end, they
    take 20 MiB of a Kimi-K2, next to a report that may name each tensor again.
    """

    def __init__(self, index: WeightIndex) -> None:
        """Take an index."""
        self._outside = index.outside
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        for name, place in index.weight_map.items():
            self._waiting[place].append(name)
        self._places: dict[str, str] | None = None  # the same by name, once a shard differs
        self._unlisted: list[tuple[str, str]] = []
        self._misplaced: list[tuple[str, str, str]] = []

    def add(self, shard: str, names: Sequence[str]) -> None:
        """Take the names of one shard."""
        if self._places is None:
            if set(names) == set(self._waiting.get(shard, ())):
                self._waiting.pop(shard, None)
                return
            self._places = self._by_name()
            self._waiting.clear()
        for name in names:
            place = self._places.pop(name, None)
            if place is None and name not in self._outside:
                self._unlisted.append((name, shard))
            elif place is not None and place != shard:
                self._misplaced.append((name, place, shard))

    def result(self) -> "IndexDifferences":
        """The differences between the index and all shards that were added."""
        absent = self._by_name() if self._places is None else self._places
        return IndexDifferences(tuple(self._unlisted), tuple(self._misplaced), absent)

    def _by_name(self) -> dict[str, str]:
        return {name: place for place, names in self._waiting.items() for name in names}


@dataclass(frozen=True, slots=True)
class IndexDifferences:
    """Where an index and its shards differ.

    Attributes:
        unlisted: Each tensor that the index does not name, and its shard.
        misplaced: Each tensor in another shard, the index's file, and its shard.
        absent: Tensor → the index's file, of each that no shard holds.
    """

    unlisted: tuple[tuple[str, str], ...]
    misplaced: tuple[tuple[str, str, str], ...]
    absent: Mapping[str, str]

    def findings(
        self,
        root: str,
        *,
        expected: AbstractSet[str],
        duplicates: AbstractSet[str],
        unread: AbstractSet[str],
    ) -> Iterator[Finding]:
        """The findings about the differences that no other finding reports.

        Args:
            root: Names the checkpoint.
            expected: Tensors that the config requires and that are reported as missing.
            duplicates: Tensors in several shards, which are reported as such.
            unread: Files that could not be read, absent ones included.
        """
        where = f"{root}/{INDEX_FILE}"
        yield from self._unlisted_tensors(root, duplicates)
        yield from self._misplaced_tensors(where, duplicates)
        absent = [
            name
            for name, place in self.absent.items()
            if place not in unread and name not in expected
        ]
        if absent:
            noted = FileFindings(where)
            noted.add_named(
                "index-tensor-absent",
                f"the index names {counted(len(absent), 'tensor')} that no shard holds",
                absent,
            )
            yield from noted.findings()

    def _unlisted_tensors(self, root: str, duplicates: AbstractSet[str]) -> Iterator[Finding]:
        by_shard: dict[str, list[str]] = {}
        for name, shard in self.unlisted:
            if name not in duplicates:
                by_shard.setdefault(shard, []).append(name)
        if len(by_shard) > ALIKE_SHOWN:
            by_shard = {"": [name for names in by_shard.values() for name in names]}
        for shard, names in by_shard.items():
            noted = FileFindings(f"{root}/{shard}" if shard else root)
            noted.add_named(
                "index-tensor-unlisted",
                f"holds {counted(len(names), 'tensor')} that the index does not name",
                names,
            )
            yield from noted.findings()

    def _misplaced_tensors(self, where: str, duplicates: AbstractSet[str]) -> Iterator[Finding]:
        moves: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, place, shard in self.misplaced:
            if name not in duplicates:
                moves[place, shard].append(name)
        noted = FileFindings(where)
        for (place, shard), names in moves.items():
            noted.add_named(
                "index-wrong-shard",
                f"the index puts {counted(len(names), 'tensor')} into the wrong shard",
                names,
                at=f"tensor {names[0]}" if len(names) == 1 else "weight_map",
                expected=shard,
                actual=place,
            )
        yield from noted.findings()


def check_total_size(root: str, total_size: int | None, held: int) -> tuple[Finding, ...]:
    """Compare the index's total_size with the bytes of all tensors.

    Args:
        root: Names the checkpoint.
        total_size: The index's; None where it has none.
        held: Bytes of all tensors; all shards were read.
    """
    noted = FileFindings(f"{root}/{INDEX_FILE}")
    if total_size is not None and total_size != held:
        noted.add(
            "index-total-size",
            "total_size is not the sum of the tensors' bytes",
            at="metadata.total_size",
            expected=f"{held}",
            actual=f"{total_size}",
        )
    return noted.findings()
