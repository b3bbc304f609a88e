"""From the JSON text of a safetensors header to metadata and tensors.

There are two readers with equal results. One regular expression splits headers in the form
of the official writer, which are then judged column by column; this takes half the time of
`json.loads` and the checks after it. Any other header goes to the strict reader, which finds
and names every defect.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import sub
from typing import NamedTuple

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.layout import (
    NUMBER_MAX,
    SafetensorsTensor,
    check_tensors,
    count_elements,
    data_size,
)
from k2compat.checkpoint.safetensors_files.strict_json import (
    JsonError,
    JsonObject,
    JsonValue,
    OtherNumber,
    load_json,
)
from k2compat.printable import counted, shortened

METADATA_KEY = "__metadata__"
FIELDS = ("dtype", "shape", "data_offsets")
MOST_ELEMENTS_SHOWN = 8

TENSORS_MAX = 1 << 19
VALUES_MAX = 1 << 22
"""Kimi-K2.5 has 208,550 tensors in all, of nine values or less. A hundred megabytes of `[],`
or `"a":{},` are a header of allowed length, too, and would take gigabytes or minutes."""

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


def read_entries(text: str, data_bytes: int, defects: FileFindings) -> Entries:
    """Read a header's text; its faults are noted in `defects`.

    Args:
        text: The JSON, with its padding.
        data_bytes: How many bytes the file has after its header.
        defects: Takes the findings.
    """
    return read_canonical(text, data_bytes) or read_strictly(text, data_bytes, defects)


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
        header = load_json(before.removesuffix(",") + "}")
    except JsonError:
        return None
    if not isinstance(header, JsonObject) or [key for key, _ in header] != [METADATA_KEY]:
        return None
    return _texts(header[0][1])


def _kinds(dtypes: Sequence[str], shapes: Sequence[str]) -> list[_Kind]:
    texts = list(zip(dtypes, shapes, strict=True))
    kinds = {text: _kind(*text) for text in set(texts)}
    return [kinds[text] for text in texts]


def _kind(dtype: str, shape: str) -> _Kind:
    numbers = tuple(int(number) for number in shape.split(",") if number)
    return _Kind(dtype, numbers, data_size(dtype, numbers))


def _texts(value: JsonValue) -> dict[str, str] | None:
    """An object of distinct keys and text values as a dict; None if it is anything else."""
    if not isinstance(value, JsonObject):
        return None
    texts = {key: text for key, text in value if isinstance(text, str)}
    sound = len(texts) == len(value) and all(map(_is_unicode, (*texts, *texts.values())))
    return texts if sound else None


def _is_unicode(text: str) -> bool:
    """Whether it can be encoded: an escape in JSON can give half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def read_strictly(text: str, data_bytes: int, defects: FileFindings) -> Entries:
    """Read any header, and note all of its faults."""
    values = sum(map(text.count, ",[{"))
    if values > VALUES_MAX:
        _report_too_many("values", values, VALUES_MAX, defects)
        return Entries({}, ())
    try:
        header = load_json(text)
    except JsonError as error:
        _report_no_json(error, defects)
        return Entries({}, ())
    if not isinstance(header, JsonObject):
        message = "the header is JSON, but not an object"
        defects.add("safetensors-not-object", message, at="header", actual=text[:1])
        return Entries({}, ())
    if len(header) > TENSORS_MAX:
        _report_too_many("tensors", len(header), TENSORS_MAX, defects)
        return Entries({}, ())
    return _read_header(header, data_bytes, defects)


def _read_header(header: JsonObject, data_bytes: int, defects: FileFindings) -> Entries:
    _check_repeated(header, "safetensors-tensor-duplicate", "header", defects)
    metadata: Mapping[str, str] = {}
    tensors: list[SafetensorsTensor] = []
    malformed: list[str] = []
    for name, entry in header:
        if name == METADATA_KEY:
            metadata = _read_metadata(entry, defects)
            continue
        _check_name(name, defects)
        tensor = _read_entry(name, entry, defects)
        if tensor is None:
            malformed.append(name)
        else:
            tensors.append(tensor)
    check_tensors(tensors, data_bytes, not malformed, defects)
    return Entries(metadata, tuple(tensors), tuple(malformed))


