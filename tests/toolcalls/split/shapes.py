"""What servers make of a model's text: the shapes in which one message reaches us."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from k2compat.toolcalls import Message, ReasoningMode, SplitReader, codes, parse
from k2compat.toolcalls.markers import MARKERS, WHITE_SPACE
from tests.toolcalls.transcripts import Reading, cut, merged


class Answer(NamedTuple):
    """A whole answer's fields, and why the server says it ended."""

    content: str | None
    reasoning: str | None
    tool_calls: list[dict[str, Any]]
    finish_reason: str | None
    calls_last: bool = False  # whether a stream has the content before the native calls


def shapes(text: str, options: dict[str, Any], message: Message) -> dict[str, Answer]:
    """The shapes that servers may make of a text; `message` is what the text says."""
    reasoning = options.get("reasoning", "off")
    raw = Answer(text, None, [], "stop")
    made = {"raw": raw}
    # No server reads calls whose markers it dropped.
    stripped = any(problem.code == codes.MARKERS_STRIPPED for problem in message.problems)
    calls = [] if stripped else [native(call) for call in message.tool_calls]
    if not stripped and native_says_the_same(message) and is_text_alone(message, options):
        # An empty field shows that the server reads the reasoning: there is none.
        reasoned = message.reasoning or ("" if reasoning == "prefilled" else None)
        made["native"] = Answer(message.content, reasoned, calls, message.finish_reason, True)
        if calls:
            made |= headers_left(made["native"], message)
    if calls and native_says_the_same(message):
        made["native and raw"] = raw._replace(tool_calls=calls, finish_reason=message.finish_reason)
    inside = thought(text, reasoning)
    if inside is not None:
        before, marker, behind = inside.partition("</think>")
        made["leaked in reasoning"] = Answer(None, inside, [], "stop")
        if marker:
            made["split"] = Answer(behind, before, [], "stop")
            if calls and native_says_the_same(message):
                made["split and native"] = Answer(behind, before, calls, message.finish_reason)
    return made


def headers_left(answer: Answer, message: Message) -> Iterator[tuple[str, Answer]]:
    """The native shape with the beginning of its first call left in the content."""
    header = f"<|tool_call_begin|>{message.tool_calls[0].id}"
    content = answer.content or ""
    for name, left in {
        "begin left": "<|tool_call_begin|>",
        "half an id left": header[: len("<|tool_call_begin|>functions.")],
        "header left": header,
        "header and marker left": f"{header}<|tool_call_argument_begin|>",
        "section and begin left": "<|tool_calls_section_begin|><|tool_call_begin|>",
        "section left": f"<|tool_calls_section_begin|>{header}<|tool_call_argument_begin|>",
    }.items():
        yield name, answer._replace(content=content + left)


def thought(text: str, reasoning: ReasoningMode) -> str | None:
    """The text from the reasoning's first character on; None if it does not begin with it."""
    if reasoning == "prefilled":
        return text
    if reasoning == "tagged" and text.startswith("<think>"):
        return text.removeprefix("<think>")
    return None


def native_says_the_same(message: Message) -> bool:
    """Whether native calls can say the same.

    Blank arguments are `{}` there, unless they are cut; and a marker at their
    very end, in a string that was never closed, is taken for the call's end.
    """
    endings = tuple(MARKERS)
    return all(
        call.arguments.strip(WHITE_SPACE) and not call.arguments.endswith(endings)
        for call in message.tool_calls
    )


def is_text_alone(message: Message, options: dict[str, Any]) -> bool:
    """Whether both texts mean the same where they are alone, before the native calls."""
    # An end of turn is text before a call, which a section begin shows here.
    calls = "<|tool_calls_section_begin|>" if message.tool_calls else ""
    content = parse((message.content or "") + calls, **{**options, "reasoning": "off"})
    reasoning = parse(message.reasoning or "", reasoning="prefilled")
    return (content.content, reasoning.reasoning) == (message.content, message.reasoning)


def native(call: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def deltas(answer: Answer, size: int) -> Iterator[dict[str, Any]]:
    """The answer as a server streams it: native calls before the text that repeats them.

    Where the content is what came before the calls, it is streamed first.
    """
    content = [{"content": piece} for piece in cut(answer.content or "", size)]
    if answer.reasoning is not None:
        for piece in cut(answer.reasoning, size) or [""]:
            yield {"reasoning": piece}
    if answer.calls_last:
        yield from content
    for index, call in enumerate(answer.tool_calls):
        arguments = call["function"]["arguments"]
        head = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        yield {"tool_calls": [head]}
        for piece in cut(arguments, size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    if not answer.calls_last:
        yield from content


def whole(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "tool_calls": answer.tool_calls,
    }


def read(pieces: Iterator[dict[str, Any]], finish_reason: str | None, **options: Any) -> Reading:
    reader = SplitReader(**options)
    events = [event for piece in pieces for event in reader.feed(**piece)]
    events += reader.finish(finish_reason)
    return Reading(merged(events), reader.message)


def what_is_said(message: Message) -> object:
    """The message without what only the raw text shows."""
    calls = [(call.id, call.name, call.arguments, call.complete) for call in message.tool_calls]
    return message.content, message.reasoning, calls, message.finish_reason
