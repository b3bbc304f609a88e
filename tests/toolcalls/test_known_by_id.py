"""Markers known by their token ids after others that may be text."""

from typing import Any

import pytest

from k2compat.toolcalls import Message, StreamParser
from tests.toolcalls.transcripts import MARKER_IDS, TOKEN_IDS, call

END_OF_TURN = "<|im_end|>"
SECTION_BEGIN = "<|tool_calls_section_begin|>"
OPEN_STRING = SECTION_BEGIN + call("functions.get:0", '{"a": "b').removesuffix("<|tool_call_end|>")


def message_of(text: str, marker: str, rest: str = "", **options: Any) -> Message:
    """Text without token ids, a marker with its own, and more text."""
    parser = StreamParser(marker_ids=MARKER_IDS, **options)
    parser.feed(text)
    parser.feed_token(TOKEN_IDS[marker], marker)
    parser.feed(rest)
    parser.finish()
    return parser.message


@pytest.mark.parametrize(
    "held",
    [
        "<|tool_call_end|>",
        "<|tool_call_end|><|tool_calls_section_end|>",
        "[EOS]",
        "<|tool_call_end|> [EOS]",
    ],
)
def test_an_end_of_turn_confirms_what_an_open_string_held(held: str) -> None:
    message = message_of(OPEN_STRING + held, END_OF_TURN)
    assert [call.arguments for call in message.tool_calls] == ['{"a": "b']
    assert message.finish_reason == "tool_calls"
    assert message.content is None


def test_an_end_of_turn_confirms_another() -> None:
    message = message_of("Hi[EOS]", END_OF_TURN)
    assert (message.content, message.problems) == ("Hi", ())


def test_an_end_of_turn_confirms_one_behind_a_header() -> None:
    message = message_of("<|tool_call_begin|>functions.get:0[EOS]", END_OF_TURN)
    assert message.content is None
    codes = [problem.code for problem in message.problems]
    assert codes == ["section-begin-missing", "call-header-cut"]


@pytest.mark.parametrize("rest", ["[EOS]", " [EOS]\n<|im_end|>"])
def test_further_ends_of_turn_are_no_text_after_it(rest: str) -> None:
    assert not message_of("Hi", END_OF_TURN, rest).problems


def test_a_thinking_marker_does_not_confirm_an_end_of_turn() -> None:
    message = message_of("Append [EOS]", "</think>", reasoning="tagged")
    assert message.content == "Append [EOS]"
