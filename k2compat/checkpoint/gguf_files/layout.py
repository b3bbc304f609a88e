"""Comparison of a GGUF file's tensors with each other and with the file.

llama.cpp opens a file only if the tensors' data are in the order of their entries,
each at the next multiple of the alignment, without gap or overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

from k2compat.checkpoint.gguf_files.types import IK_TENSOR_TYPES, TENSOR_TYPES
from k2compat.checkpoint.reporting import FileFindings, named
from k2compat.printable import counted, shortened

ELEMENTS_MAX = (1 << 63) - 2
"""ggml counts elements in a signed 64-bit number and refuses its largest value."""


class TensorEntry(NamedTuple):
    """A tensor's entry in the header. `dimensions` are fastest first."""

    name: str
    dimensions: tuple[int, ...]
    type_id: int
    offset: int


class DataSection(NamedTuple):
    """The place of the tensors' data: first byte, alignment in bytes, size of the file."""

    start: int
    alignment: int
    file_size: int


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor.

    Attributes:
        name: As the file has it; not made printable.
        dimensions: Elements per dimension, fastest first: the reverse of a PyTorch shape.
        type_id: Number of the data type.
        type_name: Its name ("Q4_K"), "unknown" where the number is no known type.
        offset: First byte of the data, from the start of the data section.
        start: First byte of the data in the file.
        end: The byte after the data; None where type and dimensions give no size.
    """

    name: str
    dimensions: tuple[int, ...]
    type_id: int
    type_name: str
    offset: int
    start: int
    end: int | None

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a tensor without dimensions."""
        return prod(self.dimensions)


def place_tensors(
    entries: Sequence[TensorEntry], section: DataSection, defects: FileFindings
) -> tuple[GgufTensor, ...]:
    """Turn entries into tensors with their place in the file; note their faults."""
    tensors = tuple(_tensor(entry, section, defects) for entry in entries)
    _check_fork(tensors, defects)
    for tensor in tensors:
        _check_alignment(tensor, section, defects)
    _check_order(tensors, defects)
    by_offset = sorted(tensors, key=lambda tensor: tensor.offset)
    _check_neighbours(by_offset, section, defects)
    _check_end(by_offset, section, defects)
    return tensors


def _check_fork(tensors: Sequence[GgufTensor], defects: FileFindings) -> None:
    """One finding for all tensors of types that only ik_llama.cpp reads."""
    of_fork = [tensor for tensor in tensors if tensor.type_id in IK_TENSOR_TYPES]
    if of_fork:
        names = sorted({tensor.type_name for tensor in of_fork})
        defects.add(
            "gguf-needs-ik-llama",
            f"ik_llama.cpp alone reads the types of {counted(len(of_fork), 'tensor')}: "
            f"{named(names)}",
            count=len(of_fork),
            items=[tensor.name for tensor in of_fork],
        )


def _tensor(entry: TensorEntry, section: DataSection, defects: FileFindings) -> GgufTensor:
    start = section.start + entry.offset
    size = _data_size(entry, defects)
    known = TENSOR_TYPES.get(entry.type_id) or IK_TENSOR_TYPES.get(entry.type_id)
    return GgufTensor(
        name=entry.name,
        dimensions=entry.dimensions,
        type_id=entry.type_id,
        type_name=known.name if known else "unknown",
        offset=entry.offset,
        start=start,
        end=None if size is None else start + size,
    )


def _data_size(entry: TensorEntry, defects: FileFindings) -> int | None:
    """Bytes of a tensor's data; None, with a finding, where that is not known."""
    at = f"tensor {shortened(entry.name)}"
    sane = _check_dimensions(entry, at, defects)
    known = TENSOR_TYPES.get(entry.type_id) or IK_TENSOR_TYPES.get(entry.type_id)
    if known is None:
        message = f"the data type {entry.type_id} is unknown"
        defects.add("gguf-tensor-type", message, at=at, actual=entry.type_id)
        return None
    row = entry.dimensions[0] if entry.dimensions else 1
    if row % known.block_elements:
        defects.add(
            "gguf-tensor-row",
            f"a row of {counted(row, 'element')} is not made of whole {known.name} blocks",
            at=at,
            expected=f"a multiple of {known.block_elements}",
            actual=row,
        )
        return None
    if known.has_row_scale:
        return None
    return prod(entry.dimensions) // known.block_elements * known.block_bytes if sane else None


