"""However a server split a text, the message is what the text says."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from k2compat.toolcalls import ReasoningMode, SplitReader, StreamParser, parse
from k2compat.toolcalls.markers import MARKERS
from tests.support.model_output import model_outputs
from tests.toolcalls.split.shapes import deltas, read, shapes, what_is_said
from tests.toolcalls.transcripts import cut, merged

MODES: st.SearchStrategy[ReasoningMode] = st.sampled_from(["off", "tagged", "prefilled"])
SHAPES = (
    *("raw", "native", "native and raw", "leaked in reasoning", "split", "split and native"),
    *("begin left", "half an id left", "header left", "header and marker left"),
    *("section and begin left", "section left"),
)


@given(text=model_outputs(), reasoning=MODES, shape=st.sampled_from(SHAPES), data=st.data())
def test_the_split_does_not_matter(
    text: str, reasoning: ReasoningMode, shape: str, data: st.DataObject
) -> None:
    message = parse(text, reasoning=reasoning)
    made = shapes(text, {"reasoning": reasoning}, message)
    assume(shape in made)
    size = data.draw(st.integers(1, 40))
    reading = read(
        deltas(made[shape], size),
        made[shape].finish_reason,
        reasoning=reasoning,
    )
    assert what_is_said(reading.message) == what_is_said(message)


@given(text=model_outputs(), reasoning=MODES, size=st.integers(1, 40))
def test_raw_text_gives_the_parser_s_events(text: str, reasoning: ReasoningMode, size: int) -> None:
    parser, reader = StreamParser(reasoning=reasoning), SplitReader(reasoning=reasoning)
    by_parser = [event for piece in cut(text, size) for event in parser.feed(piece)]
    by_reader = [event for piece in cut(text, size) for event in reader.feed(piece)]
    assert merged(by_parser + parser.finish()) == merged(by_reader + reader.finish("stop"))
    assert reader.message == parser.message


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**9),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from([*MARKERS, "functions.f:0", "f", '{"a": 1}', "{", "call_1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "index", "function", "name", "arguments", "type", "text"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "index": st.one_of(st.integers(0, 3), JSON),
            "id": st.one_of(st.sampled_from(["a", "b", "functions.f:0"]), JSON),
            "function": st.one_of(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "name": st.one_of(st.sampled_from(["f", "g"]), JSON),
                        "arguments": st.one_of(st.sampled_from(["{}", '{"a"', ": 1}"]), JSON),
                    },
                ),
                JSON,
            ),
        },
    ),
    max_size=4,
)


@given(
    pieces=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "content": st.one_of(model_outputs(), JSON),
                "reasoning": st.one_of(model_outputs(), JSON),
                "tool_calls": st.one_of(CALLS, JSON),
                "token_ids": st.one_of(st.lists(st.integers(0, 20), max_size=4), JSON),
            },
        ),
        max_size=6,
    ),
    reasoning=MODES,
    finish_reason=st.one_of(st.sampled_from(["stop", "length", "tool_calls", None]), JSON),
)
def test_nothing_that_a_server_sends_raises(
    pieces: list[dict[str, Any]], reasoning: ReasoningMode, finish_reason: object
) -> None:
    reader = SplitReader(reasoning=reasoning, marker_ids=dict(enumerate(MARKERS)))
    events = [event for piece in pieces for event in reader.feed(**piece)]
    events += reader.finish(finish_reason)
    assert what_events_say(events) == [
        (index, call.id, call.name, call.arguments, call.complete)
        for index, call in enumerate(reader.message.tool_calls)
    ]
    ids = [call.id for call in reader.message.tool_calls]
    assert len(ids) == len(set(ids))


def what_events_say(events: list[Any]) -> list[tuple[Any, ...]]:
    """The calls put together from the events; the indices are dense and each call ends once."""
    calls: list[list[Any]] = []
    for event in events:
        match type(event).__name__:
            case "CallStart":
                assert event.index == len(calls)
                calls.append([event.index, event.id, event.name, "", None])
            case "ArgumentsDelta":
                assert calls[event.index][4] is None
                calls[event.index][3] += event.text
            case "CallEnd":
                assert calls[event.index][4] is None
                calls[event.index][4] = event.complete
    return [tuple(call) for call in calls]
