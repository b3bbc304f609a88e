"""Compare an index with the shards it describes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from k2compat.checkpoint.reporting import ALIKE_SHOWN, FileFindings, named
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex
from k2compat.findings import Finding


class IndexCheck:
    """Takes shards one after the other; the index itself does not change.

    Names of a shard that holds what the index says are not kept: a set of 139,644 names takes
    8 MB, and of a sound checkpoint none is needed.
    """

    def __init__(self, index: WeightIndex) -> None:
        """Take an index."""
        self._index = index
        self._complete: set[str] = set()
        self._seen: set[str] = set()
        self._unlisted: list[tuple[str, str]] = []
        self._misplaced: list[tuple[str, str, str]] = []

    def add(self, shard: str, names: Sequence[str]) -> None:
        """Take the names of one shard."""
        place_of = self._index.weight_map.get
        places = [place_of(name) for name in names]
        count = places.count(shard)
        if count == len(names) == self._index.files.get(shard) == len(set(names)):
            self._complete.add(shard)
            return
        for name, place in zip(names, places, strict=True):
            if place is None and name not in self._index.outside:
                self._unlisted.append((name, shard))
            elif place is not None and place != shard and name not in self._seen:
                self._misplaced.append((name, place, shard))
            self._seen.add(name)

    def result(self) -> "IndexDifferences":
        """The differences between the index and all shards that were added."""
        if self._complete.issuperset(self._index.files):
            return IndexDifferences(tuple(self._unlisted), tuple(self._misplaced), {})
        absent = {
            name: place
            for name, place in self._index.weight_map.items()
            if place not in self._complete and name not in self._seen
        }
        return IndexDifferences(tuple(self._unlisted), tuple(self._misplaced), absent)


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
            noted.add(
                "index-tensor-absent",
                f"the index names {len(absent):,} tensors that no shard holds: {named(absent)}",
                count=len(absent),
                items=absent,
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
            noted.add(
                "index-tensor-unlisted",
                f"holds {len(names):,} tensors that the index does not name: {named(names)}",
                count=len(names),
                items=names,
            )
            yield from noted.findings()

    def _misplaced_tensors(self, where: str, duplicates: AbstractSet[str]) -> Iterator[Finding]:
        moves: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, place, shard in self.misplaced:
            if name not in duplicates:
                moves[place, shard].append(name)
        noted = FileFindings(where)
        for (place, shard), names in moves.items():
            noted.add(
                "index-wrong-shard",
                f"the index puts {len(names):,} tensors into another shard than holds them: "
                f"{named(names)}",
                at=f"tensor {names[0]}" if len(names) == 1 else "weight_map",
                count=len(names),
                expected=shard,
                actual=place,
                items=names,
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
