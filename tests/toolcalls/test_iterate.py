"""The iterators give what the parser gives."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest

from k2compat.toolcalls import Content, Event, Reasoning, StreamParser, aiter_events, iter_events
from k2compat.toolcalls.options import Options
from tests.toolcalls.transcripts import Transcript, read, transcripts

ALL = [case for case in transcripts() if case.token_ids != "only"]


async def arriving(chunks: list[str]) -> AsyncIterator[str]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def collect(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


@pytest.mark.parametrize("case", ALL[:20], ids=lambda case: case.name)
def test_both_iterators_agree_with_the_parser(case: Transcript) -> None:
    parser, async_parser = StreamParser(**case.options), StreamParser(**case.options)
    events = list(iter_events(case.pieces, parser))
    assert events == asyncio.run(collect(aiter_events(arriving(case.pieces), async_parser)))
    assert parser.message == async_parser.message == case.expected
    assert read(case.pieces, **case.options).message == parser.message


def test_events_come_as_the_chunks_do() -> None:
    taken: list[str] = []

    def chunks() -> Iterator[str]:
        for chunk in ("a", "b"):
            taken.append(chunk)
            yield chunk

    events = iter_events(chunks())
    assert next(events) == Content("a")
    assert taken == ["a"]


def test_options_make_a_parser() -> None:
    assert list(iter_events(["a"], reasoning="prefilled")) == [Reasoning("a")]


def test_parser_and_options_exclude_each_other() -> None:
    with pytest.raises(TypeError, match=r"not both$"):
        next(iter_events(["a"], StreamParser(), reasoning="tagged"))


def test_the_options_are_the_parser_s() -> None:
    parameters = inspect.signature(StreamParser).parameters
    assert parameters.keys() == Options.__annotations__.keys()
    for name, parameter in parameters.items():
        assert parameter.annotation == inspect.get_annotations(Options).get(name), name
