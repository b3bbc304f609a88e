"""Split GGUF sets: which files of a folder belong together, and whether they fit.

llama.cpp writes `NAME-00001-of-00003.gguf`, and each file's metadata hold its number and
the number of files. With a renamed, missing or foreign file an engine loads another model,
or, if it merges every GGUF of a folder, a mixture of two.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from k2compat.checkpoint.gguf_files.header import GgufHeader
from k2compat.checkpoint.reporting import NUMBERS_SHOWN, FileFindings
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

SPLIT_NUMBER = "split.no"
"""Counts from 0; the number in the file's name counts from 1."""

SPLIT_COUNT = "split.count"
SPLIT_TENSORS = "split.tensors.count"
"""The number of tensors of the whole set, which every file gives."""


_SPLIT_NAME = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.DOTALL)
_PROJECTOR_PREFIX = "mmproj"


@dataclass(frozen=True, slots=True)
class GgufSet:
    """GGUF files that make up one model; a file that is not split is a set of its own.

    Attributes:
        name: The common part of the names, without number and suffix.
        total: The number of files that the names give; None for a file that is not split.
        members: Number of the file, from 1, → file name as it was given.
    """

    name: str
    total: int | None
    members: Mapping[int, str]

    @property
    def missing(self) -> Iterator[int]:
        """The numbers of which there is no file."""
        return (number for number in range(1, (self.total or 0) + 1) if number not in self.members)

    @property
    def is_projector(self) -> bool:
        """Whether this is a vision projector, which belongs to another model file."""
        return PurePath(self.name).name.lower().startswith(_PROJECTOR_PREFIX)


def group_gguf_files(names: Iterable[str]) -> tuple[GgufSet, ...]:
    """Group file names into sets, in the order of their names.

    Args:
        names: Paths of GGUF files; files in different folders never form one set.
    """
    members: defaultdict[tuple[str, int | None], dict[int, str]] = defaultdict(dict)
    for name in sorted(names):
        split = _SPLIT_NAME.fullmatch(name)
        if split:
            members[split["name"], int(split["total"])][int(split["number"])] = name
        else:
            members[name.removesuffix(".gguf"), None][1] = name
    return tuple(GgufSet(name, total, files) for (name, total), files in members.items())


def check_gguf_sets(
    names: Iterable[str], headers: Mapping[str, GgufHeader] | None = None
) -> tuple[Finding, ...]:
    """Find faults of the sets of one folder.

    Args:
        names: Paths of all its GGUF files.
        headers: File name → header, of those that were read; without them only the
            names are judged.
    """
    sets = group_gguf_files(names)
    found = list(_check_mixture(sets, headers or {}))
    for gguf_set in sets:
        found += _check_names(gguf_set)
        found += _check_headers(gguf_set, headers or {})
    return tuple(found)


def _check_mixture(
    sets: Sequence[GgufSet], headers: Mapping[str, GgufHeader]
) -> tuple[Finding, ...]:
    models = [
        gguf_set
        for gguf_set in sets
        if not gguf_set.is_projector and not _is_importance_matrix(gguf_set, headers)
    ]
    if len(models) < 2:
        return ()
    firsts = [PurePath(_first_member(gguf_set)) for gguf_set in models]
    # Sets may be in folders of their own, so that two sets may have the same name.
    place = PurePath(os.path.commonpath([first.parent for first in firsts]))
    first, second = (shortened(str(first.relative_to(place))) for first in firsts[:2])
    defects = FileFindings(str(place))
    defects.add(
        "gguf-split-mixed",
        f"{counted(len(models), 'model')} lie in one place, among them {first} and {second}",
        expected="the files of one model",
        actual=counted(len(models), "set"),
    )
    return defects.findings()


def _is_importance_matrix(gguf_set: GgufSet, headers: Mapping[str, GgufHeader]) -> bool:
    header = headers.get(_first_member(gguf_set))
    return header is not None and header.is_importance_matrix


def _check_names(gguf_set: GgufSet) -> tuple[Finding, ...]:
    total = gguf_set.total
    if total is None:
        return ()
    defects = FileFindings(_first_member(gguf_set))
    beyond = [number for number in gguf_set.members if not 1 <= number <= total]
    if beyond:
        defects.add(
            "gguf-split-name",
            f"the names belong to a set of {counted(total, 'file')}, but count {_numbers(beyond)}",
            expected=f"1 to {total}",
            actual=_numbers(beyond),
        )
    return (*defects.findings(), *_check_missing(gguf_set, total))


def _check_missing(gguf_set: GgufSet, total: int) -> tuple[Finding, ...]:
    missing = list(gguf_set.missing)
    if not missing:
        return ()
    defects = FileFindings(f"{gguf_set.name}{_suffix(missing[0] - 1, total)}")
    are = "is" if len(missing) == 1 else "are"
    defects.add(
        "gguf-split-missing",
        f"of {counted(total, 'file')} {len(missing)} {are} missing: {_numbers(missing)}",
        count=len(missing),
        expected=counted(total, "file"),
        actual=counted(total - len(missing), "file"),
    )
    return defects.findings()


