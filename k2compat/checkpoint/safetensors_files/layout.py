"""Comparison of the tensors of a safetensors file with each other and with the file."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

from k2compat.checkpoint.model import DTYPE_BITS
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import counted, shortened

NUMBER_MAX = (1 << 64) - 1
"""Readers count in unsigned 64-bit numbers and refuse larger values."""


class SafetensorsTensor(NamedTuple):
    """One tensor. It is a tuple, since a checkpoint has more than a hundred thousand.

    Attributes:
        name: As the file has it; not made printable.
        dtype: "BF16", "F8_E4M3", …
        shape: Elements per dimension, slowest first, as PyTorch shows it.
        start: First byte of the data, from the end of the header (`data_offsets[0]`).
        end: The byte after the last (`data_offsets[1]`).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a tensor without dimensions."""
        return prod(self.shape)


def count_elements(shape: Iterable[int]) -> int | None:
    """Number of elements; None where it does not fit into 64 bits.

    Multiplies like the official reader, which refuses an overflow even if a zero follows.
    It stops at an overflow: the product of a million large numbers would take hours.
    """
    count = 1
    for dimension in shape:
        count *= dimension
        if count > NUMBER_MAX:
            return None
    return count


def data_size(dtype: str, shape: Iterable[int]) -> int | None:
    """Bytes that a tensor takes; None if they cannot be counted, or the dtype is unknown."""
    bits = DTYPE_BITS.get(dtype)
    elements = count_elements(shape)
    if bits is None or elements is None or elements * bits % 8:
        return None
    return elements * bits // 8


def check_tensors(
    tensors: Sequence[SafetensorsTensor], data_bytes: int, complete: bool, defects: FileFindings
) -> None:
    """Note faults of tensors whose entries are well-formed.

    Args:
        tensors: In any order.
        data_bytes: How many bytes the file has after its header.
        complete: Whether `tensors` are all; otherwise gaps are expected.
        defects: Takes the findings.
    """
    for tensor in tensors:
        _check_tensor(tensor, defects)
    forward = [tensor for tensor in tensors if tensor.start <= tensor.end]
    forward.sort(key=lambda tensor: (tensor.start, tensor.end))
    complete = complete and len(forward) == len(tensors)
    _check_neighbours(forward, complete, defects)
    _check_end(forward, data_bytes, complete, defects)


def _check_tensor(tensor: SafetensorsTensor, defects: FileFindings) -> None:
    at = f"tensor {shortened(tensor.name)}"
    bits = DTYPE_BITS.get(tensor.dtype)
    held = tensor.end - tensor.start
    if bits is None:
        message = f"the dtype {shortened(tensor.dtype)} is unknown"
        defects.add("safetensors-dtype", message, at=at, actual=tensor.dtype)
    if held < 0:
        defects.add(
            "safetensors-offsets-reversed",
            "the data end before they begin",
            at=at,
            actual=[tensor.start, tensor.end],
        )
    elif bits is not None and tensor.elements * bits != held * 8:
        defects.add(
            "safetensors-offsets-size",
            "dtype and shape give another size than the offsets",
            at=at,
            expected=f"{counted(tensor.elements, 'element')} of {counted(bits, 'bit')}",
            actual=counted(held, "byte"),
        )


def _check_neighbours(
    by_offset: Sequence[SafetensorsTensor], complete: bool, defects: FileFindings
) -> None:
    end = 0
    before = "the header"
    for tensor in by_offset:
        at = f"tensor {shortened(tensor.name)}"
        expected, actual = f"offset {end}", f"offset {tensor.start}"
        if tensor.start < end:
            message = f"the data begin before those of {before} end"
            defects.add("safetensors-overlap", message, at=at, expected=expected, actual=actual)
        elif tensor.start > end and complete:
            message = f"a gap lies between {before} and the data"
            defects.add("safetensors-gap", message, at=at, expected=expected, actual=actual)
        end = max(end, tensor.end)
        before = at


def _check_end(
    by_offset: Sequence[SafetensorsTensor], data_bytes: int, complete: bool, defects: FileFindings
) -> None:
    needed = max((tensor.end for tensor in by_offset), default=0)
    cut = [tensor for tensor in by_offset if tensor.end > data_bytes]
    if cut:
        defects.add(
            "safetensors-truncated",
            f"the file ends before the end of the data of {counted(len(cut), 'tensor')}",
            at=f"tensor {shortened(cut[0].name)}",
            count=len(cut),
            expected=f"{counted(needed, 'byte')} of data",
            actual=f"{counted(data_bytes, 'byte')} of data",
        )
    elif data_bytes > needed and complete:
        defects.add(
            "safetensors-trailing-bytes",
            f"the last tensor is followed by {counted(data_bytes - needed, 'byte')}",
            expected=f"{counted(needed, 'byte')} of data",
            actual=f"{counted(data_bytes, 'byte')} of data",
        )
