"""Damaged files, held against the official reader: where it raises, and where it is silent."""

import re
import warnings
from pathlib import Path

import pytest
from gguf import GGUFReader

from k2compat.checkpoint.gguf_files.header import read_gguf
from tests.checkpoint.gguf_files.gguf_cases import BROKEN, SOUND
from tests.checkpoint.gguf_files.gguf_cases import Case as ModelCase
from tests.checkpoint.gguf_files.test_header_defects import CASES, Case

SILENT = {
    "gguf-byte-order": "it reads both orders; only engines refuse the other one",
    "gguf-trailing-bytes": "it never looks at the file's end",
    "gguf-value-utf8": "it decodes a text only when asked for its contents",
    "gguf-bool": "numpy takes any byte for a bool",
    "gguf-array-nested": "it flattens arrays of arrays",
    "gguf-name-length": "llama.cpp's limits are not its own",
    "gguf-name-control": "it does not judge names",
    "gguf-dimension-zero": "an empty tensor maps to an empty array",
    "gguf-tensor-unaligned": "it does not hold offsets against the alignment",
    "gguf-tensor-overlap": "it does not hold tensors against each other",
    "gguf-tensor-gap": "the same",
    "gguf-tensor-order": "the same",
}

SOMETIMES_SILENT = {
    "gguf-header-truncated": "a slice of a mapping past the end is short, not an error",
    "gguf-length": "the same: a string that claims too much is cut at the file's end",
    "gguf-value-type": "the element type of an empty array is never looked at",
    "gguf-array-depth": "eight levels are no problem for it; two thousand are a RecursionError",
    "gguf-alignment": "it takes 4, which the specification forbids",
    "gguf-tensor-dimensions": "numpy takes up to 64 dimensions, ggml four",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_the_official_reader_is_silent_only_where_it_is_known_to_be(
    case: Case, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(case.content)
    assert read_gguf(path).findings
    assert _is_silent(path) == (case.code in SILENT) or case.code in SOMETIMES_SILENT


@pytest.mark.parametrize("code", SOMETIMES_SILENT)
def test_where_it_is_sometimes_silent_it_sometimes_raises(code: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    answers = set()
    for case in CASES:
        if case.code == code:
            path.write_bytes(case.content)
            answers.add(_is_silent(path))
    assert answers == {True, False}


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.what)
def test_sound_models_are_read_alike(case: ModelCase, tmp_path: Path) -> None:
    path = case.make().write(tmp_path / "model.gguf")
    ours = [(t.name, list(t.dimensions), t.type_name, t.start) for t in read_gguf(path).tensors]
    theirs = [
        (t.name, [int(size) for size in t.shape], t.tensor_type.name, int(t.data_offset))
        for t in GGUFReader(path).tensors
    ]
    assert ours == theirs


def test_of_what_a_model_needs_the_official_reader_knows_nothing(tmp_path: Path) -> None:
    """It reads the container; metadata and tensors are for engines to hold together."""
    for code in sorted({case.code for case in BROKEN}):
        case = next(case for case in BROKEN if case.code == code)
        assert _is_silent(case.make().write(tmp_path / "model.gguf")), code


def test_each_difference_is_in_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs" / "validate.md"
    _, _, section = page.read_text(encoding="utf-8").partition("## Against the official readers")
    listed = set(re.findall(r"`(gguf-[a-z0-9-]+)`", section))
    assert listed == {*SILENT, *SOMETIMES_SILENT}


def _is_silent(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            GGUFReader(path)
    # What it raises is not promised: ValueError, IndexError, KeyError, RecursionError.
    except Exception:  # noqa: BLE001
        return False
    return True
