"""Repairing arguments: valid JSON stays, the result parses, and a second time changes nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from k2compat.arguments import Repaired, repair
from tests.support.model_output import json_objects

PIECES = ["{", "}", "[", "]", ",", ":", " ", "\n", '"', "'", "\\", "a", "1", "True", "null", '"k":']


@st.composite
def nearly_json(draw: st.DrawFn) -> str:
    """A JSON object with some pieces put in, taken out or exchanged."""
    text = json.dumps(draw(json_objects()))
    if draw(st.booleans()):
        text = text.replace('"', "'").replace("true", "True").replace("null", "None")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        behind = at + draw(st.integers(0, 1))
        text = text[:at] + draw(st.sampled_from(["", *PIECES])) + text[behind:]
    return text


TEXTS = st.one_of(nearly_json(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


@given(json_objects(), st.booleans(), st.sampled_from([None, 2]))
def test_valid_json_is_never_touched(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert repair(text) == Repaired(text, (), is_object=True)


@given(TEXTS)
def test_the_result_parses(text: str) -> None:
    result = repair(text)
    if result.is_object:
        assert isinstance(json.loads(result.arguments), dict)
    else:
        assert result.arguments == text
        assert not result.edits


@given(TEXTS)
def test_a_second_time_changes_nothing(text: str) -> None:
    once = repair(text)
    again = repair(once.arguments)
    assert (again.arguments, again.edits) == (once.arguments, ())


@given(TEXTS)
def test_the_edits_are_the_difference(text: str) -> None:
    result = repair(text)
    pieces, at = [], 0
    for edit in result.edits:
        assert text.startswith(edit.before, edit.at)
        assert edit.at >= at
        pieces += [text[at : edit.at], edit.after]
        at = edit.at + len(edit.before)
    assert "".join((*pieces, text[at:])) == result.arguments


@given(TEXTS)
def test_what_json_accepts_is_not_edited(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert not repair(text).edits
    assert repair(text).is_object == isinstance(value, dict)


BACKSLASHES = st.lists(
    st.sampled_from([r"\n", r"\p", r"\d", r"\u0041", r"\users", "C:", "x", " ", r"\\"]), max_size=6
).map("".join)


@given(BACKSLASHES)
def test_the_backslashes_of_a_string_have_one_reading(written: str) -> None:
    result = repair(f'{{"a": "{written}"}}')
    if any(edit.reason == "escape" for edit in result.edits):
        assert json.loads(result.arguments)["a"] == written
