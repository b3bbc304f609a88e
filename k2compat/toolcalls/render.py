"""Writes calls, messages and conversations as the model's text: the inverse of `parse`.

For tests, for training data, and for engines without a chat template. Where
the model's folder has a chat template, that template is the authority on the
prompt: variants of the family differ in what they put before the conversation,
and in which turns keep their reasoning.

What cannot be written so that it is read back as it was meant raises
`UnrepresentableError`: content that holds a marker, an id that is none. This is
our caller's text, not the model's, and a prompt in which a user's text acts as
a marker would be worse. Only arguments need no refusal: in a JSON string a
marker can be written with an escape, and the value is the same.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from .history import ChatMessage, native_history
from .json_prefix import is_object
from .markers import MARKERS, TOOL_MARKERS, WHITE_SPACE, marker_set
from .message import Message, ToolCall
from .options import ReasoningMode
from .parser import parse
from .tools import Tools

_TURN_MARKERS: Final = {"user": "<|im_user|>", "assistant": "<|im_assistant|>"}
_OTHER_TURN: Final = "<|im_system|>"
_PROMPT_MARKERS: Final = ("[BOS]", "<|im_middle|>", _OTHER_TURN, *_TURN_MARKERS.values())


@cache
def _in_prompt(reasoning: ReasoningMode) -> re.Pattern[str]:
    """Matches what a tokenizer makes a token of, and so acts as a marker in a prompt."""
    markers = TOOL_MARKERS if reasoning == "off" else MARKERS
    return re.compile("|".join(map(re.escape, (*markers, *_PROMPT_MARKERS))))


class UnrepresentableError(ValueError):
    """A text that the model's format cannot hold: it would be read as something else."""


class _Call(NamedTuple):
    id: str
    name: str
    arguments: str


def render_calls(calls: Iterable[ToolCall]) -> str:
    """Write calls as the section the model would have written.

    Blank arguments are written as `{}`, which is how they are read. Markers in
    a JSON string of the arguments are written as they are where that is read
    back, else with an escape: the text differs then, the value does not.

    Args:
        calls: the calls; `complete` and `raw_id` do not matter.

    Returns:
        The text; none for no calls.

    Raises:
        UnrepresentableError: an id is not `functions.NAME:IDX` with the call's
            name, two calls have the same id, or arguments that are no whole JSON
            object hold a marker. Any other exception is a bug.
    """
    plain = [_Call(call.id, call.name, call.arguments) for call in calls]
    text = _section(plain)
    if _misread(text, plain) is None:
        return text
    return _section_without_markers(plain)


def render_message(message: Message, reasoning: ReasoningMode = "off") -> str:
    """Write a message as the model would have written it.

    Args:
        message: the message. Its problems are not written.
        reasoning: as the parser will read it. With `"tagged"` the text begins
            with `<think>`, with `"prefilled"` inside it, and with `"off"` the
            reasoning is left out.

    Returns:
        The text, without an end of turn.

    Raises:
        UnrepresentableError: as `render_calls`; or content or reasoning hold a
            marker. Any other exception is a bug.
    """
    turn = _Turn(message.content or "", message.reasoning or "", render_calls(message.tool_calls))
    text = _written_turn(turn, reasoning, marker_set(reasoning=reasoning != "off").pattern)
    return text.removeprefix("<think>") if reasoning == "prefilled" else text


def render_conversation(
    messages: Sequence[ChatMessage],
    tools: Tools | None = None,
    reasoning: ReasoningMode = "off",
    *,
    add_generation_prompt: bool = True,
) -> str:
    """Write a whole conversation as a prompt.

    Ids are made native first, as `native_history` does. Markers in arguments
    are always written with an escape, since a tokenizer would make tokens of
    them.

    Args:
        messages: the request's messages, as OpenAI's chat API has them.
        tools: the request's tools.
        reasoning: with `"tagged"` and `"prefilled"` each assistant turn begins
            with `<think>`, its `reasoning_content` and `</think>`; with
            `"prefilled"` the prompt ends with `<think>`.
        add_generation_prompt: whether the prompt ends with the beginning of
            the answer. Without it the model tends to go on for the user.

    Returns:
        The prompt.

    Raises:
        HistoryError: as `native_history`.
        UnrepresentableError: as `render_message`; or a tool declaration, a
            name or an id holds a marker, or a message has content that is no
            text. Any other exception is a bug.
    """
    markers = _in_prompt(reasoning)
    pieces = []
    if tools:
        declared = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
        pieces.append(_turn(_OTHER_TURN, "tool_declare", _free(declared, "tools", markers)))
    for position, message in enumerate(native_history(messages).messages):
        try:
            pieces.append(_written(message, reasoning))
        except UnrepresentableError as error:
            raise UnrepresentableError(f"messages[{position}]: {error}") from None
    if add_generation_prompt:
        pieces.append("<|im_assistant|>assistant<|im_middle|>")
        pieces.append("<think>" if reasoning == "prefilled" else "")
    return "".join(pieces)


