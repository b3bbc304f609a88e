"""The parser over iterables of text, synchronous and asynchronous."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Unpack

from .events import Event
from .options import Options
from .parser import StreamParser


def iter_events(
    chunks: Iterable[str], parser: StreamParser | None = None, **options: Unpack[Options]
) -> Iterator[Event]:
    """Read text from an iterable; the events come as soon as they are certain.

    Args:
        chunks: the pieces of one message's text.
        parser: the parser to use; give one to ask for its `message` later.
        **options: otherwise the options of the parser to make.

    Yields:
        The message's events.

    Raises:
        TypeError: both a parser and options are given.
        ValueError, RuntimeError: as `StreamParser` raises them.
    """
    parser = _parser(parser, options)
    for chunk in chunks:
        yield from parser.feed(chunk)
    yield from parser.finish()


async def aiter_events(
    chunks: AsyncIterable[str], parser: StreamParser | None = None, **options: Unpack[Options]
) -> AsyncIterator[Event]:
    """Read text from an asynchronous iterable; else as `iter_events`.

    Args:
        chunks: the pieces of one message's text.
        parser: the parser to use; give one to ask for its `message` later.
        **options: otherwise the options of the parser to make.

    Yields:
        The message's events.

    Raises:
        TypeError: both a parser and options are given.
        ValueError, RuntimeError: as `StreamParser` raises them.
    """
    parser = _parser(parser, options)
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
    for event in parser.finish():
        yield event


def _parser(parser: StreamParser | None, options: Options) -> StreamParser:
    if parser is None:
        return StreamParser(**options)
    if options:
        raise TypeError("give a parser or options for a new one, not both")
    return parser
