"""Server-sent events: the standard's grammar, any cut, limits."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.gateway.sse import EventReader, EventTooLargeError, ServerSentEvent


def read(pieces: Iterable[bytes], limit: int = 1 << 20) -> list[ServerSentEvent]:
    reader = EventReader(limit)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish()


def data(*texts: bytes) -> list[ServerSentEvent]:
    return [ServerSentEvent(b"", text) for text in texts]


STREAM = (
    b'data: {"a": 1}\n\n'
    b": a comment\n\n"
    b"event: error\ndata: {}\n\n"
    b"id: 7\nretry: 10\ndata:no space\ndata:  two lines\n\n"
    b"data\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    ServerSentEvent(b"", b'{"a": 1}'),
    ServerSentEvent(b"error", b"{}"),
    ServerSentEvent(b"", b"no space\n two lines"),
    ServerSentEvent(b"", b""),
    ServerSentEvent(b"", b"[DONE]"),
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_line_ends_cuts_and_a_byte_order_mark_make_no_difference(
    end: bytes, size: int, begin: bytes
) -> None:
    stream = begin + STREAM.replace(b"\n", end)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert read(pieces) == EVENTS


@given(st.lists(st.sampled_from([b"\r", b"\n", b"data: x", b"data: ", b":", b"event:y", b"\0"])))
def test_the_events_depend_on_the_bytes_alone(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    assert read([stream]) == read(pieces) == read([bytes([byte]) for byte in stream])


def test_several_events_in_one_piece() -> None:
    assert read([b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"]) == data(b"1", b"2", b"3")


def test_a_piece_that_only_looks_plain_is_read_by_lines() -> None:
    assert read([b"data: 1\ndata: 2\n\n"]) == data(b"1\n2")
    assert read([b"data: 1\n\n\n\n"]) == data(b"1")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r"])
def test_the_end_of_the_stream_ends_the_last_event(end: bytes) -> None:
    assert read([b"data: 1" + end]) == data(b"1")


def test_a_field_named_error_is_an_error_event() -> None:
    assert read([b'error: {"code": 500}\n\n']) == [ServerSentEvent(b"error", b'{"code": 500}')]


def test_nothing_gives_nothing() -> None:
    assert read([b"", b"\r", b"", b"\n"]) == []


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: ", *[b"x"] * 100],
        [b"data: xxxx\n"] * 20,
        [b"data:\n"] * 100,
        [b": " + b"x" * 100],
    ],
)
def test_an_event_above_the_limit_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(EventTooLargeError, match="larger than 50 bytes"):
        read(pieces, limit=50)


def test_events_up_to_the_limit_pass_however_many_there_are() -> None:
    assert len(read([b"data: " + b"x" * 40 + b"\n\n"] * 1000, limit=50)) == 1000