def _check_headers(gguf_set: GgufSet, headers: Mapping[str, GgufHeader]) -> list[Finding]:
    read = {
        number: headers[name]
        for number, name in gguf_set.members.items()
        if name in headers and headers[name].version
    }
    found: list[Finding] = []
    for number, header in read.items():
        found += _check_member(gguf_set.total, number, header)
    if gguf_set.total is not None:
        found += _check_tensor_counts(gguf_set, read)
    return [*found, *_check_duplicates(read)]


def _check_member(total: int | None, number: int, header: GgufHeader) -> tuple[Finding, ...]:
    defects = FileFindings(header.path)
    said_number, said_total = header.metadata.get(SPLIT_NUMBER), header.metadata.get(SPLIT_COUNT)
    if total is None:
        # A file with a split.count of 0 or 1 is whole, even if its name has a number.
        if isinstance(said_total, int) and said_total > 1 and header.joined == 1:
            defects.add(
                "gguf-split-renamed",
                "the file is one of a set, but its name does not say which",
                at=f"key {SPLIT_NUMBER}",
                expected=f"a name that ends in {_suffix(said_number, said_total)}",
            )
    elif said_number is None or said_total is None:
        if not header.has_all_keys:
            return ()  # the keys may be in the part that is cut off or damaged
        defects.add(
            "gguf-split-keys",
            f"is named as file {number} of {total}, but has no {SPLIT_NUMBER} or {SPLIT_COUNT}",
            expected=f"{SPLIT_NUMBER} {number - 1}, {SPLIT_COUNT} {total}",
        )
    else:
        _compare_with_name(number, total, said_number, said_total, defects)
    return defects.findings()


def _compare_with_name(
    number: int, total: int, said_number: object, said_total: object, defects: FileFindings
) -> None:
    if said_number != number - 1:
        defects.add(
            "gguf-split-renamed",
            f"the file is named as file {number}, but {SPLIT_NUMBER} makes it another",
            at=f"key {SPLIT_NUMBER}",
            expected=number - 1,
            actual=said_number,
        )
    if said_total != total:
        defects.add(
            "gguf-split-count",
            f"the name belongs to a set of {counted(total, 'file')}, {SPLIT_COUNT} says otherwise",
            at=f"key {SPLIT_COUNT}",
            expected=total,
            actual=said_total,
        )


def _check_tensor_counts(gguf_set: GgufSet, read: Mapping[int, GgufHeader]) -> tuple[Finding, ...]:
    said = Counter(header.metadata.get(SPLIT_TENSORS) for header in read.values())
    said.pop(None, None)
    if not said:
        return ()
    defects = FileFindings(_first_member(gguf_set))
    if len(said) > 1:
        defects.add(
            "gguf-split-tensors",
            f"the files do not agree on {SPLIT_TENSORS}: they are not of one set",
            actual=", ".join(map(str, said)),
        )
        return defects.findings()
    held = sum(header.tensor_count for header in read.values())
    are_read = all(header.has_all_keys for header in read.values())
    if are_read and len(read) == gguf_set.total and [held] != [*said]:
        defects.add(
            "gguf-split-tensors",
            f"the files hold {counted(held, 'tensor')}, {SPLIT_TENSORS} says otherwise",
            expected=next(iter(said)),
            actual=held,
        )
    return defects.findings()


def _check_duplicates(read: Mapping[int, GgufHeader]) -> list[Finding]:
    """Tensors that several files of the set hold; one finding for each such file."""
    found: list[Finding] = []
    holders: dict[str, str] = {}
    for header in read.values():
        twice = [tensor.name for tensor in header.tensors if tensor.name in holders]
        if twice:
            defects = FileFindings(header.path)
            other = shortened(holders[twice[0]])
            defects.add(
                "gguf-split-duplicate",
                f"other files of the set also hold {counted(len(twice), 'tensor')} of this "
                f"one, in {other}",
                at=f"tensor {shortened(twice[0])}",
                count=len(twice),
            )
            found += defects.findings()
        holders.update((tensor.name, header.path) for tensor in header.tensors)
    return found


def _first_member(gguf_set: GgufSet) -> str:
    return next(iter(gguf_set.members.values()))


def _suffix(number: object, total: int) -> str:
    place = f"{number + 1:05}" if isinstance(number, int) else "NNNNN"
    return f"-{place}-of-{total:05}.gguf"


def _numbers(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:NUMBERS_SHOWN]))
    return f"{named}, …" if len(numbers) > NUMBERS_SHOWN else named
