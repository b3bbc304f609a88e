"""OpenAI's shapes, read with OpenAI's own types."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage

from k2compat.toolcalls import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Message,
    Problem,
    Reasoning,
    ToolCall,
)
from k2compat.toolcalls.chat import (
    DONE,
    ChunkStream,
    assistant_message,
    completion,
    server_sent_event,
    token_usage,
)
from k2compat.toolcalls.history import safe_id
from tests.support.model_output import tool_names

CALL = ToolCall("functions.weather:3", "weather", '{"city": "Paris"}', True, "weather:3")
CALL_EVENTS = (
    CallStart(0, "functions.weather:3", "weather"),
    ArgumentsDelta(0, '{"city": '),
    ArgumentsDelta(0, '"Paris"}'),
    CallEnd(0, complete=True),
)
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def message(**changes: Any) -> Message:
    fields = {
        "content": None,
        "reasoning": None,
        "tool_calls": (),
        "problems": (),
        "finish_reason": "stop",
    }
    return Message(**{**fields, **changes})


def chunk_stream() -> ChunkStream:
    return ChunkStream(completion_id="chatcmpl-1", model="kimi-k2", created=1_750_000_000)


def chunks_of(events: Iterable[Event], **finish: Any) -> list[dict[str, Any]]:
    stream = chunk_stream()
    return [chunk for event in events for chunk in stream.feed([event])] + stream.finish(**finish)


def deltas_of(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def as_client_sees(chunks: list[dict[str, Any]]) -> Any:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    return state.get_final_completion().choices[0]


class TestAssistantMessage:
    def test_content_alone(self) -> None:
        assert assistant_message(message(content="Hi")) == {"role": "assistant", "content": "Hi"}

    def test_calls_alone_have_no_content(self) -> None:
        assert assistant_message(message(tool_calls=(CALL,))) == {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "functions.weather:3",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
                }
            ],
        }

    def test_content_is_a_string_where_nothing_else_is(self) -> None:
        assert assistant_message(message(reasoning="Hm.")) == {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm.",
        }

    def test_openai_knows_every_field_but_the_reasoning(self) -> None:
        written = assistant_message(message(content="a", reasoning="b", tool_calls=(CALL,)))
        read = ChatCompletionMessage.model_validate(written, strict=True)
        assert read.model_extra == {"reasoning_content": "b"}
        assert read.tool_calls is not None
        assert all(not call.model_extra for call in read.tool_calls)

    def test_problems_stay_here(self) -> None:
        problem = Problem("text-after-calls", 7, "secret")
        assert "secret" not in json.dumps(assistant_message(message(problems=(problem,))))


class TestCompletion:
    @pytest.mark.parametrize("usage", [None, USAGE])
    def test_openai_reads_it(self, usage: dict[str, int] | None) -> None:
        written = completion(
            message(tool_calls=(CALL,), finish_reason="tool_calls"),
            completion_id="chatcmpl-1",
            model="kimi-k2",
            created=1_750_000_000,
            usage=usage,
        )
        read = ChatCompletion.model_validate(written, strict=True)
        assert read.choices[0].finish_reason == "tool_calls"
        assert not read.model_extra
        assert (read.usage.model_dump(exclude_none=True) if read.usage else None) == usage

    @pytest.mark.parametrize(
        ("engine", "expected"),
        [("length", "length"), ("content_filter", "content_filter"), ("eos", "stop")],
    )
    def test_the_engine_is_asked_only_for_what_text_does_not_show(
        self, engine: str, expected: str
    ) -> None:
        written = completion(
            message(content="Once upon"),
            completion_id="x",
            model="m",
            created=1,
            engine_finish_reason=engine,
        )
        assert written["choices"][0]["finish_reason"] == expected


class TestChunkStream:
    def test_a_call(self) -> None:
        chunks = chunks_of(CALL_EVENTS)
        assert deltas_of(chunks) == [
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "functions.weather:3",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ""},
                    }
                ],
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
            {},
        ]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
        assert reasons == [None, None, None, "tool_calls"]

    def test_every_chunk_is_openai_s(self) -> None:
        events: list[Event] = [Reasoning("Hm."), Content("Hi "), Content("there"), *CALL_EVENTS]
        for chunk in chunks_of(events, usage=USAGE):
            read = ChatCompletionChunk.model_validate(chunk, strict=True)
            assert not read.model_extra
            assert (read.id, read.model, read.created) == ("chatcmpl-1", "kimi-k2", 1_750_000_000)
            for choice in read.choices:
                assert not choice.model_extra
                assert set(choice.delta.model_extra or {}) <= {"reasoning_content"}

    def test_a_client_puts_together_what_was_said(self) -> None:
        events: list[Event] = [Reasoning("Hm."), Content("Hi "), Content("there"), *CALL_EVENTS]
        read = as_client_sees(chunks_of(events))
        assert read.finish_reason == "tool_calls"
        assert read.message.content == "Hi there"
        assert read.message.reasoning_content == "Hm."
        (call,) = read.message.tool_calls
        assert (call.id, call.type, call.function.name) == (CALL.id, "function", CALL.name)
        assert call.function.arguments == CALL.arguments

    def test_deltas_and_the_chunk_around_them(self) -> None:
        events: list[Event] = [Reasoning("Hm."), Content(" "), Content("Hi"), *CALL_EVENTS]
        stream, again = chunk_stream(), chunk_stream()
        written = [stream.chunk(delta) for event in events for delta in stream.deltas([event])]
        assert written + stream.finish() == again.feed(events) + again.finish()
        with pytest.raises(RuntimeError, match="finished"):
            stream.deltas([])

    def test_problems_stay_here(self) -> None:
        assert chunk_stream().feed([Problem("text-after-calls", 7, "secret")]) == []

    def test_reasoning_does_not_end_in_white_space(self) -> None:
        events: list[Event] = [
            Reasoning("\n a"),
            Reasoning(" \n"),
            Reasoning("\t"),
            Reasoning("b\n"),
        ]
        deltas = deltas_of(chunks_of(events))
        assert [delta.get("reasoning_content") for delta in deltas] == ["\n a", " \n\tb", None]

    def test_white_space_beside_calls_is_no_content(self) -> None:
        events: list[Event] = [Content("\n"), *CALL_EVENTS, Content(" ")]
        assert as_client_sees(chunks_of(events)).message.content is None

    def test_white_space_counts_before_content(self) -> None:
        deltas = deltas_of(chunks_of([Content("\n"), Content("Hi"), Content(" ")]))
        assert [delta.get("content") for delta in deltas] == ["\nHi", " ", None]

    def test_white_space_counts_without_calls(self) -> None:
        assert deltas_of(chunks_of([Content("\n")])) == [{"role": "assistant", "content": "\n"}]

    def test_nothing_at_all_is_an_empty_string(self) -> None:
        assert deltas_of(chunks_of([])) == [{"role": "assistant", "content": ""}]

    @pytest.mark.parametrize(
        ("complete", "expected"),
        [
            ([], "stop"),
            ([True], "tool_calls"),
            ([False], "length"),
            ([True, False], "length"),
            ([False, True], "length"),
        ],
    )
    def test_finish_reason(self, complete: list[bool], expected: str) -> None:
        events: list[Event] = []
        for index, whole in enumerate(complete):
            events += [CallStart(index, f"functions.f:{index}", "f"), CallEnd(index, whole)]
        last = chunks_of(events)[-1]["choices"][0]
        assert last["finish_reason"] == expected

    def test_a_call_that_its_own_marker_ended_is_not_cut(self) -> None:
        problem = Problem("arguments-not-object", 7, "{")
        events: list[Event] = [
            CallStart(0, "functions.f:0", "f"),
            problem,
            CallEnd(0, complete=False),
        ]
        assert chunks_of(events)[-1]["choices"][0]["finish_reason"] == "tool_calls"

    def test_a_header_may_be_cut(self) -> None:
        events: list[Event] = [*CALL_EVENTS, Problem("call-header-cut", 7, "functions")]
        assert chunks_of(events)[-1]["choices"][0]["finish_reason"] == "length"

    def test_the_message_knows_better(self) -> None:
        last = chunks_of(CALL_EVENTS, finish_reason="length")[-1]["choices"][0]
        assert last["finish_reason"] == "length"

    def test_a_call_that_never_ended_is_cut(self) -> None:
        last = chunks_of(CALL_EVENTS[:2])[-1]["choices"][0]
        assert last["finish_reason"] == "length"

    def test_the_engine_knows_of_the_limit(self) -> None:
        last = chunks_of([Content("Once")], engine_finish_reason="length")[-1]["choices"][0]
        assert last["finish_reason"] == "length"

    def test_usage_has_a_chunk_of_its_own(self) -> None:
        *_, last = chunks_of([Content("Hi")], usage=USAGE)
        assert last["choices"] == []
        assert last["usage"] == USAGE

    def test_another_choice(self) -> None:
        stream = ChunkStream(completion_id="x", model="m", created=1, choice_index=2)
        assert [chunk["choices"][0]["index"] for chunk in stream.finish()] == [2]

    def test_it_ends_once(self) -> None:
        stream = chunk_stream()
        assert stream.finish()
        assert stream.finish() == []
        with pytest.raises(RuntimeError, match="finished"):
            stream.feed([])


class TestWhatClientsWantDifferently:
    EVENTS = (Reasoning("Hm."), CallStart(0, "functions.a.b:1", "a.b"), CallEnd(0, complete=True))

    @pytest.mark.parametrize(
        ("field", "expected"),
        [
            ("reasoning_content", {"reasoning_content": "Hm."}),
            ("reasoning", {"reasoning": "Hm."}),
            ("both", {"reasoning_content": "Hm.", "reasoning": "Hm."}),
        ],
    )
    def test_the_field_of_the_reasoning(self, field: Any, expected: dict[str, str]) -> None:
        written = assistant_message(message(reasoning="Hm."), reasoning_field=field)
        assert written == {"role": "assistant", "content": "", **expected}
        stream = ChunkStream(completion_id="x", model="m", created=1, reasoning_field=field)
        assert deltas_of(stream.feed([Reasoning("Hm.")])) == [{"role": "assistant", **expected}]

    def test_ids_that_every_client_takes(self) -> None:
        call = ToolCall("functions.weather:3", "weather", "{}", True, "weather:3")
        written = assistant_message(message(tool_calls=(call,)), wire_ids="safe")
        assert written["tool_calls"][0]["id"] == "weather_3"
        stream = ChunkStream(completion_id="x", model="m", created=1, wire_ids="safe")
        (delta,) = deltas_of(stream.feed([CallStart(0, "functions.weather:3", "weather")]))
        assert delta["tool_calls"][0]["id"] == "weather_3"

    @pytest.mark.parametrize(
        "options", [{"reasoning_field": "thoughts"}, {"wire_ids": "short"}], ids=str
    )
    def test_other_values_are_refused(self, options: dict[str, Any]) -> None:
        (name,) = options
        with pytest.raises(ValueError, match=f"{name} must be one of '"):
            assistant_message(message(), **options)
        with pytest.raises(ValueError, match=f"{name} must be one of '"):
            ChunkStream(completion_id="x", model="m", created=1, **options)

    def test_several_choices(self) -> None:
        written = completion(
            [message(content="a"), message(content="b")],
            completion_id="x",
            model="m",
            created=1,
            engine_finish_reason=[None, "length"],
            usage=token_usage(1, 2, reasoning_tokens=1, cached_tokens=0),
            reasoning_field="reasoning",
            wire_ids="safe",
        )
        read = ChatCompletion.model_validate(written, strict=True)
        assert [(choice.index, choice.message.content) for choice in read.choices] == [
            (0, "a"),
            (1, "b"),
        ]
        assert [choice.finish_reason for choice in read.choices] == ["stop", "length"]
        assert read.usage is not None
        assert read.usage.total_tokens == 3
        assert read.usage.completion_tokens_details is not None
        assert read.usage.completion_tokens_details.reasoning_tokens == 1
        assert read.usage.prompt_tokens_details is not None
        assert read.usage.prompt_tokens_details.cached_tokens == 0

    def test_usage_without_details(self) -> None:
        assert token_usage(1, 2) == USAGE


class TestSafeIds:
    @pytest.mark.parametrize(
        ("native", "safe"),
        [
            ("functions.get_weather:0", "get_weather_0"),
            ("functions.a-b:12", "a-b_12"),
            (f"functions.{'n' * 38}:1", f"{'n' * 38}_1"),
        ],
    )
    def test_most_are_name_and_number(self, native: str, safe: str) -> None:
        assert safe_id(native) == safe

    @pytest.mark.parametrize(
        "native",
        [
            "functions.a.b:1",
            "functions.天气:1",
            f"functions.{'n' * 39}:1",
            f"functions.f:{'9' * 50}",
            "functions.\ud800:1",
        ],
    )
    def test_others_are_cut_and_keep_a_checksum(self, native: str) -> None:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{10,40}", safe_id(native))

    @given(st.lists(st.tuples(tool_names(), st.integers(0, 10**50)), unique=True, max_size=20))
    def test_they_are_unique(self, parts: list[tuple[str, int]]) -> None:
        safe = {safe_id(f"functions.{name}:{number}") for name, number in parts}
        assert len(safe) == len(parts)


class TestServerSentEvents:
    def test_one_line(self) -> None:
        written = server_sent_event({"text": "a\n\u2028天\ud800"})
        assert written.startswith(b"data: {")
        assert written.endswith(b"}\n\n")
        assert written.count(b"\n") == 2
        assert json.loads(written.removeprefix(b"data: ")) == {"text": "a\n\u2028天\ud800"}

    def test_the_end(self) -> None:
        assert DONE == b"data: [DONE]\n\n"
