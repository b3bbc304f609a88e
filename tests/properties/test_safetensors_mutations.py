"""Whatever happens to a safetensors file, reading it gives a header; sound means sound."""

import json
from math import prod
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.header import parse_safetensors, read_canonical
from k2compat.checkpoint.safetensors_files.strict_entries import read_strictly
from k2compat.findings import Severity
from tests.checkpoint.safetensors_files.test_header import agree
from tests.checkpoint.safetensors_files.test_header_defects import file
from tests.checkpoint.safetensors_files.test_peers import (
    SILENT,
    SILENT_ON_OTHER_GROUNDS,
    SOMETIMES_SILENT,
    is_silent,
)
from tests.properties.test_gguf_mutations import mutations
from tests.support.amount import examples

names = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)
shapes = st.lists(st.integers(0, 5).map(lambda number: number * 8), max_size=3)


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, int]:
    """A sound header as the official writer would write it, and its data's length."""
    header: dict[str, Any] = {}
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
    end = 0
    for name in draw(st.lists(names, unique=True, max_size=5)):
        dtype, shape = draw(st.sampled_from(sorted(DTYPE_BITS))), draw(shapes)
        # A shape without dimensions is one element, which may be no whole byte.
        shape = shape or [8]
        start, end = end, end + prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return json.dumps(header, separators=(",", ":"), ensure_ascii=draw(st.booleans())), end


NAMES = ["dtype", "F32", "shape", "data_offsets", "a", "__metadata__"]
SCALARS = ["0", "1", "-1", "1.0", "NaN", "null", "true", "18446744073709551616"]
tokens = st.lists(
    st.sampled_from([*'{}[]:, "', "\\ud800", *SCALARS, *(f'"{name}"' for name in NAMES)]),
    max_size=30,
).map("".join)


def check(content: bytes) -> None:
    found = parse_safetensors(content, path="x.safetensors", file_size=len(content))
    for finding in found.findings:
        assert finding.where.startswith("x.safetensors")
        assert all(str(shown).isprintable() for shown in finding.as_dict().values())
    errors = {each.code for each in found.findings if each.severity is Severity.ERROR}
    known = {*SILENT, *SOMETIMES_SILENT, *SILENT_ON_OTHER_GROUNDS}
    if is_silent(content):
        assert errors <= known
    else:
        assert found.findings
    if not found.findings:
        agree(found, content)


@given(headers())
@settings(deadline=None)
def test_sound_files_are_sound_to_both_readers(header: tuple[str, int]) -> None:
    text, data_bytes = header
    content = file(text, data_bytes)
    assert parse_safetensors(content, path="x", file_size=len(content)).findings == ()
    check(content)


@given(headers())
@settings(deadline=None)
def test_both_ways_of_reading_agree(header: tuple[str, int]) -> None:
    text, data_bytes = header
    defects = FileFindings("x.safetensors")
    assert read_canonical(text, data_bytes) in (None, read_strictly(text, data_bytes, defects))
    assert defects.findings() == ()


@given(st.data())
@settings(max_examples=examples(250), deadline=None)
def test_mutated_files_are_judged_as_the_official_reader_does(data: st.DataObject) -> None:
    text, data_bytes = data.draw(headers())
    check(data.draw(mutations(file(text, data_bytes))))


@given(headers(), tokens, st.data())
@settings(max_examples=examples(250), deadline=None)
def test_headers_with_other_json_in_them(
    header: tuple[str, int], text: str, data: st.DataObject
) -> None:
    sound, data_bytes = header
    at = data.draw(st.integers(0, len(sound)))
    until = data.draw(st.integers(at, min(at + 10, len(sound))))
    check(file((sound[:at] + text + sound[until:]).encode(errors="replace"), data_bytes))


@given(st.data())
@settings(max_examples=examples(200), deadline=None)
def test_the_quick_way_accepts_only_what_the_strict_way_finds_sound(data: st.DataObject) -> None:
    text, data_bytes = data.draw(headers())
    mutated = data.draw(mutations(text.encode())).decode(errors="replace")
    quick = read_canonical(mutated, data_bytes)
    if quick is not None:
        defects = FileFindings("x.safetensors")
        assert quick == read_strictly(mutated, data_bytes, defects)
        assert defects.findings() == ()
