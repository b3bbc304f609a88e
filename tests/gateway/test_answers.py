"""Events of a choice are written into one frame; it is the chunk that would be written for each."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k2compat.gateway.answers import AnswerHead, StreamedAnswer
from k2compat.gateway.reading import Piece
from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart, Content, Event, Reasoning

TEXTS = st.sampled_from(["a", " ", '"delta":{}', "天", "\ud800", "\n", "\\"]) | st.text(max_size=3)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    TEXTS.map(Content),
    TEXTS.map(Reasoning),
    st.builds(CallStart, st.just(0), st.just("functions.f:0"), st.just("f")),
    st.builds(ArgumentsDelta, st.just(0), TEXTS),
    st.builds(CallEnd, st.just(0), st.booleans()),
)
EXTRAS: st.SearchStrategy[Any] = st.dictionaries(TEXTS, TEXTS | st.just({"delta": {}}), max_size=1)
PIECES = st.builds(
    Piece, st.integers(0, 1), st.lists(EVENTS, max_size=3), EXTRAS, st.just({}), st.none()
)


def values_in(written: bytes) -> list[Any]:
    assert written.endswith(b"\n\n") or not written
    return [json.loads(event.removeprefix(b"data: ")) for event in written.split(b"\n\n")[:-1]]


@given(st.lists(PIECES, max_size=6), TEXTS, EXTRAS)
def test_a_frame_and_its_delta_are_the_chunk(pieces: list[Piece], text: str, extras: Any) -> None:
    head = AnswerHead(text, text, 7, extras)
    framed, whole = (StreamedAnswer(head, "both") for _ in range(2))
    for piece in pieces:
        assert values_in(framed.piece(piece)) == whole.chunks(piece)
