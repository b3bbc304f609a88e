"""The requests of a check, in the order in which they are sent."""

from collections.abc import Iterator
from typing import Final

from k2compat.endpoint.asking.build import (
    CALL_TOKENS,
    LARGE_TOKENS,
    NATIVE_ID,
    body_of,
    calls_case,
    history,
    marker_requests,
    user,
    whole_and_stream,
)
from k2compat.endpoint.asking.deep import deep_plan
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.asking.schemas import schema_plan
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
    noted_tools,
    order_of,
)

FIRST: Final = "plain.whole"
"""The request that shows whether the endpoint answers at all."""

_TEXT_TOKENS: Final = 512
CUT_TOKENS: Final = 24
"""Fewer than the shortest answer to the request "cut" has."""

_READY: Final = "Reply with the single word: ready"
_QUESTION: Final = "Which number is larger, 17 or 71? Reply with the number alone."
_FOREIGN_ID: Final = "call_9f86d081884c7d659a2feaa0c55ad015"
_THOUGHT: Final = "The user wants to know about Paris, so the weather tool is the one to ask."


def default_plan() -> tuple[Request, ...]:
    """The requests of a plain run: 39 and the list of models."""
    return (*_plain(), *_calls(), *_turns(), *_thinking(), *_limits(), *_choice(), *_counts())


def plan(*, deep: bool = False, schemas: bool = False) -> tuple[Request, ...]:
    """The requests of a run.

    Args:
        deep: more cases.
        schemas: a forced call for each of the 60 schemas, whole and streamed.
    """
    return (
        *default_plan(),
        *(deep_plan() if deep else ()),
        *(schema_plan() if schemas else ()),
    )


def _plain() -> Iterator[Request]:
    body = body_of([user(_READY)], _TEXT_TOKENS)
    yield from whole_and_stream("plain", "a text answer", body)
    parts = [{"type": "text", "text": _READY}]
    yield Request(
        name="plain-list",
        purpose="content as a list of parts has as many prompt tokens as the same string",
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
        max_tokens=LARGE_TOKENS,
        forms=("stream",),
    )


def _turns() -> Iterator[Request]:
    yield from calls_case(
        "next", "the second call's id counts on", ROME, before=history(NATIVE_ID), calls_before=1
    )
    yield from calls_case(
        "foreign",
        "five messages with a foreign call id: the model still acts",
        ROME,
        before=history(_FOREIGN_ID),
        calls_before=1,
        forms=("whole",),
    )
    messages = [*history(NATIVE_ID, content=None), user(order_of(ROME))]
    yield Request(
        name="next-null",
        purpose="content null in a turn with calls has as many prompt tokens as an empty string",
        body=body_of(messages, 1, tools=list(TOOLS)),
    )


def _thinking() -> Iterator[Request]:
    for name, thought, purpose in (
        ("thought-empty", "", "an empty thought: the measure for the two next ones"),
        ("thought-null", None, "a thought that is null is not printed as None"),
        ("thought-kept", _THOUGHT, "a thought in an open tool loop reaches the prompt"),
    ):
        messages = history(NATIVE_ID, reasoning_content=thought)
        body = body_of(messages, 1, tools=list(TOOLS))
        yield Request(name=name, purpose=purpose, body=body, calls_before=1)
    for switch, form in ((True, "stream"), (False, "whole")):
        word = "on" if switch else "off"
        fields = {"chat_template_kwargs": {"thinking": switch}}
        body = body_of([user(_QUESTION)], CALL_TOKENS, **fields)
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
        purpose="an invalid request is refused with 4xx",
        body={"messages": "no list", "max_tokens": 1},
        must_be_refused=True,
    )
