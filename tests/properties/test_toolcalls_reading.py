"""The parser reads as docs/format.md says, word by word."""

from typing import Any

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from k2compat.toolcalls import Event, Problem
from tests.properties.test_toolcalls_laws import (
    ARGUMENT_TEXTS,
    ARGUMENTS,
    ARRAYS,
    OPTIONS,
    PIECES,
    TEXTS,
)
from tests.support.amount import examples
from tests.toolcalls.slow_forced import NotReadHereError, SlowForced
from tests.toolcalls.slow_reading import SlowReading
from tests.toolcalls.transcripts import Reading, at_markers, merged, read, read_tokens


def said(reading: Reading) -> list[Event]:
    return merged(event for event in reading.events if not isinstance(event, Problem))


def in_order(problems: list[Problem] | tuple[Problem, ...]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.at, problem.code, problem.text))


@settings(max_examples=examples(500), deadline=None)
@given(TEXTS, OPTIONS)
def test_the_slow_reading_agrees(text: str, options: dict[str, Any]) -> None:
    slow, reading = SlowReading(text, **options), read([text], **options)
    assert said(reading) == merged(slow.events)
    assert in_order(reading.message.problems) == in_order(slow.problems)
    assert reading.message.finish_reason == slow.finish_reason


@settings(max_examples=examples(400), deadline=None)
@given(ARGUMENT_TEXTS)
def test_the_slow_reading_agrees_on_arguments(text: str) -> None:
    slow, reading = SlowReading(text), read([text])
    assert said(reading) == merged(slow.events)
    assert in_order(reading.message.problems) == in_order(slow.problems)
    assert reading.message.finish_reason == slow.finish_reason


@settings(max_examples=examples(200), deadline=None)
@given(TEXTS, OPTIONS)
def test_the_slow_reading_agrees_on_token_ids(text: str, options: dict[str, Any]) -> None:
    slow = SlowReading(text, certain=True, **options)
    reading = read_tokens(at_markers(text, reasoning=options["reasoning"] != "off"), **options)
    assert said(reading) == merged(slow.events)
    assert in_order(reading.message.problems) == in_order(slow.problems)
    assert reading.message.finish_reason == slow.finish_reason


@settings(max_examples=examples(500), deadline=None)
@given(
    st.lists(ARRAYS | PIECES | st.sampled_from(ARGUMENTS), max_size=5).map("".join),
    OPTIONS,
    st.sampled_from([{"form": "calls"}, {"form": "arguments", "name": "search"}]),
    st.integers(0, 300),
)
def test_the_slow_reading_agrees_on_forced_forms(
    text: str, options: dict[str, Any], form: dict[str, Any], length: int
) -> None:
    text = text[:length]
    try:
        slow = SlowForced(text, **options, **form)
    except NotReadHereError:
        reject()
    reading = read([text], **options, **form)
    assert said(reading) == merged(slow.events)
    assert in_order(reading.message.problems) == in_order(slow.problems)
    assert reading.message.finish_reason == slow.finish_reason
