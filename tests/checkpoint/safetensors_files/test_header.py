"""Sound safetensors files, written by the official library and held against its reader."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save, save_file

from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.header import (
    Entries,
    SafetensorsHeader,
    header_end,
    parse_safetensors,
    read_canonical,
    read_safetensors,
)
from k2compat.checkpoint.safetensors_files.strict_entries import read_strictly
from tests.checkpoint.safetensors_files.test_header_defects import entry, file, header, parse

TENSORS: dict[str, "np.ndarray[Any, Any]"] = {
    "model.embed_tokens.weight": np.ones((3, 4), dtype=np.float16),
    "model.layers.0.mlp.gate.e_score_correction_bias": np.ones(5, dtype=np.float32),
    "专家.weight": np.ones((2, 0), dtype=np.int64),
    "scalar": np.ones((), dtype=np.uint8),
}


def official(content: bytes) -> list[tuple[str, dict[str, Any]]]:
    told: list[tuple[str, dict[str, Any]]]
    told = deserialize(content)  # type: ignore[no-untyped-call]
    return told


def agree(ours: SafetensorsHeader, content: bytes) -> None:
    """Assert that the official reader says the same of a file."""
    theirs = {
        name: (told["dtype"], tuple(told["shape"]), bytes(told["data"]))
        for name, told in official(content)
    }
    assert {
        tensor.name: (
            tensor.dtype,
            tensor.shape,
            content[ours.data_start + tensor.start : ours.data_start + tensor.end],
        )
        for tensor in ours.tensors
    } == theirs


def test_agrees_with_the_official_reader(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, metadata={"format": "pt", "a": "é\n"})
    found = read_safetensors(path)
    assert found.findings == ()
    assert found.metadata == {"format": "pt", "a": "é\n"}
    assert found.file_size == path.stat().st_size
    agree(found, path.read_bytes())
    assert {tensor.name: tensor.elements for tensor in found.tensors} == {
        name: tensor.size for name, tensor in TENSORS.items()
    }


def test_a_file_without_tensors_is_sound() -> None:
    content = save({})
    assert parse(content).findings == ()
    assert parse(content).tensors == ()


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_the_official_reader_takes_every_dtype_with_the_same_size(dtype: str) -> None:
    bits = DTYPE_BITS[dtype]
    content = file(json.dumps(json.loads(f'{{"t": {entry(dtype, [8], [0, bits])}}}')), bits)
    assert parse(content).findings == ()
    agree(parse(content), content)


def test_the_table_of_dtypes_is_complete() -> None:
    with pytest.raises(SafetensorError, match="expected one of") as error:
        official(file(f'{{"t": {entry("?")}}}', 32))
    for dtype in str(error.value).split("expected one of")[1].split("at line")[0].split(","):
        assert dtype.strip(" `") in DTYPE_BITS


def test_no_metadata_may_be_null() -> None:
    assert parse(file('{"__metadata__":null}')).findings == ()


def test_padding_may_be_missing_or_long() -> None:
    assert parse(header(t=entry())).findings == ()
    assert parse(file(f'{{"t": {entry()}}}' + " " * 99, 32)).findings == ()


def test_an_end_is_told_from_eight_bytes() -> None:
    assert header_end((100).to_bytes(8, "little")) == 108
    assert header_end(b"\xff" * 8) == 8
    content = header(t=entry())
    prefix = content[: header_end(content[:8])]
    found = parse_safetensors(prefix, path="x.safetensors", file_size=len(content))
    assert found == parse(content)


WRITTEN = save(
    {"a": np.zeros((2, 4), dtype=np.float32), "b": np.zeros((), dtype=np.float32)},
    {"format": "pt"},
)
CANONICAL = WRITTEN[8 : header_end(WRITTEN)].decode()


def both(text: str, data_bytes: int = 36) -> tuple[Entries | None, Entries, FileFindings]:
    defects = FileFindings("x.safetensors")
    return read_canonical(text, data_bytes), read_strictly(text, data_bytes, defects), defects


def test_the_quick_way_takes_what_the_official_writer_writes() -> None:
    quick, strict, defects = both(CANONICAL)
    assert quick == strict
    assert quick is not None
    assert [tensor.shape for tensor in quick.tensors] == [(2, 4), ()]
    assert defects.findings() == ()
    quick, strict, _ = both(CANONICAL.replace('"__metadata__":{"format":"pt"},', ""))
    assert quick == strict
    assert strict.metadata == {}


DIFFERENT = {
    "spaces": ('"b":', '"b": '),
    "an escape": ('"b"', '"\\u0062"'),
    "the same name": ('"b"', '"a"'),
    "a reserved name": ('"b"', '"__metadata__"'),
    "a name that does not print": ('"b"', '"\u202e"'),
    "two commas": ('},"b"', '},,"b"'),
    "no comma": ('},"b"', '}"b"'),
    "no comma after the metadata": ('},"a"', '}"a"'),
    "metadata of numbers": ('"pt"', "1"),
    "metadata that are no object": ('{"format":"pt"}', "1"),
    "metadata that are no JSON": ('{"format":"pt"}', ""),
    "another first key": ('"__metadata__"', '"metadata"'),
    "metadata after the tensors": ("]}}", ']},"__metadata__":{}}'),
    "a lone comma": ('"__metadata__":{"format":"pt"},', ","),
    "another dtype": ("F32", "F33"),
    "a leading zero": ("[2,4]", "[2,04]"),
    "an overflow": ("[2,4]", f"[{2**40},{2**40},0]"),
    "a gap": ("[32,36]", "[33,37]"),
    "a first gap": ("[0,32]", "[1,33]"),
    "another size": ("[0,32]", "[0,31]"),
    "text before": ("{", "x{"),
    "a longer end": ("]}}", "]}} x"),
}


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_goes_the_strict_way(change: tuple[str, str]) -> None:
    text = CANONICAL.replace(*change, 1)
    assert text != CANONICAL
    assert read_canonical(text, 36) is None


def test_other_bytes_in_the_file_go_the_strict_way() -> None:
    assert read_canonical(CANONICAL, 37) is None
    assert read_canonical(CANONICAL, 35) is None
