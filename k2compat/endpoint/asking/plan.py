"""The requests of a check, in the order in which they are sent."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.asking.wanted import (
    CUT,
    EMPTY,
    LARGE,
    NESTED,
    PARIS,
    ROME,
    TOOLS,
    TWO,
    UNICODE,
    Json,
    WantedCall,
    noted_tools,
    order_of,
)

FIRST: Final = "plain.whole"
"""The request that shows whether the endpoint answers at all."""

# A model that thinks writes its thoughts first, and they count.
_CALL_TOKENS: Final = 2048
_LARGE_TOKENS: Final = 6144
_TEXT_TOKENS: Final = 512
CUT_TOKENS: Final = 24
"""Fewer than the shortest answer to the request "cut" has."""

_READY: Final = "Reply with the single word: ready"
_QUESTION: Final = "Which number is larger, 17 or 71? Reply with the number alone."
_SYSTEM: Final = {"role": "system", "content": "You are a careful assistant."}
_NATIVE_ID: Final = "functions.get_weather:0"
_FOREIGN_ID: Final = "call_9f86d081884c7d659a2feaa0c55ad015"
_THOUGHT: Final = "The user wants to know about Paris, so the weather tool is the one to ask."
_REPEATS: Final = 5
MARKERS_EACH: Final = _REPEATS
"""How often a marker's text is repeated in the requests that count its tokens."""


def default_plan() -> tuple[Request, ...]:
    """The requests of a plain run: 39 and the list of models."""
    return (*_plain(), *_calls(), *_turns(), *_thinking(), *_limits(), *_choice(), *_counts())


def plan(*, deep: bool = False, schemas: bool = False) -> tuple[Request, ...]:
    """The requests of a run.

    Args:
        deep: more cases, and each one whole and streamed.
        schemas: a forced call for each of the 60 schemas, whole and streamed.
    """
    from k2compat.endpoint.asking.deep import deep_plan
    from k2compat.endpoint.asking.schemas import schema_plan

    return (
        *default_plan(),
        *(deep_plan() if deep else ()),
        *(schema_plan() if schemas else ()),
    )


def user(content: Any) -> Json:
    """A user's message."""
    return {"role": "user", "content": content}


def call_of(call_id: str, wanted: WantedCall = PARIS) -> Json:
    """A call as a history holds it."""
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
    max_tokens: int = _CALL_TOKENS,
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


def _plain() -> Iterator[Request]:
    body = body_of([user(_READY)], _TEXT_TOKENS)
    yield from whole_and_stream("plain", "a text answer", body)
    parts = [{"type": "text", "text": _READY}]
    yield Request(
        name="plain-list",
        purpose="content as a list of parts has the prompt tokens of the same string",
        body=body_of([user(parts)], 1),
    )


def _calls() -> Iterator[Request]:
    yield from calls_case("one", "one call", PARIS)
    yield from calls_case("two", "two calls in one answer", *TWO)
    yield from calls_case("nested", "objects, lists, numbers, true and null", NESTED)
    yield from calls_case("empty", "a call without arguments", EMPTY)
    yield from calls_case("unicode", "Chinese text, emoji and escapes", UNICODE)
    yield from calls_case(
        "large",
        "arguments of more than 8 kB",
        LARGE,
        max_tokens=_LARGE_TOKENS,
        forms=("stream",),
    )


def history(call_id: str, content: Any = "", **fields: Any) -> list[Json]:
    """A conversation with one call and its result."""
    return [
        _SYSTEM,
        user("What is the weather in Paris?"),
        {"role": "assistant", "content": content, "tool_calls": [call_of(call_id)], **fields},
        {"role": "tool", "tool_call_id": call_id, "content": "Sunny, 21 degrees."},
    ]