def _check_dimensions(entry: TensorEntry, at: str, defects: FileFindings) -> bool:
    elements = prod(entry.dimensions)
    if elements == 0:
        defects.add(
            "gguf-dimension-zero",
            "a dimension is zero: the tensor is empty",
            at=at,
            actual=list(entry.dimensions),
        )
    # A zero among the dimensions must not hide one that is too large for ggml.
    if max(elements, *entry.dimensions, 0) > ELEMENTS_MAX:
        defects.add(
            "gguf-dimension-overflow",
            "the dimensions give more elements than 63 bits count",
            at=at,
            actual=list(entry.dimensions),
        )
        return False
    return True


def _check_alignment(tensor: GgufTensor, section: DataSection, defects: FileFindings) -> None:
    if tensor.offset % section.alignment:
        defects.add(
            "gguf-tensor-unaligned",
            f"the data offset {tensor.offset:,} is not a multiple of the alignment",
            at=f"tensor {shortened(tensor.name)}",
            expected=f"a multiple of {section.alignment}",
            actual=tensor.offset,
        )


def _check_order(tensors: Sequence[GgufTensor], defects: FileFindings) -> None:
    """Make one finding for all: one tensor out of order shifts its neighbours, too."""
    out_of_order = [second for first, second in pairwise(tensors) if second.offset < first.offset]
    if out_of_order:
        defects.add(
            "gguf-tensor-order",
            "the data do not stand in the order of the tensors' entries",
            at=f"tensor {shortened(out_of_order[0].name)}",
            count=len(out_of_order),
        )


def _check_neighbours(
    by_offset: Sequence[GgufTensor], section: DataSection, defects: FileFindings
) -> None:
    """Find overlaps and gaps; after a tensor of unknown size neither is known."""
    end: int | None = section.start
    before = "the start of the data"
    for tensor in by_offset:
        if end is not None:
            _check_start(tensor, end, before, section, defects)
        if tensor.end is None:
            end = None
        elif end is None or tensor.end > end:
            end = tensor.end
        before = f"tensor {shortened(tensor.name)}"


def _check_start(
    tensor: GgufTensor, end: int, before: str, section: DataSection, defects: FileFindings
) -> None:
    expected = section.start + _aligned(end - section.start, section.alignment)
    if tensor.start < end:
        code, message = "gguf-tensor-overlap", f"the data begin before those of {before} end"
    elif tensor.start > expected:
        code, message = "gguf-tensor-gap", f"a gap lies between {before} and the data"
    else:
        return
    defects.add(
        code,
        message,
        at=f"tensor {shortened(tensor.name)}",
        expected=f"offset {expected - section.start}",
        actual=f"offset {tensor.offset}",
    )


def _check_end(
    by_offset: Sequence[GgufTensor], section: DataSection, defects: FileFindings
) -> None:
    ends = [tensor.end for tensor in by_offset if tensor.end is not None]
    cut = [tensor for tensor in by_offset if (tensor.end or tensor.start) > section.file_size]
    if cut:
        needed = max(tensor.end or tensor.start for tensor in cut)
        defects.add(
            "gguf-data-truncated",
            f"the file ends before the end of the data of {counted(len(cut), 'tensor')}",
            at=f"tensor {shortened(cut[0].name)}",
            count=len(cut),
            expected=counted(needed, "byte"),
            actual=counted(section.file_size, "byte"),
        )
    # Without tensors there is no data section; with one of unknown size no known end of it.
    elif ends and len(ends) == len(by_offset):
        _check_trailing(max(ends), section, defects)


def _check_trailing(end: int, section: DataSection, defects: FileFindings) -> None:
    padded = section.start + _aligned(end - section.start, section.alignment)
    if section.file_size > padded:
        defects.add(
            "gguf-trailing-bytes",
            f"the last tensor is followed by {counted(section.file_size - padded, 'byte')}",
            expected=counted(padded, "byte"),
            actual=counted(section.file_size, "byte"),
        )


def _aligned(length: int, alignment: int) -> int:
    return length + -length % alignment
