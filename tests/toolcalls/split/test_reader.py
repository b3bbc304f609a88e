"""Answers of servers, read back into the message that the model wrote."""

from typing import Any

import pytest

from k2compat.toolcalls import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Problem,
    Reasoning,
    SplitReader,
    parse,
    read_answer,
)
from tests.toolcalls.split.shapes import (
    deltas,
    native,
    read,
    shapes,
    what_is_said,
    whole,
)
from tests.toolcalls.transcripts import (
    MARKER_IDS,
    TOKEN_IDS,
    Transcript,
    call,
    section,
    transcripts,
)

WEATHER = call("functions.weather:0", {"city": "Paris"})
NATIVE: dict[str, Any] = {
    "id": "functions.weather:0",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
}
TOOLS = [{"type": "function", "function": {"name": "weather"}}]


def codes(reader: SplitReader) -> list[str]:
    return [problem.code for problem in reader.message.problems]


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    "case",
    [case for case in transcripts() if case.token_ids != "only"],
    ids=lambda case: case.name,
)
def test_every_transcript_in_every_shape(case: Transcript) -> None:
    message = parse(case.text, **case.options)
    for answer in shapes(case.text, case.options, message).values():
        for size in (1, 7, 1000):
            pieces = deltas(answer, size)
            reading = read(pieces, answer.finish_reason, **case.options)
            assert what_is_said(reading.message) == what_is_said(message)
        reading = read(whole(answer), answer.finish_reason, **case.options)
        assert what_is_said(reading.message) == what_is_said(message)


class TestReasoning:
    def test_a_field_of_its_own_is_reasoning_whatever_the_mode(self) -> None:
        reader = SplitReader(reasoning="off")
        assert reader.feed(reasoning="Hm.") == [Reasoning("Hm.")]
        assert reader.feed(content="Hi") == [Content("Hi")]

    def test_content_may_come_before_it(self) -> None:
        reader = SplitReader(reasoning="off")
        events = reader.feed(content="<think>\n") + reader.feed(reasoning="Hm.")
        events += reader.feed(content="Hi")
        assert events == [Content("<think>\n"), Reasoning("Hm."), Content("Hi")]

    def test_a_call_that_leaked_into_it_counts(self) -> None:
        reader = SplitReader(reasoning="tagged")
        reader.feed(reasoning=f"Let me look.{section(WEATHER)}")
        reader.finish("stop")
        assert reader.message.reasoning == "Let me look."
        assert reader.message.finish_reason == "tool_calls"

    def test_an_empty_field_shows_that_there_was_none(self) -> None:
        split, raw = SplitReader(reasoning="prefilled"), SplitReader(reasoning="prefilled")
        assert split.feed(content="Hi", reasoning="") == [Content("Hi")]
        assert raw.feed(content="Hi") == [Reasoning("Hi")]

    def test_an_end_that_the_server_left_in_it_is_not_doubled(self) -> None:
        reader = SplitReader(reasoning="tagged")
        reader.feed(reasoning="Hm.</think>It")
        reader.feed(reasoning=" is")
        reader.feed(content=" warm.")
        reader.finish("stop")
        assert (reader.message.reasoning, reader.message.content) == ("Hm.", "It is warm.")
        assert codes(reader) == []


