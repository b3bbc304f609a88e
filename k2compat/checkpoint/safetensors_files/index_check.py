"""Hold an index against the shards it describes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from k2compat.checkpoint.reporting.alike import ALIKE_SHOWN, named
from k2compat.checkpoint.reporting.collector import FileFindings
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex
from k2compat.findings import Finding


class IndexCheck:
    """Shards go in, one after the other; what does not fit comes out at the end.

    Names are taken out of the index as they are found: what is left is in no shard.
    """

    def __init__(self, index: WeightIndex) -> None:
        """Take an index; it is used up."""
        self._index = index
        self._unlisted: list[tuple[str, str]] = []
        self._wrong: list[tuple[str, str, str]] = []

    def add(self, shard: str, names: Sequence[str]) -> None:
        """Take the names of one shard."""
        take = self._index.places.pop
        places = [take(name, None) for name in names]
        if places.count(shard) == len(places):
            return
        for name, place in zip(names, places, strict=True):
            if place is None and name not in self._index.outside:
                self._unlisted.append((name, shard))
            elif place is not None and place != shard:
                self._wrong.append((name, place, shard))

    @property
    def left(self) -> Mapping[str, str]:
        """Names that no shard had so far, with the file that the index puts them into."""
        return self._index.places

    def findings(
        self,
        root: str,
        *,
        expected: AbstractSet[str],
        duplicates: AbstractSet[str],
        unread: AbstractSet[str],
    ) -> Iterator[Finding]:
        """What does not fit.

        Args:
            root: Names the checkpoint.
            expected: Names that the config calls for and that are reported as missing.
            duplicates: Names in several shards, which are reported as such.
            unread: Files that could not be read, absent ones included.
        """
        where = f"{root}/{INDEX_FILE}"
        by_shard: dict[str, list[str]] = {}
        for name, shard in self._unlisted:
            if name not in duplicates:
                by_shard.setdefault(shard, []).append(name)
        if len(by_shard) > ALIKE_SHOWN:
            by_shard = {"": [name for names in by_shard.values() for name in names]}
        for shard, names in by_shard.items():
            defects = FileFindings(f"{root}/{shard}" if shard else root)
            defects.add(
                "index-tensor-unlisted",
                f"holds {len(names):,} tensors that the index does not name: {named(names)}",
                count=len(names),
                items=names,
            )
            yield from defects.findings()
        yield from self._wrong_shards(where, duplicates)
        absent = [
            name
            for name, place in self._index.places.items()
            if place not in unread and name not in expected
        ]
        if absent:
            defects = FileFindings(where)
            defects.add(
                "index-tensor-absent",
                f"the index names {len(absent):,} tensors that no shard holds: {named(absent)}",
                count=len(absent),
                items=absent,
            )
            yield from defects.findings()

    def _wrong_shards(self, where: str, duplicates: AbstractSet[str]) -> Iterator[Finding]:
        moves: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, place, shard in self._wrong:
            if name not in duplicates:
                moves[place, shard].append(name)
        defects = FileFindings(where)
        for (place, shard), names in moves.items():
            defects.add(
                "index-wrong-shard",
                f"the index puts {len(names):,} tensors into another shard than holds them: "
                f"{named(names)}",
                at=f"tensor {names[0]}" if len(names) == 1 else "weight_map",
                count=len(names),
                expected=shard,
                actual=place,
                items=names,
            )
        yield from defects.findings()


def check_total_size(root: str, said: int | None, held: int) -> tuple[Finding, ...]:
    """Hold total_size against the bytes of all tensors, which must all have been read."""
    defects = FileFindings(f"{root}/{INDEX_FILE}")
    if said is not None and said != held:
        defects.add(
            "index-total-size",
            "total_size is not the sum of the tensors' bytes",
            at="metadata.total_size",
            expected=f"{held}",
            actual=f"{said}",
        )
    return defects.findings()
