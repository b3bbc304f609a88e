"""Sound GGUF files, written by the official writer and held against the official reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

from k2compat.checkpoint.gguf_files import header as gguf
from k2compat.checkpoint.gguf_files.header import GgufArray, GgufHeader, parse_gguf, read_gguf
from k2compat.checkpoint.gguf_files.types import TENSOR_TYPES, VALUE_TYPES
from tests.checkpoint.gguf_files.gguf_bytes import ARRAY, STRING, UINT8, UINT32, Bytes, Tensor

VALUES: dict[str, tuple[Any, GGUFValueType]] = {
    "test.uint8": (255, GGUFValueType.UINT8),
    "test.int8": (-128, GGUFValueType.INT8),
    "test.uint16": (65_535, GGUFValueType.UINT16),
    "test.int16": (-32_768, GGUFValueType.INT16),
    "test.uint32": (2**32 - 1, GGUFValueType.UINT32),
    "test.int32": (-(2**31), GGUFValueType.INT32),
    "test.uint64": (2**64 - 1, GGUFValueType.UINT64),
    "test.int64": (-(2**63), GGUFValueType.INT64),
    "test.float32": (0.5, GGUFValueType.FLOAT32),
    "test.float64": (0.1, GGUFValueType.FLOAT64),
    "test.true": (True, GGUFValueType.BOOL),
    "test.false": (False, GGUFValueType.BOOL),
    "test.string": ("月之暗面", GGUFValueType.STRING),
    "test.empty": ("", GGUFValueType.STRING),
}
ARRAYS: dict[str, list[Any]] = {
    "tokenizer.ggml.tokens": ["<|tool_call_begin|>", "好", "a b", ""],
    "tokenizer.ggml.token_type": [1, 2, 3, -4],
    "tokenizer.ggml.scores": [0.5, -1.25],
    "test.flags": [True, False, True],
}


def write(path: Path, endian: GGUFEndian = GGUFEndian.LITTLE, alignment: int = 64) -> None:
    writer = GGUFWriter(path, "deepseek2", endianess=endian)
    writer.add_custom_alignment(alignment)
    for key, (value, value_type) in VALUES.items():
        writer.add_key_value(key, value, value_type)
    for key, array in ARRAYS.items():
        writer.add_array(key, array)
    writer.add_tensor("token_embd.weight", np.ones((3, 40), dtype=np.float32))
    writer.add_tensor("blk.0.attn_k_b.weight", np.ones((2, 3, 4, 5), dtype=np.float16))
    blocks = np.zeros((4, 2, 34), dtype=np.uint8)
    writer.add_tensor("blk.0.ffn_up_exps.weight", blocks, raw_dtype=TYPE_Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


TYPE_Q8_0 = next(kind for kind in GGML_QUANT_SIZES if kind.name == "Q8_0")


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, GgufArray) else value


def agree(header: GgufHeader, reader: GGUFReader) -> None:
    """Assert that both readers say the same of a file."""
    theirs = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }
    assert {key: plain(value) for key, value in header.metadata.items()} == theirs
    assert header.data_offset == reader.data_offset
    assert header.alignment == reader.alignment
    assert [
        (tensor.name, list(tensor.dimensions), tensor.type_name, tensor.start, tensor.end)
        for tensor in header.tensors
    ] == [
        (
            tensor.name,
            tensor.shape.tolist(),
            tensor.tensor_type.name,
            tensor.data_offset,
            tensor.data_offset + tensor.n_bytes,
        )
        for tensor in reader.tensors
    ]
    assert [tensor.elements for tensor in header.tensors] == [
        tensor.n_elements for tensor in reader.tensors
    ]


@pytest.mark.parametrize("alignment", [8, 32, 4096])
def test_agrees_with_the_official_reader(alignment: int, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, alignment=alignment)
    header = read_gguf(path)
    assert header.findings == ()
    assert (header.version, header.byte_order) == (3, "little")
    assert header.file_size == path.stat().st_size
    assert header.tensor_count == 3
    agree(header, GGUFReader(path))


def test_reads_big_endian_files_too(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, GGUFEndian.BIG)
    header = read_gguf(path)
    assert header.byte_order == "big"
    assert [finding.code for finding in header.findings] == ["gguf-byte-order"]
    agree(header, GGUFReader(path))


def test_every_value_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    header = read_gguf(path)
    for key, (value, value_type) in VALUES.items():
        assert header.metadata[key] == value
        assert type(header.metadata[key]) is type(value)
        assert header.value_types[key] == value_type.name.lower()
    for key, array in ARRAYS.items():
        assert plain(header.metadata[key]) == array


def test_an_array_knows_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    tokens = read_gguf(path).metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, GgufArray)
    assert (tokens.element_type, tokens.count, len(tokens)) == ("string", 4, 4)
    assert path.read_bytes()[tokens.start : tokens.end] == tokens.data
    assert "data" not in repr(tokens)


def test_the_type_tables_are_those_of_the_gguf_package() -> None:
    theirs = {kind.value: (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    ours = {number: tuple(kind)[:3] for number, kind in TENSOR_TYPES.items()}
    # An older release knows fewer types; none of them differently.
    assert theirs.items() <= ours.items()
    assert {kind.value: kind.name.lower() for kind in GGUFValueType} == {
        number: kind.name for number, kind in VALUE_TYPES.items()
    }


def test_version_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(Bytes().file(tensors=[Tensor("t")], data=128, version=2))
    header = read_gguf(path)
    assert (header.version, header.findings) == (2, ())
    agree(header, GGUFReader(path))


def test_a_file_may_have_no_tensors_and_no_keys() -> None:
    content = Bytes().file()
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert (header.metadata, header.tensors, header.findings) == ({}, (), ())


def test_a_tensor_without_dimensions_is_one_number() -> None:
    content = Bytes().file(tensors=[Tensor("t", [])], data=32)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert header.findings == ()
    (tensor,) = header.tensors
    assert (tensor.elements, tensor.end) == (1, tensor.start + 4)


def test_the_last_tensor_needs_no_padding() -> None:
    content = Bytes().file(tensors=[Tensor("t", [9])], data=36)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert header.findings == ()


@pytest.mark.parametrize("order", ["<", ">"])
def test_nested_arrays_are_read(order: Any) -> None:
    b = Bytes(order)
    texts = b.array(STRING, 2, b.string("a") + b.string("好"))
    numbers = b.array(UINT32, 2, b.uint32(7, 8))
    deeper = b.array(ARRAY, 2, b.array(UINT8, 0) + numbers)
    content = b.file([b.key("k", ARRAY, b.array(ARRAY, 3, texts + deeper + numbers))])
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert {finding.code for finding in header.findings} <= {"gguf-array-nested", "gguf-byte-order"}
    value = header.metadata["k"]
    assert isinstance(value, GgufArray)
    inner: Any = list(value)
    assert list(inner[0]) == ["a", "好"]
    assert [list(array) for array in inner[1]] == [[], [7, 8]]
    assert list(inner[2]) == [7, 8]
    assert content[inner[2].start : inner[2].end] == b.uint32(7, 8)


def test_a_string_element_that_is_not_utf8_is_replaced_when_asked_for() -> None:
    b = Bytes()
    content = b.file([b.key("k", ARRAY, b.array(STRING, 1, b.string(b"a\xff")))])
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert plain(header.metadata["k"]) == ["a\ufffd"]


def test_a_header_longer_than_the_first_bytes_is_read_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    whole = read_gguf(path)
    monkeypatch.setattr(gguf, "FIRST_BYTES", 1)
    assert read_gguf(path) == whole


def test_any_prefix_gives_the_whole_header_or_asks_for_more(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    content = path.read_bytes()
    whole = read_gguf(path)
    for length in range(len(content)):
        header = parse_gguf(content[:length], path=str(path), file_size=len(content))
        assert header is None or header == whole
    assert whole == parse_gguf(content, path=str(path), file_size=len(content))