class TestRepeatedCalls:
    def test_a_call_that_came_both_ways_counts_once(self) -> None:
        reader = SplitReader()
        events = reader.feed(content=section(WEATHER), tool_calls=[NATIVE])
        events += reader.finish("tool_calls")
        assert events == [
            CallStart(0, "functions.weather:0", "weather"),
            ArgumentsDelta(0, '{"city":"Paris"}'),
            CallEnd(0, complete=True),
        ]

    def test_the_first_of_the_two_streams_on(self) -> None:
        reader = SplitReader()
        assert CallEnd(0, complete=True) in reader.feed(content=section(WEATHER))
        assert reader.feed(tool_calls=[NATIVE]) == []
        assert reader.finish("tool_calls") == []

    def test_numbers_are_compared_by_value_and_words_are_not_numbers(self) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=[native_call("f", '{"n": 1.0}'), native_call("f", '{"n": true}')])
        reader.feed(content=section(call("functions.f:7", '{"n": 1}')))
        reader.finish("tool_calls")
        assert [each.arguments for each in reader.message.tool_calls] == [
            '{"n": 1.0}',
            '{"n": true}',
        ]

    def test_each_native_call_cancels_one(self) -> None:
        reader = SplitReader()
        reader.feed(content=section(WEATHER, WEATHER), tool_calls=[NATIVE])
        reader.finish("tool_calls")
        assert len(reader.message.tool_calls) == 2

    def test_another_call_of_the_tool_stays_in_its_place(self) -> None:
        reader = SplitReader()
        other = call("functions.weather:1", {"city": "Rome"})
        events = reader.feed(tool_calls=[{**NATIVE, "index": 0}])
        events += reader.feed(content=section(other, call("functions.f:2", {})))
        # Whether Rome repeats the native call is known once that is over.
        assert [event.name for event in events if isinstance(event, CallStart)] == ["weather"]
        events += reader.finish("tool_calls")
        assert [event.index for event in events if isinstance(event, CallStart)] == [0, 1, 2]
        assert [each.name for each in reader.message.tool_calls] == ["weather", "weather", "f"]

    def test_ids_stay_unique(self) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=[NATIVE])
        reader.feed(content=section(call("functions.weather:0", {"city": "Rome"})))
        reader.finish("tool_calls")
        first, second = reader.message.tool_calls
        assert (first.id, second.id) == ("functions.weather:0", "functions.weather:1")
        assert second.raw_id == "functions.weather:0"
        assert codes(reader) == ["call-id-repeated"]

    def test_broken_arguments_are_the_same_where_their_text_is(self) -> None:
        broken = '{"city": "Paris'
        reader = SplitReader()
        reader.feed(tool_calls=[native_call("weather", broken, "functions.weather:0")])
        reader.feed(content=f"{call('functions.weather:0', broken)} ")
        reader.finish("tool_calls")
        assert [each.complete for each in reader.message.tool_calls] == [False]


class TestLimits:
    @pytest.mark.parametrize("leaked", ["", section(WEATHER)])
    def test_calls_beyond_the_limit_are_problems(self, leaked: str) -> None:
        reader = SplitReader(max_calls=1)
        reader.feed(tool_calls=[NATIVE])
        reader.feed(content=leaked, tool_calls=[native_call("now", "{}", "functions.now:1")])
        reader.finish("tool_calls")
        assert [call.name for call in reader.message.tool_calls] == ["weather"]
        assert codes(reader) == ["call-surplus", "call-arguments-dropped"]

    def test_a_call_that_waited_may_be_beyond_it(self) -> None:
        reader = SplitReader(max_calls=1)
        reader.feed(tool_calls=[NATIVE])
        reader.feed(content=section(call("functions.weather:1", {})))
        reader.finish("tool_calls")
        assert codes(reader) == ["call-surplus", "call-arguments-dropped"]

    def test_none_at_all(self) -> None:
        reader = SplitReader(max_calls=0)
        reader.feed(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}])
        reader.finish("length")
        assert reader.message.tool_calls == ()
        assert codes(reader) == ["call-surplus"]

    def test_an_answer_whose_calls_were_all_beyond_it_ends_with_stop(self) -> None:
        reader = SplitReader(max_calls=0)
        reader.feed(tool_calls=[NATIVE])
        reader.finish("tool_calls")
        assert reader.message.finish_reason == "stop"

    def test_forced_json_is_read_where_it_comes_as_content(self) -> None:
        reader = SplitReader(form="calls", reasoning="tagged")
        reader.feed(reasoning="Hm.")
        reader.feed(content='[{"name": "f", "arguments": {"a": 1}}]')
        reader.finish("stop")
        assert [call.arguments for call in reader.message.tool_calls] == ['{"a": 1}']
        assert reader.message.reasoning == "Hm."


