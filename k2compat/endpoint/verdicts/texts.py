"""Text that must not be in an answer: markers, thoughts, calls as text."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from k2compat.endpoint.asking.wanted import WantedCall
from k2compat.endpoint.reading.answer import Answer

_TOOL_MARKER: Final = re.compile(
    r"<\|tool_(?:calls?_section_(?:begin|end)|call_(?:begin|end|argument_begin|argument_end)"
    r"|arguments_begin)\|>"
)
_END_MARKER: Final = re.compile(r"<\|im_end\|>|\[EOS\]|\[EOT\]")
_THINK_MARKER: Final = re.compile(r"</?think>")
_STRIPPED: Final = re.compile(r"functions\.[^\s:{]+:\d+\s*\{")
_KIMI_K3: Final = ("<|open|>", "<|sep|>", "<|close|>")
_DAMAGED: Final = "\ufffd"


def judge_text(answer: Answer) -> None:
    """Find what leaked into the text of one answer."""
    for place, text in (("content", answer.content), ("reasoning", answer.reasoning)):
        found = _TOOL_MARKER.search(text)
        if found:
            words = f"The {place} holds a marker of tool calls."
            answer.observe("markers-leaked", words, actual=_around(text, found.start()))
        found = _END_MARKER.search(text)
        if found:
            words = f"The {place} holds a marker of the turn's end."
            answer.observe("end-marker-leaked", words, actual=_around(text, found.start()))
        found = _STRIPPED.search(text)
        if found and not _TOOL_MARKER.search(text):
            words = f"The {place} holds a call whose markers are gone."
            answer.observe("markers-stripped", words, actual=_around(text, found.start()))
    if all(marker in answer.content for marker in _KIMI_K3):
        words = "The content holds the markup of Kimi-K3."
        answer.observe("other-format", words, actual=answer.content)
    _judge_thoughts(answer)
    _judge_calls_in_text(answer)
    _judge_damage(answer)


def _judge_thoughts(answer: Answer) -> None:
    found = _THINK_MARKER.search(answer.content)
    if found:
        words = "The content holds a marker of thoughts."
        actual = _around(answer.content, found.start())
        answer.observe("thoughts-in-content", words, actual=actual)
    # With thinking on, a weak model may end before it closes its thought.
    is_all = answer.reasoning and not answer.content and not answer.calls
    if is_all and answer.request.thinking is not True and answer.finish_reason == "stop":
        words = "The whole answer is in the reasoning, and the content is empty."
        answer.observe("content-in-reasoning", words, actual=answer.reasoning)


def _judge_calls_in_text(answer: Answer) -> None:
    """Find a call written as JSON in the content; after a forced choice it may lack the name."""
    request, names = answer.request, answer.request.tools.keys()
    if answer.calls or not names:
        return
    value = _json_in(answer.content)
    is_call = any(_names_a_tool(item, names) for item in _items(value))
    is_bare = request.forced_tool is not None and _is_one_of(value, request.wants)
    if is_call or is_bare:
        is_forced = request.forced_tool is not None or request.body.get("tool_choice") == "required"
        code = "forced-call-as-text" if is_forced else "call-as-json-text"
        answer.observe(code, "The content holds a call as JSON text.", actual=answer.content)


def _judge_damage(answer: Answer) -> None:
    arguments = [call.arguments for call in answer.calls if isinstance(call.arguments, str)]
    for place, text in (("content", answer.content), ("arguments", "".join(arguments))):
        if _DAMAGED in text:
            words = f"The {place} hold U+FFFD in place of characters."
            at = text.index(_DAMAGED)
            answer.observe("characters-damaged", words, actual=_around(text, at))


def _json_in(content: str) -> Any:
    """The JSON value of a content, without a code fence or a tag around it."""
    begin = min((at for at in map(content.find, "{[") if at >= 0), default=-1)
    if begin < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(content, begin)[0]
    except (ValueError, RecursionError):
        return None


def _items(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else [value]


def _names_a_tool(value: Any, names: Collection[str]) -> bool:
    if not isinstance(value, dict):
        return False
    function = value.get("function")
    inner = function if isinstance(function, dict) else value
    has_arguments = "arguments" in inner or "parameters" in inner
    return has_arguments and isinstance(inner.get("name"), str) and inner["name"] in names


def _is_one_of(value: Any, wants: tuple[WantedCall, ...]) -> bool:
    return any(value == wanted.arguments for wanted in wants)


def _around(text: str, at: int) -> str:
    return text[max(0, at - 30) : at + 90]