def _turns() -> Iterator[Request]:
    yield from calls_case(
        "next", "the second call's id counts on", ROME, before=history(_NATIVE_ID), calls_before=1
    )
    yield from calls_case(
        "foreign",
        "five messages with a foreign call id: the model still acts",
        ROME,
        before=history(_FOREIGN_ID),
        calls_before=1,
        forms=("whole",),
    )
    messages = [*history(_NATIVE_ID, content=None), user(order_of(ROME))]
    yield Request(
        name="next-null",
        purpose="content null beside calls has the prompt tokens of an empty string",
        body=body_of(messages, 1, tools=list(TOOLS)),
    )


def _thinking() -> Iterator[Request]:
    for name, thought, purpose in (
        ("thought-empty", "", "an empty thought: the measure for the two next ones"),
        ("thought-null", None, "a thought that is null is not printed as None"),
        ("thought-kept", _THOUGHT, "a thought in an open tool loop reaches the prompt"),
    ):
        messages = history(_NATIVE_ID, reasoning_content=thought)
        body = body_of(messages, 1, tools=list(TOOLS))
        yield Request(name=name, purpose=purpose, body=body, calls_before=1)
    for switch, form in ((True, "stream"), (False, "whole")):
        word = "on" if switch else "off"
        fields = {"chat_template_kwargs": {"thinking": switch}}
        body = body_of([user(_QUESTION)], _CALL_TOKENS, **fields)
        yield from whole_and_stream(
            f"thinking-{word}", f"thinking {word}", body, (form,), is_optional=True
        )


def _limits() -> Iterator[Request]:
    yield from calls_case("cut", "a call that max_tokens cuts", CUT, max_tokens=CUT_TOKENS)


def _choice() -> Iterator[Request]:
    weather = {"type": "function", "function": {"name": "get_weather"}}
    yield from calls_case("none", "tool_choice none: no call", named=(PARIS,), tool_choice="none")
    yield from calls_case("required", "tool_choice required", PARIS, tool_choice="required")
    yield from calls_case(
        "named", "tool_choice with a name", PARIS, named=(EMPTY, PARIS), tool_choice=weather
    )
    yield from calls_case(
        "one-at-a-time",
        "parallel_tool_calls false: one call",
        TWO[0],
        named=TWO,
        forms=("whole",),
        parallel_tool_calls=False,
    )


def _counts() -> Iterator[Request]:
    for name, tools, purpose in (
        ("tools", list(TOOLS), "the tools are in the prompt"),
        ("tools-noted", noted_tools(), "whether the tools are declared in JSON or in TypeScript"),
    ):
        body = body_of([user(_READY)], 1, tools=tools)
        yield Request(name=name, purpose=purpose, body=body)
    yield from marker_requests("user", "<|im_end|>")
    yield from marker_requests("result", "<|tool_calls_section_end|>")
    yield Request(
        name="bad-messages",
        purpose="a wrong request is refused with 4xx",
        body={"messages": "no list", "max_tokens": 1},
        must_be_refused=True,
    )


def marker_requests(place: str, marker: str) -> Iterator[Request]:
    """Two requests that differ in a marker's text and harmless text of the same kind."""
    for name, text in (("marker", marker), ("harmless", harmless_text(marker))):
        content = " ".join([text] * _REPEATS)
        if place == "result":
            messages = history(_NATIVE_ID)
            messages[-1] = {**messages[-1], "content": content}
            body = body_of(messages, 1, tools=list(TOOLS))
        else:
            body = body_of([user(f"What does this text mean? {content}")], 1)
        kind = "a marker's text" if name == "marker" else "harmless text like a marker's"
        where = "a tool result" if place == "result" else "a user message"
        purpose = f"{kind} in {where}: its prompt tokens"
        yield Request(name=f"{name}-{place}", purpose=purpose, body=body)


def harmless_text(marker: str) -> str:
    """Text that is no marker and has as many ordinary tokens, give or take one.

    The words stay, since another word may have several tokens more; only the end differs.
    """
    return f"{marker[:-2]}>|" if marker.endswith("|>") else f"{marker[:-1]})"
