"""Comparison of the tensors of a safetensors file with each other and with the file."""

from collections.abc import Sequence

from k2compat.checkpoint.model import DTYPE_BITS
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.header import SafetensorsTensor
from k2compat.printable import counted, shortened


def check_tensors(
    tensors: Sequence[SafetensorsTensor], data_bytes: int, complete: bool, defects: FileFindings
) -> None:
    """Note faults of tensors whose entries are well-formed.

    Args:
        tensors: In any order.
        data_bytes: How many bytes the file has after its header.
        complete: Whether `tensors` are all; without some, gaps are to be expected.
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
