"""One call's arguments while they arrive: what is asked first makes no difference."""

import pytest

from k2compat.toolcalls import argument_text
from k2compat.toolcalls.argument_text import PIECES_AT_MOST, ArgumentText
from k2compat.toolcalls.json_prefix import ObjectPrefix


def of(*pieces: str) -> ArgumentText:
    arguments = ArgumentText()
    for piece in pieces:
        arguments.add(piece)
    return arguments


@pytest.mark.parametrize(
    ("text", "possible", "whole", "in_string"),
    [
        ("", True, False, False),
        ('{"a": "b', True, False, True),
        ('{"a": "b" ', True, False, False),
        ('{"a": "b"}', True, True, False),
        ('["a', False, False, False),
    ],
)
def test_each_question_can_be_asked_first(
    text: str, possible: bool, whole: bool, in_string: bool
) -> None:
    assert of(*text).possible == possible
    assert of(*text).whole == whole
    assert of(*text).in_string == in_string


@pytest.mark.parametrize("character", ["1", " "])
def test_pieces_are_joined_now_and_then(character: str) -> None:
    """But not white space that waits: it may not belong to the arguments."""
    arguments = of("{", *[character] * (3 * PIECES_AT_MOST))
    assert (len(arguments.pieces) <= PIECES_AT_MOST) == (character == "1")
    assert arguments.text == "{" + ("1" * (3 * PIECES_AT_MOST) if character == "1" else "")
    assert arguments.add("x") == ("x" if character == "1" else " " * (3 * PIECES_AT_MOST) + "x")


def test_raw_line_breaks_wait_in_a_string_behind_spaces_that_do_not() -> None:
    arguments = of('{"a": "b')
    assert [arguments.add(text) for text in ("  ", " \n", " ", "c")] == ["  ", " ", "", "\n c"]
    assert arguments.text == '{"a": "b   \n c'
    assert not arguments.possible


def test_quotes_count_from_the_first_piece_behind_those_joined() -> None:
    arguments = of('{"a": [1', *["1"] * (PIECES_AT_MOST - 4), ", ", "1")
    assert [arguments.add(text) for text in (', "', "x ")] == [', "', "x "]
    arguments = of('{"a": "', *["1"] * (PIECES_AT_MOST - 1))
    assert [arguments.add(text) for text in ('"', ", ")] == ['"', ","]


def test_plain_text_in_a_string_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class ReportingPrefix(ObjectPrefix):
        def read(self, text: str) -> None:
            read.append(text)
            super().read(text)

    monkeypatch.setattr(argument_text, "ObjectPrefix", ReportingPrefix)
    arguments = of('{"a": "one ', *["more ", "and ", "x"] * 9)
    assert read == ['{"a": "one']
    arguments.add('"')
    assert not arguments.in_string
    assert read == ['{"a": "one', 'x"']


def test_a_control_character_is_no_white_space() -> None:
    arguments = of("{")
    assert [arguments.add(text) for text in (" ", "\x00", "x")] == ["", " \x00", "x"]


def test_a_wrong_escape_ends_a_string_that_was_open() -> None:
    arguments = of('{"a": "b ')
    assert [arguments.add(text) for text in ("\\n ", "\\x ")] == ["\\n ", "\\x"]


def test_a_cut_escape_counts_from_its_backslash() -> None:
    arguments = of('{"a": "b ')
    assert [arguments.add(text) for text in (" \\", "n ")] == [" \\", "n "]
    arguments = of('{"a": "b ')
    assert [arguments.add(text) for text in (" \\", "x ")] == [" \\", "x"]


def test_no_string_is_open_where_no_object_can_come_of_it() -> None:
    assert of('{"a" "b').add("c ") == "c"
