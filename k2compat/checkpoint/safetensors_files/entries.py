"""From the JSON text of a safetensors header to metadata and tensors: the quick way.

Headers as the official writer makes them are cut up by one regular expression and judged column by
column, which takes half the time of `json.loads` with everything that would have to be checked
after it. Whatever differs from that in the slightest goes the other way (`strict_entries.py`),
which finds and names every defect. Both give the same for a sound header.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from math import prod
from operator import sub
from typing import NamedTuple

from k2compat.checkpoint.model import DTYPE_BITS

METADATA_KEY = "__metadata__"

NUMBER_MAX = (1 << 64) - 1
"""Readers count in unsigned 64-bit numbers and refuse what does not fit."""

_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_ENTRY = re.compile(
    rf'":\{{"dtype":"([A-Z0-9_]+)","shape":\[((?:{_NUMBER}(?:,{_NUMBER})*)?)\],'
    rf'"data_offsets":\[({_NUMBER}),({_NUMBER})\]\}}'
)
"""An entry after its name; since it begins with a fixed text, the search is four times as fast."""

_BETWEEN = ',"'
"""The text between one entry and the next one's name."""

_PARTS = 5
"""`split` gives the text before a match, which ends in a name, and its four groups, and so on."""


class SafetensorsTensor(NamedTuple):
    """One tensor. A tuple, for a checkpoint has more than a hundred thousand.

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


class Entries(NamedTuple):
    """The contents of a header; `malformed` are names whose entries describe no tensor."""

    metadata: Mapping[str, str]
    tensors: tuple[SafetensorsTensor, ...]
    malformed: tuple[str, ...] = ()


class _Kind(NamedTuple):
    """Dtype and shape, shared by thousands of tensors; `size` in bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int | None


def read_canonical(text: str, data_bytes: int) -> Entries | None:
    """Read a sound header in the official writer's form; None for any other."""
    parts = _ENTRY.split(text)
    between = parts[_PARTS:-1:_PARTS]
    before, _, first_name = parts[0].rpartition('"')
    metadata = _canonical_metadata(before)
    names = [first_name, *(part[len(_BETWEEN) :] for part in between)]
    framed = all(part.startswith(_BETWEEN) for part in between) and parts[-1].rstrip(" ") == "}"
    if not framed or metadata is None or not _are_sound(names):
        return None
    kinds = _kinds(parts[1::_PARTS], parts[2::_PARTS])
    starts = [int(number) for number in parts[3::_PARTS]]
    ends = [int(number) for number in parts[4::_PARTS]]
    if [kind.size for kind in kinds] != list(map(sub, ends, starts)):
        return None
    if starts != [0, *ends[:-1]] or ends[-1] != data_bytes:
        return None
    dtypes, shapes = [kind.dtype for kind in kinds], [kind.shape for kind in kinds]
    columns = zip(names, dtypes, shapes, starts, ends, strict=True)
    # Not SafetensorsTensor(...): a call in Python for each of 139,644 tensors of Kimi-K2 takes
    # three times as long.
    return Entries(metadata, tuple(map(tuple.__new__, repeat(SafetensorsTensor), columns)))


def _are_sound(names: Sequence[str]) -> bool:
    """Whether the names are distinct, need no escapes, and hold only printable characters."""
    distinct = set(names)
    characters = "".join(distinct)
    return (
        len(distinct) == len(names)
        and METADATA_KEY not in distinct
        and characters.isprintable()
        and '"' not in characters
        and "\\" not in characters
    )


def _canonical_metadata(before: str) -> dict[str, str] | None:
    """The metadata in the text before the first tensor; None if that is not all it holds."""
    if before == "{":
        return {}
    if not before.endswith(","):
        return None
    try:
        # A tuple of pairs keeps a key that is there twice, and is no list.
        header = json.loads(before.removesuffix(",") + "}", object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    match header:
        case ((key, tuple(pairs)),) if key == METADATA_KEY:
            return plain_texts(pairs)
    return None


def _kinds(dtypes: Sequence[str], shapes: Sequence[str]) -> list[_Kind]:
    texts = list(zip(dtypes, shapes, strict=True))
    kinds = {text: _kind(*text) for text in set(texts)}
    return [kinds[text] for text in texts]


def _kind(dtype: str, shape: str) -> _Kind:
    numbers = tuple(int(number) for number in shape.split(",") if number)
    return _Kind(dtype, numbers, data_size(dtype, numbers))


def plain_texts(pairs: Sequence[tuple[str, object]]) -> dict[str, str] | None:
    """An object of distinct keys and text values as a dict; None for any other object."""
    texts = {key: text for key, text in pairs if isinstance(text, str)}
    sound = len(texts) == len(pairs) and all(map(_is_unicode, (*texts, *texts.values())))
    return texts if sound else None


def _is_unicode(text: str) -> bool:
    """Whether it can be encoded: an escape in JSON can give half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def count_elements(shape: Iterable[int]) -> int | None:
    """Number of elements; None where 64 bits do not count them.

    Multiplies as the official reader does, which refuses an overflow even where a zero
    follows. It stops there: the product of a million large numbers would take hours.
    """
    count = 1
    for dimension in shape:
        count *= dimension
        if count > NUMBER_MAX:
            return None
    return count


def data_size(dtype: str, shape: Iterable[int]) -> int | None:
    """Bytes that a tensor takes; None if that is no number, or the dtype is unknown."""
    bits = DTYPE_BITS.get(dtype)
    elements = count_elements(shape)
    if bits is None or elements is None or elements * bits % 8:
        return None
    return elements * bits // 8
