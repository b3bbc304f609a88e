"""From the JSON text of any safetensors header to metadata and tensors, with every defect named."""

import json
from collections import Counter

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.header import (
    METADATA_KEY,
    NUMBER_MAX,
    Entries,
    SafetensorsTensor,
    count_elements,
    plain_texts,
)
from k2compat.checkpoint.safetensors_files.layout import check_tensors
from k2compat.checkpoint.safetensors_files.strict_json import (
    JsonError,
    JsonObject,
    JsonValue,
    OtherNumber,
    load_json,
)
from k2compat.printable import counted, shortened

FIELDS = ("dtype", "shape", "data_offsets")
MOST_ELEMENTS_SHOWN = 8

TENSORS_MAX = 1 << 19
VALUES_MAX = 1 << 22
"""Kimi-K2.5 has 208,550 tensors in all, of nine values or less. A hundred megabytes of `[],`
or `"a":{},` are a header of allowed length, too, and would take gigabytes or minutes."""


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
    metadata: dict[str, str] = {}
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
    texts = plain_texts(value) if isinstance(value, JsonObject) else None
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
