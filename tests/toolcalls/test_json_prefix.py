"""The reader of incomplete JSON agrees with `json`, at any size and depth."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from k2compat.toolcalls.json_prefix import ObjectPrefix, stays_in_string
from tests.support.amount import examples
from tests.toolcalls.json_oracle import JSON, as_json_decides, string_is_open
from tests.toolcalls.transcripts import cut

TOKENS = [
    *'{}[],:" \n\\-019.',
    '"a"',
    '"b\\n"',
    "0.5e3",
    "1E+",
    "true",
    "fal",
    "null",
    "NaN",
    "\\u00e9",
]
BROKEN_UP = st.builds(
    lambda value, place, token, drop: (
        (text := json.dumps({"k": value}, ensure_ascii=False))[: place % len(text)]
        + token
        + text[place % len(text) + drop :]
    ),
    JSON,
    st.integers(0, 10_000),
    st.sampled_from(["", *TOKENS]),
    st.integers(0, 1),
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=9).map("".join),
    JSON.map(json.dumps),
    JSON.map(lambda value: json.dumps({"k": value}, indent=2)),
    BROKEN_UP,
)


def reader_of(text: str, size: int) -> ObjectPrefix:
    reader = ObjectPrefix()
    for piece in cut(text, size):
        reader.read(piece)
    return reader


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS.map(str.strip), st.sampled_from([1, 2, 5, 10_000]))
def test_agrees_with_json(text: str, size: int) -> None:
    reader = reader_of(text, size)
    assert reader.whole == as_json_decides(text)
    assert reader.in_string == string_is_open(text)


@settings(max_examples=examples(150), deadline=None)
@given(TEXTS, st.integers(1, 7))
def test_cutting_makes_no_difference(text: str, size: int) -> None:
    whole, pieces = reader_of(text, len(text) + 1), reader_of(text, size)
    assert (pieces.possible, pieces.in_string, pieces.whole) == (
        whole.possible,
        whole.in_string,
        whole.whole,
    )


@settings(max_examples=examples(150), deadline=None)
@given(JSON)
def test_every_beginning_of_an_object_is_possible(value: object) -> None:
    reader = ObjectPrefix()
    for character in json.dumps({"key": value}, indent=1):
        reader.read(character)
        assert reader.possible
    assert reader.whole


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "x",
        '{"a" 1',
        '{"a": 01',
        '{"a": 1.x',
        '{"a": -}',
        '{"a": tx',
        '{"a": "\\x',
        '{"a": "\\u00g',
        '{"a": "\n',
        '{"a": [1,]',
        '{"a": [1}',
        '{"a": 1,}',
        '{"a": 1]',
        "{,",
        "{} {",
        '{"a": NaN',
        '{"a": Infinity}',
        '{"a": -I',
        "~",
        "{~",
        '{"a"~',
        '{"a":~',
        '{"a": 1~',
        '{"a": 1,~',
        '{"a": [~',
        '{"a": [1~',
        '{"a": [1,~',
        '{"a": 1}~',
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_cannot_become_an_object(text: str, size: int) -> None:
    reader = reader_of(text, size)
    assert not reader.possible
    assert not reader.in_string
    assert not reader.whole
    reader.read("}")
    assert not reader.whole


@pytest.mark.parametrize("size", [1, 9973, 10_000_000])
def test_depth_and_size_have_no_limit(size: int) -> None:
    depth = 20_000 if size == 1 else 200_000
    text = '{"a":' + "[" * depth + "]" * depth + ',"n":' + "9" * depth + "}"
    assert reader_of(text, size).whole


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("plain ", True),
        ('an \\" escape\\n ', True),
        ("not printable \u200b ", True),
        ('"', False),
        ("\n", False),
        ("\\", False),
        ("\\x", False),
    ],
)
def test_stays_in_string(text: str, stays: bool) -> None:
    assert stays_in_string(text) == stays


class CountingPrefix(ObjectPrefix):
    """Counts its steps: a run that is not skipped at once is read right as well, but slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def _read_on(self, text: str, at: int) -> int:
        self.steps += 1
        return super()._read_on(text, at)


def steps_for(before: str, text: str) -> int:
    """How many steps the text takes where the other ended."""
    reader = CountingPrefix()
    reader.read(before)
    reader.steps = 0
    reader.read(text)
    assert reader.possible
    return reader.steps


SCALARS = ['""', '"é \\" \\\\ \\/\\b\\f\\n\\r\\t\\u00eF "', "0", "-12.50e+3", "1E5", "7e-1"]
SCALARS += ["true", "false", "null"]
FLAT = [*SCALARS, "[]", "{}", '[ "a" , 1 , null ]', '{ "a" : "b" , "c" : 1 }', '["a",1]', '{"a":1}']
NESTED = [*FLAT, '[[{"a":1},[]],{}]', '{"a":[{"b":"c","d":2},3],"e":{}}']


@pytest.mark.parametrize("space", ["", " ", "\t\r\n "])
@pytest.mark.parametrize("value", NESTED)
def test_whole_values_are_skipped_at_once(value: str, space: str) -> None:
    member, item = f'"k"{space}:{space}{value}{space},{space}', f"{value}{space},{space}"
    first, second = f'"a"{space}:{space}"b', f'"a"{space}:{space}"b"{space}'
    for end in ("", '"a', first, second):
        assert steps_for("{", space + member * 3 + end) == 1
        assert steps_for('{"k": 0,', space + member * 3 + end) == 1
    for end in ("", '"a', f'"b"{space}', f"1{space}" if space else ""):
        assert steps_for('{"k": [', space + item * 3 + end) == 1
        assert steps_for('{"k": [0,', space + item * 3 + end) == 1


@pytest.mark.parametrize("space", ["", " ", "\t\r\n "])
@pytest.mark.parametrize("value", FLAT)
def test_flat_values_are_skipped_behind_others(value: str, space: str) -> None:
    comma = f"{space},{space}"
    members = f'{comma}"k"{space}:{space}{value}' * 3 + f'{comma}"l"{space}:{space}"x'
    items = (comma + value) * 3 + f'{comma}"x'
    assert steps_for('{"k": 1 ', members) == steps_for('{"k": "v', '"' + members) == 1
    assert steps_for('{"k": [1 ', items) == steps_for('{"k": ["v', '"' + items) == 1


@pytest.mark.parametrize("space", ["", " ", "\t\r\n "])
@pytest.mark.parametrize("value", [*SCALARS, '"x'])
def test_a_value_is_read_with_its_key(value: str, space: str) -> None:
    end = "" if value == '"x' else space + ","
    steps = 2 if end else 1
    assert steps_for('{"k', f'"{space}:{space}{value}{end}') == steps
    assert steps_for('{"k"', f"{space}:{space}{value}{end}") == steps
    assert steps_for('{"k":', f"{space}{value}{end}") == steps