class TestWhatANativeCallShows:
    def test_an_end_of_turn_before_it_is_text(self) -> None:
        reader = SplitReader()
        assert reader.feed(content="Append <|im_end|>") == [Content("Append ")]
        assert reader.feed(tool_calls=[NATIVE])[0] == Content("<|im_end|>")
        reader.finish("tool_calls")
        assert reader.message.content == "Append <|im_end|>"

    def test_an_end_of_turn_behind_it_is_none(self) -> None:
        reader = SplitReader()
        reader.feed(content="Let me look.", tool_calls=[NATIVE])
        reader.feed(content="<|im_end|>")
        reader.finish("tool_calls")
        assert reader.message.content == "Let me look."

    def test_a_call_begin_and_an_end_of_turn_before_it_are_text(self) -> None:
        reader = SplitReader()
        reader.feed(content="<|tool_call_begin|>functions.f<|im_end|>", tool_calls=[NATIVE])
        reader.finish("tool_calls")
        assert reader.message.content == "functions.f<|im_end|>"
        assert codes(reader) == ["call-begin-quoted"]

    def test_the_markers_arrive_so_that_text_is_no_call_without_them(self) -> None:
        reader = SplitReader(recover_stripped=True)
        text = 'Write functions.f:0{"a": 1}'
        reader.feed(content=text)
        reader.feed(tool_calls=[NATIVE])
        reader.feed(content=text)
        reader.finish("tool_calls")
        assert reader.message.content == text * 2
        assert codes(reader) == []


class TestOrder:
    def test_content_goes_before_the_native_calls_that_came_with_it(self) -> None:
        events = SplitReader().feed(content="Let me look.", tool_calls=[NATIVE])
        assert events[:2] == [
            Content("Let me look."),
            CallStart(0, "functions.weather:0", "weather"),
        ]

    def test_native_calls_go_before_those_in_the_text(self) -> None:
        reader = SplitReader()
        reader.feed(content=section(call("functions.f:1", {})), tool_calls=[NATIVE])
        reader.finish("tool_calls")
        assert [each.name for each in reader.message.tool_calls] == ["weather", "f"]


class TestFinishReason:
    @pytest.mark.parametrize(
        ("fields", "server", "expected"),
        [
            ({"content": "Hi"}, "stop", "stop"),
            ({"content": "Hi"}, "eos_token", "stop"),
            ({"content": "Hi"}, "tool_calls", "stop"),
            ({"content": "Hi"}, "length", "length"),
            ({"content": "Hi"}, "content_filter", "content_filter"),
            ({"content": "Hi"}, {"type": "stop"}, "stop"),
            ({"content": section(WEATHER)}, "stop", "tool_calls"),
            ({"content": WEATHER[:-20]}, "stop", "length"),
            ({"tool_calls": [NATIVE]}, "stop", "tool_calls"),
            ({"tool_calls": [NATIVE]}, "tool_calls", "tool_calls"),
            ({"tool_calls": [NATIVE]}, "length", "length"),
            ({"tool_calls": [NATIVE]}, None, "tool_calls"),
            ({"tool_calls": [NATIVE], "content": WEATHER[:-20]}, "stop", "length"),
        ],
    )
    def test_finish_reason(self, fields: dict[str, Any], server: object, expected: str) -> None:
        reader = SplitReader()
        reader.feed(**fields)
        reader.finish(server)
        assert reader.message.finish_reason == expected

    @pytest.mark.parametrize(
        ("server", "expected"),
        [("tool_calls", "tool_calls"), ("length", "length"), (None, "length")],
    )
    def test_only_the_server_knows_whether_a_native_call_was_cut(
        self, server: str | None, expected: str
    ) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=[native_call("weather", '{"city": "Par')])
        reader.finish(server)
        assert reader.message.finish_reason == expected
        assert reader.message.tool_calls[0].complete is False
        assert ("arguments-not-object" in codes(reader)) == (expected == "tool_calls")

    def test_it_ends_once(self) -> None:
        reader = SplitReader()
        reader.feed(content="<")
        assert reader.finish("stop") == [Content("<")]
        assert reader.finish("stop") == []
        with pytest.raises(RuntimeError, match="a new SplitReader"):
            reader.feed(content="more")


