"""What is rendered is read back."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k2compat.toolcalls import Message, ReasoningMode, ToolCall, parse
from k2compat.toolcalls.chat import assistant_message
from k2compat.toolcalls.markers import MARKERS
from k2compat.toolcalls.render import (
    UnrepresentableError,
    render_calls,
    render_conversation,
    render_message,
)
from tests.support.model_output import json_objects, model_outputs, tool_names

MODES: st.SearchStrategy[ReasoningMode] = st.sampled_from(["off", "tagged", "prefilled"])


def declared(calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": call.name}} for call in calls]


@st.composite
def tool_calls(draw: st.DrawFn) -> tuple[ToolCall, ...]:
    calls = []
    parts = st.tuples(tool_names(), st.integers(0, 99))
    for name, number in draw(st.lists(parts, max_size=3, unique=True)):
        call_id = f"functions.{name}:{number}"
        arguments = json.dumps(draw(json_objects()), ensure_ascii=draw(st.booleans()))
        calls.append(ToolCall(call_id, name, arguments, complete=True, raw_id=call_id))
    return tuple(calls)


@given(tool_calls())
def test_calls_are_read_back(calls: tuple[ToolCall, ...]) -> None:
    written = render_calls(calls)
    read = parse(written, declared(calls))
    assert not read.problems
    assert read.content is None
    if "\\u003c" not in written and "\\u005b" not in written:
        assert read.tool_calls == calls
    # Where a marker in a string could be mistaken, the same value is written otherwise.
    assert [(call.id, json.loads(call.arguments)) for call in read.tool_calls] == [
        (call.id, json.loads(call.arguments)) for call in calls
    ]


@given(text=model_outputs(), mode=MODES)
def test_a_message_that_was_read_is_read_again(text: str, mode: ReasoningMode) -> None:
    message = parse(text, reasoning=mode)
    try:
        written = render_message(message, mode)
    except UnrepresentableError:
        # Text around a stray marker may close up to a marker.
        said = f"{message.content}{message.reasoning}{message.tool_calls}"
        assert any(marker in said for marker in MARKERS)
        return
    again = parse(written, declared(message.tool_calls), mode)
    assert (again.content, again.reasoning) == (message.content, message.reasoning)
    assert [(call.id, call.arguments or "{}") for call in again.tool_calls] == [
        (call.id, call.arguments.strip() or "{}") for call in message.tool_calls
    ]


@given(calls=tool_calls(), content=st.text(max_size=9), reasoning=MODES)
def test_a_turn_of_a_prompt_is_read_back(
    calls: tuple[ToolCall, ...], content: str, reasoning: ReasoningMode
) -> None:
    renumbered = tuple(
        ToolCall(f"functions.{call.name}:{number}", call.name, call.arguments, True, "")
        for number, call in enumerate(calls)
    )
    history = [assistant_message(Message(content or None, None, renumbered, (), "stop"))]
    prompt = render_conversation(history, None, reasoning, add_generation_prompt=False)
    turn = prompt.removeprefix("<|im_assistant|>assistant<|im_middle|>")
    mode: ReasoningMode = "off" if reasoning == "off" else "tagged"
    read = parse(turn, declared(renumbered), mode)
    assert [(call.id, json.loads(call.arguments)) for call in read.tool_calls] == [
        (call.id, json.loads(call.arguments)) for call in renumbered
    ]
    assert (read.content or "").strip(" \t\r\n") == content.strip(" \t\r\n")
