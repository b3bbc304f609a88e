"""Compare the tensors of two checkpoints: the same names, shapes and dtypes.

This is for a requantised, merged or re-saved checkpoint that should have the tensors of another
one. The config does not matter.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from k2compat.checkpoint.reporting import FINDINGS_PER_CODE, FileFindings, named, numbered
from k2compat.findings import Finding
from k2compat.printable import counted

_NUMBER: Final = re.compile(r"[0-9]+")
_LAYER: Final = re.compile(r"(?:\.layers|^blk)\.([0-9]{1,9})\.")

_MESSAGES: Final = {
    "like-missing": "of the other checkpoint, not in this one",
    "like-surplus": "not in the other checkpoint",
    "like-dtype": "with another dtype than in the other checkpoint",
    "like-shape": "with another shape than in the other checkpoint",
}


class ComparedTensor(NamedTuple):
    """The compared values of a tensor of safetensors or of a GGUF.

    Attributes:
        name: The name in the file.
        dtype: The dtype in the file.
        shape: Dimensions in the file's order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


def compare_tensors(
    root: str, tensors: Iterable[ComparedTensor], other: Iterable[ComparedTensor]
) -> tuple[Finding, ...]:
    """The differences between two checkpoints: one finding for all tensors with the same one.

    Args:
        root: Names the first checkpoint.
        tensors: The tensors of the first checkpoint.
        other: The tensors of the other one.
    """
    expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in other}
    groups: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for tensor in tensors:
        name, dtype, shape = tensor.name, tensor.dtype, tensor.shape
        like = expected.pop(name, None)
        form = _NUMBER.sub("N", name)
        if like is None:
            groups["like-surplus", form, "", ""].append(name)
            continue
        if like[0] != dtype:
            groups["like-dtype", form, like[0], dtype].append(name)
        if like[1] != shape:
            groups["like-shape", form, str(list(like[1])), str(list(shape))].append(name)
    for name in expected:
        groups["like-missing", _NUMBER.sub("N", name), "", ""].append(name)
    found = FileFindings(root)
    for (code, _, wanted, actual), names in list(groups.items())[:FINDINGS_PER_CODE]:
        found.add(
            code,
            f"{_place(names)}{counted(len(names), 'tensor')} {_MESSAGES[code]}: {named(names, 1)}",
            count=len(names),
            expected=wanted or None,
            actual=actual or None,
            items=names,
        )
    return found.findings()


def _place(names: Iterable[str]) -> str:
    layers = {int(match[1]) for name in names if (match := _LAYER.search(name))}
    return f"{numbered('layer', layers)}: " if layers else ""