class TestTokenIds:
    def reader(self) -> SplitReader:
        return SplitReader(reasoning="tagged", marker_ids=MARKER_IDS)

    def test_markers_that_the_server_dropped_are_known_by_their_ids(self) -> None:
        reader = self.reader()
        for token_id, text in tokens("Look.", section(call("functions.f:0", {}))):
            reader.feed(content=text if token_id == 17 else "", token_ids=[token_id])
        reader.finish("stop")
        assert reader.message.content == "Look."
        assert reader.message.tool_calls[0].id == "functions.f:0"

    def test_text_that_only_looks_like_a_marker_is_text(self) -> None:
        reader = self.reader()
        assert reader.feed(content="a <|tool_call_end|>", token_ids=[17, 18]) == [
            Content("a <|tool_call_end|>")
        ]

    def test_several_tokens_in_a_piece(self) -> None:
        begin, argument, end = (
            TOKEN_IDS[f"<|tool_call_{each}|>"] for each in ("begin", "argument_begin", "end")
        )
        reader = self.reader()
        reader.feed(content="Look.", token_ids=[17, 18, begin])
        reader.feed(content="functions.f:0<|tool_call_argument_begin|>", token_ids=[17, argument])
        reader.feed(content="{", token_ids=[17])
        reader.feed(content="}", token_ids=[17, end, begin])
        reader.feed(content="functions.g:1", token_ids=[18])
        reader.feed(content="{}", token_ids=[argument, 17])
        reader.feed(token_ids=[end])
        reader.finish("stop")
        assert [each.id for each in reader.message.tool_calls] == ["functions.f:0", "functions.g:1"]
        assert reader.message.content == "Look."

    def test_a_dropped_marker_between_texts_is_reported(self) -> None:
        reader = self.reader()
        marker = TOKEN_IDS["<|tool_call_begin|>"]
        assert reader.feed(content="Look.functions", token_ids=[17, marker, 18]) == [
            Problem("token-place-unknown", 0, "<|tool_call_begin|>"),
            Content("Look.functions"),
        ]

    def test_reasoning_has_its_share(self) -> None:
        reader = self.reader()
        think, no_think = TOKEN_IDS["<think>"], TOKEN_IDS["</think>"]
        reader.feed(reasoning="H", token_ids=[think, 17])
        reader.feed(reasoning="m.", content="H", token_ids=[17, no_think, 18])
        reader.feed(reasoning="", content="i", token_ids=[18])
        reader.finish("stop")
        assert (reader.message.reasoning, reader.message.content) == ("Hm.", "Hi")

    def test_both_fields_without_a_marker_between(self) -> None:
        reader = self.reader()
        reader.feed(reasoning="Hm.", content="Hi", token_ids=[17, 18])
        assert (reader.message.reasoning, reader.message.content) == ("Hm.", "Hi")

    @pytest.mark.parametrize("ids", [7, "text", [None, [], {}], {1: 2}])
    def test_what_are_no_ids_is_passed_over(self, ids: object) -> None:
        assert self.reader().feed(content="Hi", token_ids=ids) == [Content("Hi")]


class TestStoredMessages:
    def test_calls_that_leaked_are_found(self) -> None:
        message = read_answer(
            {"role": "assistant", "content": f"Look.{section(WEATHER)}", "reasoning": "Hm."}, TOOLS
        )
        assert (message.content, message.reasoning) == ("Look.", "Hm.")
        assert message.tool_calls == parse(section(WEATHER)).tool_calls

    def test_reasoning_content_counts_before_reasoning(self) -> None:
        message = read_answer({"content": None, "reasoning_content": "a", "reasoning": "b"})
        assert (message.content, message.reasoning) == (None, "a")

    def test_white_space_beside_native_calls_is_no_content(self) -> None:
        message = read_answer({"content": "\n", "tool_calls": [NATIVE]}, finish_reason="tool_calls")
        assert message.content is None


def native_call(name: str, arguments: str, call_id: str = "") -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def tokens(*texts: str) -> list[tuple[int, str]]:
    from tests.toolcalls.transcripts import at_markers

    return [(TOKEN_IDS.get(piece, 17), piece) for text in texts for piece in at_markers(text)]


def test_a_native_call_is_written_as_openai_does() -> None:
    (read_back,) = parse(section(WEATHER)).tool_calls
    assert native(read_back)["function"]["name"] == "weather"
