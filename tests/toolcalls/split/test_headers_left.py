"""Headers that a server left in the text, before the call that it passed on natively."""

from typing import Any

import pytest

from k2compat.toolcalls import Problem, SplitReader

NATIVE: dict[str, Any] = {
    "id": "functions.weather:0",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
}
TOOLS = [{"type": "function", "function": {"name": "weather"}}]


def left_before_a_call(content: str) -> SplitReader:
    """A reader of that content and a native call after it."""
    reader = SplitReader(TOOLS)
    reader.feed(content=content)
    reader.feed(tool_calls=[NATIVE])
    reader.finish("tool_calls")
    return reader


@pytest.mark.parametrize("header", ["call_abc", "###", "functions.weather:0"])
def test_it_is_no_call_whatever_the_id_is(header: str) -> None:
    message = left_before_a_call(f"<|tool_call_begin|>{header}<|tool_call_argument_begin|>").message
    assert [each.name for each in message.tool_calls] == ["weather"]
    assert message.finish_reason == "tool_calls"
    assert message.problems[-1].code == "server-markers-left"


def test_the_call_s_end_may_be_left_too() -> None:
    reader = SplitReader(TOOLS)
    reader.feed(content="<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>")
    reader.feed(tool_calls=[NATIVE])
    reader.feed(content="<|tool_call_end|><|tool_calls_section_end|>")
    reader.finish("tool_calls")
    (found,) = reader.message.tool_calls
    assert found.arguments == '{"city":"Paris"}'


def test_a_header_of_another_tool_is_a_call_that_was_cut() -> None:
    reader = SplitReader()
    reader.feed(content="<|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>")
    reader.feed(tool_calls=[NATIVE])
    reader.finish("tool_calls")
    assert [each.name for each in reader.message.tool_calls] == ["weather", "now"]
    assert reader.message.finish_reason == "length"


def test_text_after_the_native_call_is_read_as_ever() -> None:
    reader = SplitReader()
    reader.feed(content="<|tool_call_begin|>functions.now")
    reader.feed(tool_calls=[NATIVE])
    reader.feed(content=":1<|tool_call_argument_begin|>{}<|tool_call_end|>")
    reader.finish("tool_calls")
    assert [each.id for each in reader.message.tool_calls] == [
        "functions.weather:0",
        "functions.now:1",
    ]


def test_native_calls_beside_a_forced_form() -> None:
    reader = SplitReader(form="calls", max_calls=0)
    reader.feed(content="Look.", tool_calls=[NATIVE])
    reader.finish("tool_calls")
    assert (reader.message.content, reader.message.tool_calls) == ("Look.", ())
    assert reader.message.finish_reason == "stop"


@pytest.mark.parametrize("header", ["functions.weather:0", "functions.wea", "", " "])
def test_without_an_argument_marker_it_is_reported_whole(header: str) -> None:
    message = left_before_a_call(f"Let me see.<|tool_call_begin|>{header}").message
    assert message.content == "Let me see."
    assert message.problems == (Problem("server-markers-left", 11, "<|tool_call_begin|>" + header),)


@pytest.mark.parametrize(
    "header",
    [
        "functions.weather:0",
        "functions.weather:0<|tool_call_argument_begin|>",
        "call_abc",
        "call_abc<|tool_call_argument_begin|>",
        "###<|tool_call_argument_begin|>",
    ],
)
def test_text_of_its_section_is_noise(header: str) -> None:
    reader = left_before_a_call(f"<|tool_calls_section_begin|>x<|tool_call_begin|>{header}")
    message = reader.message
    assert message.content is None
    assert {problem.code for problem in message.problems} == {
        "text-between-calls",
        "server-markers-left",
    }


def test_one_that_is_no_id_is_reported_with_its_text() -> None:
    message = left_before_a_call("<|tool_call_begin|>###<|tool_call_argument_begin|>").message
    assert message.problems == (Problem("server-markers-left", 19, "###"),)
