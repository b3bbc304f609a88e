"""An index read in pieces is the index read at once; what is not regular is left to the latter."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint.safetensors_files.index import parse_index, read_index, split_index
from tests.support.memory_source import MemoryFile

MAP = {f"model.layers.{number}.weight": f"model-{number % 3}.safetensors" for number in range(50)}
SOUND = {"metadata": {"total_size": 7}, "weight_map": MAP}

names = st.text('abc.":,{}é😀 ', max_size=6)


def file_of(text: str | bytes) -> MemoryFile:
    data = text if isinstance(text, bytes) else text.encode()
    return MemoryFile("index", data, len(data))


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 1 << 20])
def test_the_pieces_make_the_whole(indent: int | None, piece_bytes: int) -> None:
    for document in (SOUND, dict(reversed(SOUND.items())), {"weight_map": MAP}):
        split = split_index(file_of(json.dumps(document, indent=indent)), piece_bytes)
        assert split is not None
        assert split.weight_map == MAP
        assert json.loads(split.rest) == {**document, "weight_map": {}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"weight_map": {',
        '{"weight_map": {"a": "b"',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "b", "a": "c"}}',
        '{"weight_map": {"a": "b"}, "weight_map": {"c": "d"}}',
        '{"weight_map": {"a}": "b"}}',
        '{"weight_map": {"a": ' + "[" * 100_000,
        b'{"weight_map": {"a": "\xff"}}',
        " " * ((1 << 20) + 1) + "x" * (1 << 20),
        '{"weight_map": {"a": "' + "b" * (3 << 20),
    ],
)
def test_what_is_not_regular_is_left_to_the_reader_of_the_whole(text: str | bytes) -> None:
    assert split_index(file_of(text)) is None


@given(
    st.dictionaries(names, names | st.integers(), max_size=6),
    st.dictionaries(names | st.just("weight_map"), names | st.just({"weight_map": {}}), max_size=3),
    st.integers(1, 40),
)
def test_both_readers_agree(
    weight_map: dict[str, object], rest: dict[str, object], piece_bytes: int
) -> None:
    data = json.dumps({**rest, "weight_map": weight_map}, ensure_ascii=False).encode()
    split = split_index(file_of(data), piece_bytes)
    if split is not None and json.loads(split.rest).get("weight_map") == {}:
        assert split.weight_map == weight_map
    assert read_index(file_of(data)) == parse_index(data, "index")
    assert read_index(file_of(data), is_remote=True) == parse_index(data, "index")


def test_a_map_inside_of_another_member_is_not_taken_for_the_index() -> None:
    document = {"metadata": {"weight_map": {"a": "b"}}}
    assert read_index(file_of(json.dumps(document)))[0] is None
