"""The files of a folder that are the checkpoint's shards, and their comparison with its index.

Any numbering is accepted: `model-1-of-61`, `model-00001-of-000062`, and names without one.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from k2compat.checkpoint.reporting import ALIKE_SHOWN, FileFindings, named
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex
from k2compat.checkpoint.sources import natural
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

SUFFIX = ".safetensors"
LEFTOVERS = (".incomplete", ".part", ".crdownload", ".tmp")
CONTROL_FILE = ".aria2"
WHOLE_FILE = "model.safetensors"
"""The name of a checkpoint that was not split."""

_LOOKED_AT = "only its header was looked at"

_NUMBERED = re.compile(
    r"(?P<name>.*?)-?(?P<number>\d{1,9})-of-(?P<total>\d{1,9})\.safetensors", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Shards:
    """The files to read.

    Attributes:
        present: The files in the order of reading.
        beside: Further safetensors, which an engine that loads every file would load, too.
        absent: Files that the index names but the folder lacks.
        findings: Faults of the set.
    """

    present: tuple[str, ...]
    beside: tuple[str, ...]
    absent: tuple[str, ...]
    findings: tuple[Finding, ...]


def find_shards(
    root: str, files: Iterable[str], index: WeightIndex | None, *, has_index: bool
) -> Shards:
    """Choose the shards among a checkpoint's files.

    Args:
        root: Names the checkpoint in findings.
        files: Paths within it.
        index: Its index, if it could be read.
        has_index: Whether there is an index at all, damaged or not.
    """
    listed = set(files)
    # Engines look for shards in the folder itself, not below it.
    in_folder = sorted((name for name in listed if _is_shard(name)), key=natural)
    found: list[Finding] = []
    if index is None:
        present, absent = _shards_among(in_folder), list[str]()
        if len(present) > 1 and not has_index:
            defects = FileFindings(root)
            defects.add(
                "index-missing", f"has {counted(len(present), 'shard')} and no {INDEX_FILE}"
            )
            found += defects.findings()
    else:
        present = sorted((name for name in index.files if name in listed), key=natural)
        absent = [name for name in index.files if name not in listed]
        found += _absent_shards(root, absent, index)
    beside = [name for name in in_folder if name not in present]
    sets = _sets([*present, *absent])
    mixed = list(_mixed_sets(root, [*present, *beside]))
    found += mixed
    if index is None:
        found += _missing_numbers(root, sets)
    found += _beside(root, [name for name in beside if not (mixed and is_numbered(name))])
    found += _leftovers(root, listed)
    return Shards(tuple(present), tuple(beside), tuple(absent), tuple(found))


def is_numbered(name: str) -> bool:
    """Whether a file's name is that of one shard of several."""
    match = _NUMBERED.fullmatch(name)
    return match is not None and int(match["total"]) > 1


def _shards_among(names: Sequence[str]) -> list[str]:
    """The safetensors that are the checkpoint if there is no index, without an adapter."""
    found = [name for name in names if name == WHOLE_FILE or _NUMBERED.fullmatch(name)]
    return found or list(names)


def _is_shard(name: str) -> bool:
    return name.endswith(SUFFIX) and "/" not in name


def _sets(names: Iterable[str]) -> Mapping[tuple[str, int], dict[int, str]]:
    """Numbered shards by the common part of their names: (name, total) → number → file."""
    sets: defaultdict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            sets[match["name"], int(match["total"])][int(match["number"])] = name
    return sets


def _mixed_sets(root: str, names: Sequence[str]) -> Iterator[Finding]:
    sets = _sets(names)
    if len(sets) < 2:
        return
    defects = FileFindings(root)
    words = [
        f"{name}-*-of-{total} ({counted(len(files), 'file')})"
        for (name, total), files in sets.items()
    ]
    defects.add(
        "shard-sets-mixed",
        f"shards of {counted(len(sets), 'set')} lie in one folder: {named(words)}",
        count=len(sets),
        expected="the shards of one set",
        actual=named(next(iter(files.values())) for files in sets.values()),
    )
    yield from defects.findings()


def _absent_shards(root: str, absent: Iterable[str], index: WeightIndex) -> Iterator[Finding]:
    tensors: dict[str, list[str]] = {name: [] for name in absent}
    for tensor, place in index.weight_map.items() if tensors else ():
        if place in tensors:
            tensors[place].append(tensor)
    if len(tensors) > ALIKE_SHOWN:
        defects = FileFindings(root)
        defects.add_named(
            "shard-missing",
            f"the index puts {counted(sum(map(len, tensors.values())), 'tensor')} into "
            f"{counted(len(tensors), 'absent shard')}",
            tensors,
        )
        yield from defects.findings()
        return
    for name, lost in tensors.items():
        defects = FileFindings(f"{root}/{name}")
        defects.add(
            "shard-missing",
            f"does not exist; the index puts {counted(len(lost), 'tensor')} into it",
            count=len(lost),
            items=lost,
        )
        yield from defects.findings()


def _missing_numbers(
    root: str, sets: Mapping[tuple[str, int], Mapping[int, str]]
) -> Iterator[Finding]:
    for (name, total), files in sets.items():
        count = total - sum(0 <= number <= total for number in files)
        # Some tools count from 0.
        first = 0 if 0 in files else 1
        if count <= 0 or (first == 0 and count == 0):
            continue
        missing = (n for n in range(first, first + total) if n not in files)
        shown = ", ".join(str(next(missing)) for _ in range(min(count, 5)))
        shown += ", …" if count > 5 else ""
        are = "is" if count == 1 else "are"
        defects = FileFindings(root)
        defects.add(
            "shard-missing",
            f"of {counted(total, 'shard')} {shortened(name)}-* {count} {are} missing: {shown}",
            count=count,
            expected=counted(total, "file"),
            actual=counted(len(files), "file"),
        )
        yield from defects.findings()


def _beside(root: str, names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        defects = FileFindings(f"{root}/{name}")
        if _NUMBERED.fullmatch(name):
            defects.add(
                "shard-unlisted", "is not named by the index; only its header was looked at"
            )
        else:
            message = f"does not belong to the shards of the model; {_LOOKED_AT}"
            defects.add("weights-beside", message)
        yield from defects.findings()


def _leftovers(root: str, files: set[str]) -> Iterator[Finding]:
    for name in sorted(files):
        defects = FileFindings(f"{root}/{name}")
        if name.endswith(CONTROL_FILE):
            whole = name.removesuffix(CONTROL_FILE)
            defects.add(
                "download-unfinished",
                f"is the control file of a download of {shortened(whole)} that did not end",
            )
        elif name.endswith(LEFTOVERS):
            defects.add("download-leftover", "is a part of a download that was stopped")
        yield from defects.findings()


class IndexCheck:
    """Takes shards one after the other; the index itself does not change.

    The names of a shard that agrees with the index are released at once. Kept to the end, they
    would take 20 MiB for Kimi-K2, in addition to a report that may name each tensor again.
    """

    def __init__(self, index: WeightIndex) -> None:
        """Take an index."""
        self._outside = index.outside
        self._waiting: defaultdict[str, list[str]] = defaultdict(list)
        for name, place in index.weight_map.items():
            self._waiting[place].append(name)
        self._places: dict[str, str] | None = None  # the same by name, after a shard that differs
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
    """The differences between an index and its shards.

    Attributes:
        unlisted: Each tensor that the index does not name, and its shard.
        misplaced: Each tensor in another shard, with the index's file and its shard.
        absent: Each tensor that no shard holds → the index's file.
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
        total_size: The index's value; None where it has none.
        held: Bytes of all tensors, after all shards were read.
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
