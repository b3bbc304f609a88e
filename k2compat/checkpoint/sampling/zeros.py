"""Judgement of sampled places that hold only zeros.

Zeros up to the end show a download or a copy that stopped there: the length was set first.
Zeros elsewhere show a part that never arrived, or tensors that a tool emptied. They count only if
several places in a row or a whole tensor are zero. Biases and spare rows of the vocabulary never
count, so that a sound checkpoint gets no finding.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from k2compat.checkpoint.reporting import FileFindings, named
from k2compat.checkpoint.sources import ReadableFile
from k2compat.printable import counted

MAY_BE_ZERO: Final = (".bias", ".e_score_correction_bias")
"""Biases are zero before training, and some stay zero."""

VOCABULARY: Final = (
    "embed_tokens.weight",
    "lm_head.weight",
    "shared_head.head.weight",
    "token_embd.weight",
    "output.weight",
)
"""They have a row for each token. The last tokens are in no text, so their rows may be zero."""

PROBE_BYTES: Final = 1 << 12


class Place(NamedTuple):
    """A sampled place.

    Attributes:
        tensor: Its tensor's number.
        start: The first byte.
        end: The byte after the last.
        content_end: The byte after the last that is not zero; `start` where all are.
    """

    tensor: int
    start: int
    end: int
    content_end: int

    @property
    def zero(self) -> bool:
        """Whether all bytes are zero."""
        return self.content_end == self.start


def find_zeros(
    file: ReadableFile, names: Sequence[str], places: Sequence[Place], defects: FileFindings
) -> int:
    """Note zeros that cannot be intended.

    Args:
        file: The file in which to search for the byte from which on all is zero.
        names: The names of the tensors, by number.
        places: Every place that was sampled.
        defects: Takes the findings.

    Returns:
        How many bytes were read for that.

    Raises:
        FileRefusedError: They cannot be read.
    """
    ordered = sorted(places, key=lambda place: (place.start, place.end))
    runs = _Runs(names, Counter(place.tensor for place in places))
    before, tail = _split(ordered)
    _note_inside(runs, before, defects)
    if tail and runs.means_damage(tail, least=1):
        known = before[-1].content_end if before else tail[0].start
        finder = _Finder(file)
        _note_tail(runs, tail, finder.beginning(known, tail[0].start), known, defects)
        return finder.bytes_read
    return 0


class _Runs:
    """Judges places in a row that are all zero."""

    def __init__(self, names: Sequence[str], sampled: Counter[int]) -> None:
        self.names = names
        self._sampled = sampled

    def means_damage(self, run: Sequence[Place], least: int) -> bool:
        """Whether a whole tensor, or enough places in a row, are zero that should not be."""
        meant = Counter(
            place.tensor for place in run if not self.names[place.tensor].endswith(MAY_BE_ZERO)
        )
        if any(count == self._sampled[tensor] for tensor, count in meant.items()):
            return True
        rows = (count for tensor, count in meant.items() if self._has_no_spare_rows(tensor))
        return sum(rows) >= least

    def tensors(self, places: Iterable[Place]) -> list[str]:
        """The names of the tensors that places are in, each once."""
        return [self.names[tensor] for tensor in dict.fromkeys(place.tensor for place in places)]

    def _has_no_spare_rows(self, tensor: int) -> bool:
        return not self.names[tensor].endswith(VOCABULARY)


def _split(ordered: Sequence[Place]) -> tuple[Sequence[Place], Sequence[Place]]:
    """The places before the zeros at the end, and these zeros."""
    length = len(ordered)
    while length and ordered[length - 1].zero:
        length -= 1
    return ordered[:length], ordered[length:]


def _note_inside(runs: _Runs, places: Sequence[Place], defects: FileFindings) -> None:
    damaged = [run for run in _zero_runs(places) if runs.means_damage(run, least=2)]
    if not damaged:
        return
    tensors = runs.tensors(place for run in damaged for place in run)
    defects.add(
        "data-zero",
        f"only zeros in {counted(sum(map(len, damaged)), 'place')} sampled in {named(tensors)}",
        at=f"byte {damaged[0][0].start}",
        count=len(tensors),
        items=tensors,
    )


def _zero_runs(places: Sequence[Place]) -> Iterator[list[Place]]:
    for zero, run in groupby(places, key=lambda place: place.zero):
        if zero:
            yield list(run)


def _note_tail(
    runs: _Runs, tail: Sequence[Place], beginning: int, known: int, defects: FileFindings
) -> None:
    end = max(place.end for place in tail)
    tensors = runs.tensors(tail)
    what = "all data are" if beginning == known == tail[0].start else "the data are"
    defects.add(
        "data-zero-tail",
        f"{what} zero from byte {beginning:,} on, wherever they were sampled: {named(tensors)}",
        at=f"byte {beginning}",
        count=len(tensors),
        items=tensors,
        expected=f"data up to byte {end:,}",
        actual=f"{counted(end - beginning, 'byte')} of zeros",
    )


class _Finder:
    """Searches for the byte from which on a file is zero."""

    def __init__(self, file: ReadableFile) -> None:
        self._file = file
        self.bytes_read = 0

    def beginning(self, known: int, zero: int) -> int:
        """Bisect between the last byte known not to be zero and the first known to be."""
        while zero - known > PROBE_BYTES:
            middle = known + (zero - known) // 2
            probe = self._file.read(middle, min(PROBE_BYTES, zero - middle))
            self.bytes_read += len(probe)
            content = probe.rstrip(b"\0")
            if content:
                known = middle + len(content)
            else:
                zero = middle
        content = self._file.read(known, zero - known).rstrip(b"\0")
        return known + len(content)
