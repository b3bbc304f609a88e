"""More requests, for --deep."""

from collections.abc import Iterator
from typing import Final

from k2compat.endpoint.asking.build import (
    LARGE_TOKENS,
    NATIVE_ID,
    body_of,
    call_of,
    calls_case,
    history,
    marker_requests,
    user,
)
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.asking.wanted import (
    EMPTY,
    LARGE,
    NESTED,
    PARIS,
    ROME,
    TOOLS,
    TWO,
    UNICODE,
    WantedCall,
    order_of,
)

_MANY: Final = tuple(
    WantedCall("get_weather", {"city": city})
    for city in ("Bern", "Cairo", "Delhi", "Hanoi", "Kyiv", "Lagos", "Quito", "Seoul")
)
_NUMBERS: Final = WantedCall(
    "create_event",
    {
        "title": "Numbers",
        "when": {"date": "", "hours": [0, -1, 9007199254740991]},
        "fee": 0.1,
    },
)
_QUOTES: Final = WantedCall(
    "write_file", {"path": "a\\b/c d.md", "text": '"\\"\\\\" {"a": [1, 2]} </b> \r\n\u2028'}
)
_MARKERS: Final = (
    ("section", "<|tool_calls_section_begin|>"),
    ("call", "<|tool_call_begin|>"),
    ("system", "<|im_system|>"),
    ("end-of-text", "[EOS]"),
)


def deep_plan() -> tuple[Request, ...]:
    """The requests that --deep adds."""
    return (*_calls(), *_turns(), *_prompts(), *_wrong())


def _calls() -> Iterator[Request]:
    yield from calls_case("many", "eight calls in one answer", *_MANY)
    yield from calls_case("mixed", "calls of four tools", PARIS, EMPTY, UNICODE, NESTED)
    yield from calls_case("numbers", "numbers at the edge of what clients read", _NUMBERS)
    yield from calls_case("quotes", "quotes, backslashes and JSON in a string", _QUOTES)
    yield from calls_case(
        "large-again", "large arguments, whole", LARGE, max_tokens=LARGE_TOKENS, forms=("whole",)
    )
    yield from calls_case(
        "stop", "a call with a stop string in the request", PARIS, stop=["#never-written#"]
    )
    yield from calls_case(
        "thinking-call",
        "a call with thinking on",
        PARIS,
        chat_template_kwargs={"thinking": True},
    )


def _turns() -> Iterator[Request]:
    first = history(NATIVE_ID)
    second = [
        user("And in Oslo?"),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [call_of("functions.get_weather:1", TWO[0])],
        },
        {"role": "tool", "tool_call_id": "functions.get_weather:1", "content": "Rain."},
        {"role": "assistant", "content": "It rains in Oslo."},
    ]
    yield from calls_case(
        "third", "the third call's id counts on", ROME, before=[*first, *second], calls_before=2
    )
    for name, call_id in (
        ("uuid", "2f1c7e7a-6c07-4f0e-9d5e-0f1f6a3f2b11"),
        ("toolu", "toolu_01A09q90qw90lq917835lq9"),
        ("safe", "functions_get_weather_0"),
    ):
        yield from calls_case(
            f"foreign-{name}",
            f"a history with an id of the form {name}: the model still acts",
            ROME,
            before=history(call_id),
            calls_before=1,
            forms=("whole",),
        )


def _prompts() -> Iterator[Request]:
    for place, marker in _MARKERS:
        yield from marker_requests(place, marker)
    parts = [{"type": "text", "text": "Sunny, "}, {"type": "text", "text": "21 degrees."}]
    messages = history(NATIVE_ID)
    messages[-1] = {**messages[-1], "content": parts}
    yield Request(
        name="next-list",
        purpose="a tool result as a list of parts has as many prompt tokens as the same string",
        body=body_of([*messages, user(order_of(ROME))], 1, tools=list(TOOLS)),
    )


def _wrong() -> Iterator[Request]:
    for name, body in (
        ("bad-role", {"messages": [{"content": "no role"}], "max_tokens": 1}),
        ("bad-limit", {"messages": [user("x")], "max_tokens": "many"}),
        ("bad-tools", {"messages": [user("x")], "max_tokens": 1, "tools": "none"}),
    ):
        yield Request(
            name=name,
            purpose="an invalid request is refused with 4xx",
            body=body,
            must_be_refused=True,
        )
