"""Builders of requests."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.asking.wanted import PARIS, TOOLS, Json, WantedCall, order_of

MARKERS_EACH: Final = 5
"""How often a marker's text is repeated in the requests that count its tokens."""

# A model that thinks writes its thoughts first, and max_tokens includes them.
CALL_TOKENS: Final = 2048
LARGE_TOKENS: Final = 6144

NATIVE_ID: Final = "functions.get_weather:0"
_SYSTEM: Final = {"role": "system", "content": "You are a careful assistant."}


def user(content: Any) -> Json:
    """A user's message."""
    return {"role": "user", "content": content}


def call_of(call_id: str, wanted: WantedCall = PARIS) -> Json:
    """A call in the form of a history."""
    function = {"name": wanted.name, "arguments": wanted.arguments_text}
    return {"id": call_id, "type": "function", "function": function}


def body_of(messages: Iterable[Json], max_tokens: int, **fields: Any) -> Json:
    """A body at temperature 0."""
    return {"messages": list(messages), "temperature": 0, "max_tokens": max_tokens, **fields}


def whole_and_stream(
    case: str, purpose: str, body: Json, forms: tuple[str, ...] = ("whole", "stream"), **more: Any
) -> Iterator[Request]:
    """One case in both forms."""
    for form in forms:
        name = f"{case}.{form}"
        yield Request(name=name, purpose=purpose, body=_in_form(body, form), **more)


def _in_form(body: Json, form: str) -> Json:
    if form == "whole":
        return body
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def calls_case(
    case: str,
    purpose: str,
    *wanted: WantedCall,
    before: Iterable[Json] = (),
    max_tokens: int = CALL_TOKENS,
    forms: tuple[str, ...] = ("whole", "stream"),
    named: tuple[WantedCall, ...] = (),
    calls_before: int = 0,
    **fields: Any,
) -> Iterator[Request]:
    """A case that asks for calls.

    Args:
        case: its name.
        purpose: what it shows.
        wanted: the calls that the answer should hold.
        before: the messages before the last one.
        max_tokens: the limit.
        forms: whole, stream or both.
        named: the calls that the message names, where they are not the wanted ones.
        calls_before: how many calls the messages before hold.
        fields: more fields of the body.
    """
    messages = [*before, user(order_of(*(named or wanted)))]
    body = body_of(messages, max_tokens, **{"tools": list(TOOLS), **fields})
    yield from whole_and_stream(case, purpose, body, forms, wants=wanted, calls_before=calls_before)


def history(call_id: str, content: Any = "", **fields: Any) -> list[Json]:
    """A conversation with one call and its result."""
    return [
        _SYSTEM,
        user("What is the weather in Paris?"),
        {"role": "assistant", "content": content, "tool_calls": [call_of(call_id)], **fields},
        {"role": "tool", "tool_call_id": call_id, "content": "Sunny, 21 degrees."},
    ]


def marker_requests(place: str, marker: str) -> Iterator[Request]:
    """Two requests that differ in a marker's text and harmless text of the same kind."""
    for name, text in (("marker", marker), ("harmless", harmless_text(marker))):
        content = " ".join([text] * MARKERS_EACH)
        if place == "result":
            messages = history(NATIVE_ID)
            messages[-1] = {**messages[-1], "content": content}
            body = body_of(messages, 1, tools=list(TOOLS))
        else:
            body = body_of([user(f"What does this text mean? {content}")], 1)
        kind = "a marker's text" if name == "marker" else "harmless text like a marker's"
        where = "a tool result" if place == "result" else "a user message"
        purpose = f"{kind} in {where}: its prompt tokens"
        yield Request(name=f"{name}-{place}", purpose=purpose, body=body)


def harmless_text(marker: str) -> str:
    """Text that is no marker and has the same number of ordinary tokens, or one more or less.

    Only the end differs from the marker: another word could have several tokens more.
    """
    return f"{marker[:-2]}>|" if marker.endswith("|>") else f"{marker[:-1]})"
