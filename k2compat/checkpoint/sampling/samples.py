"""Sampling of the data at a bounded cost, for damage that a header cannot show.

A download that was preallocated and never finished has all lengths right, and zeros where
bytes are missing; a broken conversion leaves NaN in scales. A few places show both.

The places are always the same for the same file: the head and the tail of each tensor and places
evenly between, with `Budget.place_bytes` at each. A tensor that is no larger than its places is
read whole. Places near each other are read at once. If a file needs more reads than
`Budget.reads`, evenly chosen ones are made, with the first and the last among them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from k2compat.checkpoint.reporting import FileFindings, named
from k2compat.checkpoint.sampling.float_layouts import LAYOUTS, OPAQUE, negative, not_finite
from k2compat.checkpoint.sampling.zeros import Place, find_zeros
from k2compat.checkpoint.sources import FileRefusedError, ReadableFile
from k2compat.findings import Finding
from k2compat.printable import counted, shortened

ByteOrder = Literal["little", "big"]

MERGED_GAP_BYTES: Final = 1 << 12
MERGED_BYTES_MAX: Final = 1 << 20
"""Reading a small gap costs less than a second read; longer reads would only take memory."""

FAILURES_MAX: Final = 3
"""A failing disk takes half a minute for each refusal."""

SCALE_SUFFIXES: Final = (".weight_scale_inv", ".weight_scale")
"""Block scales of FP8 and of compressed-tensors. They are the largest magnitude of a block
over the largest number of the format, so never negative (DeepSeek-V3's inference/kernel.py;
compressed-tensors' calculate_qparams). Scales in GGUF may be: ggml's Q4_0 makes them so."""

_SCALE_DTYPES: Final = ("F32", "F16", "BF16")


class SampledTensor(NamedTuple):
    """A tensor's data in a file.

    Attributes:
        name: The name in the file.
        dtype: The name in safetensors ("F8_E4M3") or GGUF ("Q4_K").
        start: The first byte, from the file's beginning.
        size: Bytes.
    """

    name: str
    dtype: str
    start: int
    size: int


class Budget(NamedTuple):
    """How much of a file is read.

    Attributes:
        places: Places in each tensor; at least two.
        place_bytes: Bytes at each place.
        reads: The largest number of reads in the whole file; at least two.
    """

    places: int = 3
    place_bytes: int = 4096
    reads: int = 8192


LOCAL: Final = Budget()
REMOTE: Final = Budget(reads=8)
"""For files on the Hub, where each read is a request."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The sampled amounts, and the findings.

    Attributes:
        findings: Findings of one file, or of all files that were added.
        bytes_read: Bytes that were read.
        bytes_stored: Bytes that the tensors have.
        tensors_read: Tensors of which at least one place was read.
        tensors: All tensors.
    """

    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    bytes_stored: int = 0
    tensors_read: int = 0
    tensors: int = 0

    def __add__(self, other: "Sample") -> "Sample":
        """Both together."""
        return Sample(
            self.findings + other.findings,
            self.bytes_read + other.bytes_read,
            self.bytes_stored + other.bytes_stored,
            self.tensors_read + other.tensors_read,
            self.tensors + other.tensors,
        )

    @property
    def words(self) -> str:
        """The share that was not read, in words."""
        percent = 100 * self.bytes_read / self.bytes_stored if self.bytes_stored else 0.0
        return (
            f"{self.bytes_stored - self.bytes_read:,} of {counted(self.bytes_stored, 'byte')} "
            f"of data: {self.bytes_read:,} were sampled ({percent:.2g} %), in "
            f"{self.tensors_read:,} of {counted(self.tensors, 'tensor')}"
        )


def sample_tensors(
    file: ReadableFile,
    tensors: Iterable[SampledTensor],
    *,
    byte_order: ByteOrder = "little",
    budget: Budget = LOCAL,
    progress: Callable[[int], object] = lambda _: None,
) -> Sample:
    """Sample a file's tensors.

    Never raises for the data: a place that cannot be read becomes a finding, too.

    Args:
        file: The file, open.
        tensors: Those of its header, in any order. Tensors without a byte in the file are left
            out: the header's own findings report them.
        byte_order: The byte order of the numbers.
        budget: How much to read.
        progress: Called with the bytes that were read since the last call.
    """
    whole = sorted(
        (
            tensor
            for tensor in tensors
            if tensor.size > 0 and tensor.start >= 0 and tensor.start + tensor.size <= file.size
        ),
        key=lambda tensor: (tensor.start, tensor.size),
    )
    look = _Look(file, whole, byte_order)
    for span in _chosen(list(_spans(whole, budget)), budget.reads):
        if not look.at(span):
            break
        progress(span.end - span.start)
    return look.result()


class _Span(NamedTuple):
    """Bytes that are read at once, and the places in them."""

    start: int
    end: int
    places: list[tuple[int, int, int]]
    """For each place its tensor's number, its first byte and the byte after the last."""


class _Look:
    """The state of the sampling of one file."""

    def __init__(
        self,
        file: ReadableFile,
        tensors: Sequence[SampledTensor],
        byte_order: ByteOrder,
    ) -> None:
        self._file = file
        self._tensors = tensors
        self._byte_order: ByteOrder = byte_order
        self._bytes_read = 0
        self._seen: list[Place] = []
        self._not_finite: dict[int, int] = {}
        self._negative: dict[int, int] = {}
        self._failures: list[Finding] = []

    def at(self, span: _Span) -> bool:
        """Judge a span; False if the sampling should stop."""
        try:
            data = self._file.read(span.start, span.end - span.start)
        except FileRefusedError as refusal:
            self._failures.append(refusal.finding)
            return len(self._failures) < FAILURES_MAX
        self._bytes_read += len(data)
        for number, start, end in span.places:
            place = data[start - span.start : end - span.start]
            if len(place) == end - start:
                self._look(number, start, place)
        return True

    def _look(self, number: int, start: int, place: bytes) -> None:
        # Zeros are neither NaN nor negative, and a sparse file has only zeros.
        content = place.rstrip(b"\0")
        self._seen.append(Place(number, start, start + len(place), start + len(content)))
        if not content:
            return
        tensor = self._tensors[number]
        layout = LAYOUTS.get(tensor.dtype, OPAQUE)
        if count := not_finite(place, layout, self._byte_order):
            self._not_finite[number] = self._not_finite.get(number, 0) + count
        if _is_scale(tensor) and (count := negative(place, layout)):
            self._negative[number] = self._negative.get(number, 0) + count

    def result(self) -> Sample:
        defects = FileFindings(str(self._file.path))
        read = {place.tensor for place in self._seen}
        try:
            names = [tensor.name for tensor in self._tensors]
            self._bytes_read += find_zeros(self._file, names, self._seen, defects)
        except FileRefusedError as refusal:
            self._failures.append(refusal.finding)
        self._report("data-not-finite", "NaN or infinite", self._not_finite, defects)
        self._report("data-scale-negative", "negative", self._negative, defects)
        return Sample(
            (*defects.findings(), *self._failures),
            self._bytes_read,
            sum(tensor.size for tensor in self._tensors),
            len(read),
            len(self._tensors),
        )

    def _report(self, code: str, what: str, counts: dict[int, int], defects: FileFindings) -> None:
        """Make one finding for each dtype: thousands of tensors have the same fault."""
        by_dtype: dict[str, list[int]] = {}
        for number in counts:
            by_dtype.setdefault(self._tensors[number].dtype, []).append(number)
        for dtype, numbers in by_dtype.items():
            values = sum(counts[number] for number in numbers)
            names = [self._tensors[number].name for number in numbers]
            defects.add(
                code,
                f"{values:,} {what} values of {shortened(dtype)} were sampled in {named(names)}",
                at=f"tensor {shortened(names[0])}",
                count=len(names),
                items=names,
            )


def _is_scale(tensor: SampledTensor) -> bool:
    return tensor.name.endswith(SCALE_SUFFIXES) and tensor.dtype in _SCALE_DTYPES


def _spans(tensors: Sequence[SampledTensor], budget: Budget) -> Iterator[_Span]:
    """The places of all tensors, those near each other together."""
    span: _Span | None = None
    for number, tensor in enumerate(tensors):
        for start, end in _places(tensor, budget):
            place = (number, start, end)
            if span is None or not _is_near(span, start, end):
                if span is not None:
                    yield span
                span = _Span(start, end, [place])
                continue
            span.places.append(place)
            span = span._replace(end=max(span.end, end))
    if span is not None:
        yield span


def _is_near(span: _Span, start: int, end: int) -> bool:
    return span.start <= start <= span.end + MERGED_GAP_BYTES and (
        end - span.start <= MERGED_BYTES_MAX
    )


def _places(tensor: SampledTensor, budget: Budget) -> Iterator[tuple[int, int]]:
    """The places in a tensor: whole blocks at its head, its tail and evenly between."""
    unit = LAYOUTS.get(tensor.dtype, OPAQUE).block_bytes
    length = max(budget.place_bytes // unit, 1) * unit
    end = tensor.start + tensor.size
    if tensor.size <= budget.places * length:
        for start in range(tensor.start, end, length):
            yield start, min(start + length, end)
        return
    free = (tensor.size - length) // unit
    for place in range(budget.places):
        start = tensor.start + free * place // (budget.places - 1) * unit
        yield start, start + length


def _chosen(spans: Sequence[_Span], most: int) -> Iterator[_Span]:
    """All, or evenly chosen ones."""
    if len(spans) <= most:
        yield from spans
        return
    for place in range(most):
        yield spans[place * (len(spans) - 1) // (most - 1)]
