"""Damaged files, held against the official reader: where it raises, and where it is silent."""

import re
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tests.checkpoint.safetensors_files.test_header import official
from tests.checkpoint.safetensors_files.test_header_defects import CASES, Case, entry, file, parse

SILENT = {
    "safetensors-field-unknown": "it skips fields it does not know",
}

SOMETIMES_SILENT = {
    "safetensors-tensor-duplicate": "of equal names it takes the last; only __metadata__ twice"
    " it refuses",
    "safetensors-name-control": "it does not judge names; half a surrogate pair is no text to it",
    "safetensors-metadata": "of equal keys it takes the last",
}

SILENT_ON_OTHER_GROUNDS = {
    "safetensors-entry": "its deserialiser takes an array of three for an object of three fields",
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_the_official_reader_is_silent_only_where_it_is_known_to_be(case: Case) -> None:
    assert parse(case.content).findings
    assert is_silent(case.content) == (case.code in SILENT) or case.code in SOMETIMES_SILENT


@pytest.mark.parametrize("code", SOMETIMES_SILENT)
def test_where_it_is_sometimes_silent_it_sometimes_raises(code: str) -> None:
    assert {is_silent(case.content) for case in CASES if case.code == code} == {True, False}


def test_an_entry_that_is_an_array() -> None:
    content = file('{"t": ["F32", [2, 4], [0, 32]]}', 32)
    assert is_silent(content)
    assert {finding.code for finding in parse(content).findings} == {*SILENT_ON_OTHER_GROUNDS}


def test_space_before_the_header_is_nothing_to_either() -> None:
    content = file(f' \n{{"t": {entry()}}}\n', 32)
    assert is_silent(content)
    assert parse(content).findings == ()


def test_each_difference_is_in_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs" / "validate.md"
    _, _, section = page.read_text(encoding="utf-8").partition("## Against the official readers")
    listed = set(re.findall(r"`(safetensors-[a-z0-9-]+)`", section))
    assert listed == {*SILENT, *SOMETIMES_SILENT, *SILENT_ON_OTHER_GROUNDS}


def is_silent(content: bytes) -> bool:
    try:
        official(content)
    except SafetensorError:
        return False
    return True