def _report_too_many(things: str, count: int, most: int, defects: FileFindings) -> None:
    defects.add(
        "safetensors-count",
        f"the header has {count:,} {things}; it was not read",
        at="header",
        expected=f"at most {most:,}",
        actual=f"{count:,}",
    )


def _report_no_json(error: JsonError, defects: FileFindings) -> None:
    if error.position is None:
        defects.add("safetensors-depth", f"the header is {error.message}", at="header")
        return
    defects.add(
        "safetensors-json",
        f"the header is not JSON: {error.message}",
        at=f"character {error.position} of the header",
    )


def _check_repeated(value: JsonObject, code: str, at: str, defects: FileFindings) -> None:
    for key, times in Counter(key for key, _ in value).items():
        if times > 1:
            defects.add(
                code, f"{shortened(key)} stands {counted(times, 'time')}", at=at, actual=times
            )


def _read_metadata(value: JsonValue, defects: FileFindings) -> dict[str, str]:
    texts = _texts(value)
    # For the official reader, null means no metadata.
    if texts is None and value is not None:
        defects.add(
            "safetensors-metadata",
            "the metadata are not distinct keys with texts",
            at=METADATA_KEY,
            actual=_shown(value),
        )
    return texts or {}


def _check_name(name: str, defects: FileFindings) -> None:
    if not name.isprintable():
        defects.add(
            "safetensors-name-control",
            f"the name has characters that do not print: {shortened(name)}",
            at=f"tensor {shortened(name)}",
            actual=name,
        )


def _read_entry(name: str, entry: JsonValue, defects: FileFindings) -> SafetensorsTensor | None:
    at = f"tensor {shortened(name)}"
    if not isinstance(entry, JsonObject):
        message = "the entry is not an object"
        defects.add("safetensors-entry", message, at=at, actual=_shown(entry))
        return None
    _check_repeated(entry, "safetensors-field-duplicate", at, defects)
    fields = dict(entry)
    for field in sorted(fields.keys() - set(FIELDS)):
        message = f"the field {shortened(field)} is unknown"
        defects.add("safetensors-field-unknown", message, at=at, actual=field)
    missing = [field for field in FIELDS if field not in fields]
    if missing:
        message = f"the entry lacks {' and '.join(missing)}"
        defects.add("safetensors-field-missing", message, at=at, expected=", ".join(FIELDS))
        return None
    dtype = _dtype(fields["dtype"], at, defects)
    shape = _shape(fields["shape"], at, defects)
    offsets = _offsets(fields["data_offsets"], at, defects)
    if dtype is None or shape is None or offsets is None:
        return None
    return SafetensorsTensor(name, dtype, shape, *offsets)


def _dtype(value: JsonValue, at: str, defects: FileFindings) -> str | None:
    if isinstance(value, str):
        return value
    defects.add("safetensors-dtype", "the dtype is not a text", at=at, actual=_shown(value))
    return None


def _shape(value: JsonValue, at: str, defects: FileFindings) -> tuple[int, ...] | None:
    numbers = _naturals(value)
    if numbers is None:
        defects.add(
            "safetensors-shape",
            "the shape is not a list of whole numbers from 0",
            at=at,
            actual=_shown(value),
        )
    elif count_elements(numbers) is None:
        defects.add(
            "safetensors-shape-overflow",
            "the shape gives more elements than 64 bits count",
            at=at,
            actual=_shown(value),
        )
        return None
    return numbers


def _offsets(value: JsonValue, at: str, defects: FileFindings) -> tuple[int, int] | None:
    numbers = _naturals(value)
    if numbers is None or len(numbers) != 2:
        defects.add(
            "safetensors-offsets",
            "the data_offsets are not two whole numbers from 0",
            at=at,
            actual=_shown(value),
        )
        return None
    return numbers[0], numbers[1]


def _naturals(value: JsonValue) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    # Not isinstance: True is an int, too.
    numbers = tuple(number for number in value if type(number) is int and 0 <= number <= NUMBER_MAX)
    return numbers if len(numbers) == len(value) else None


def _shown(value: JsonValue) -> str:
    """A value, about as in the file, shortened."""
    if isinstance(value, OtherNumber):
        return value.text
    if isinstance(value, JsonObject):
        return "an object"
    if isinstance(value, list):
        return f"[{', '.join(_shown(element) for element in value[:MOST_ELEMENTS_SHOWN])}]"
    return json.dumps(value, ensure_ascii=False)