class _Turn(NamedTuple):
    """The text of an assistant's turn; the calls are written already."""

    content: str
    reasoning: str
    calls: str


def _written(message: ChatMessage, reasoning: ReasoningMode) -> str:
    markers = _in_prompt(reasoning)
    role, content = str(message.get("role")), message["content"]
    if not isinstance(content, str):
        raise UnrepresentableError(
            "only the model's chat template can write content that is no text"
        )
    if role == "assistant":
        thought = message.get("reasoning_content") or ""
        calls = [_call_of(call) for call in message.get("tool_calls") or ()]
        turn = _Turn(content, thought, _section_without_markers(calls))
        text = _written_turn(turn, reasoning, markers)
    elif role == "tool":
        call_id = _free(str(message.get("tool_call_id", "")), "the tool_call_id", markers)
        text = f"## Return of {call_id}\n{_free(content, 'the content', markers)}"
    else:
        text = _free(content, "the content", markers)
    name = _free(str(message.get("name") or role), "the name", markers)
    return _turn(_TURN_MARKERS.get(role, _OTHER_TURN), name, text)


def _turn(marker: str, name: str, text: str) -> str:
    return f"{marker}{name}<|im_middle|>{text}<|im_end|>"


def _written_turn(turn: _Turn, reasoning: ReasoningMode, markers: re.Pattern[str]) -> str:
    content = _free(turn.content, "the content", markers)
    if reasoning == "off":
        return content + turn.calls
    thought = _free(turn.reasoning, "the reasoning", markers)
    return f"<think>{thought}</think>{content}{turn.calls}"


def _free(text: str, what: str, markers: re.Pattern[str]) -> str:
    """The text, known to be free of markers."""
    if match := markers.search(text):
        raise UnrepresentableError(f"{what} holds the marker {match[0]}, which it cannot")
    return text


def _call_of(call: Mapping[str, Any]) -> _Call:
    return _Call(call["id"], call["function"]["name"], call["function"]["arguments"])


def _section(calls: Iterable[_Call]) -> str:
    written = "".join(
        f"<|tool_call_begin|>{call.id}<|tool_call_argument_begin|>"
        f"{call.arguments if call.arguments.strip(WHITE_SPACE) else '{}'}<|tool_call_end|>"
        for call in calls
    )
    return written and f"<|tool_calls_section_begin|>{written}<|tool_calls_section_end|>"


def _section_without_markers(calls: Sequence[_Call]) -> str:
    free = [call._replace(arguments=_escaped(call)) for call in calls]
    text = _section(free)
    wrong = _misread(text, free)
    if wrong is not None:
        raise UnrepresentableError(
            f"the call {wrong.id!r} of {wrong.name!r} would be read as something else: "
            f"an id must be functions.NAME:IDX, and used once"
        )
    return text


def _escaped(call: _Call) -> str:
    markers = _in_prompt("tagged")
    if not markers.search(call.arguments):
        return call.arguments
    # In one whole JSON object a marker can only stand in a string.
    if not is_object(call.arguments):
        raise UnrepresentableError(
            f"the arguments of the call {call.id!r} hold a marker, and are no whole JSON object"
        )
    return markers.sub(lambda match: f"\\u{ord(match[0][0]):04x}{match[0][1:]}", call.arguments)


def _misread(text: str, calls: Sequence[_Call]) -> _Call | None:
    """The first call that is not read back as it was meant."""
    # Declared, so that a name of digits alone is read as a name.
    tools = [{"function": {"name": call.name}} for call in calls]
    read = [_meant(call) for call in parse(text, tools).tool_calls]
    misread = (call for at, call in enumerate(calls) if read[at : at + 1] != [_meant(call)])
    return next(misread, None)


def _meant(call: ToolCall | _Call) -> _Call:
    return _Call(call.id, call.name, call.arguments.strip(WHITE_SPACE) or "{}")
