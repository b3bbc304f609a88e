"""Chunks like an earlier one are read without decoding; all comes out as on the long way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.gateway import Exchange, Options
from k2compat.gateway.alike_chunks import AlikeChunks, TextPlace
from k2compat.gateway.reading import AnswerReading, Piece
from k2compat.gateway.upstream_fields import only_text
from tests.gateway.support import USER, request, tool

CONTENT = TextPlace(0, "content")
CALL = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0",
    *("<|tool_call_argument_begin|>", '{"city": "', 'Rome"}', "<|tool_call_end|>"),
)
PIECES = (
    *("a", " ", "\n", "天", "\ud800", "\u2028", '"', "\\", '","x":"', "\x00", "\x7f", "{}", "[1]"),
    *("<", "<think>", "</think>", "<|im_end|>", "[", "[EOS]", "functions.weather:0", *CALL),
    *('"content":"a"', '"delta":', "\u2060", "<\u2060|im_end|>"),
)
TEXTS = st.sampled_from(PIECES) | st.text(max_size=4)
FIELDS = ("content", "reasoning_content", "reasoning")
DELTAS = st.dictionaries(st.sampled_from(FIELDS), TEXTS, min_size=1, max_size=1) | (
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(FIELDS, TEXTS | st.sampled_from([None, "", [], 0, [{"text": "a"}]])),
            "tool_calls": st.sampled_from([None, [], "", [{"index": 0, "id": "x"}]]),
            "role": st.just("assistant"),
            "refusal": st.none() | TEXTS,
        },
    )
)
CHOICES = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "delta": DELTAS},
    optional={
        "finish_reason": st.sampled_from([None, "", 7, "stop", "length"]),
        "logprobs": st.none() | st.just({"content": [{"token": "a", "id": 163595}]}),
        "token_ids": st.none() | st.just([163595]),
        "matched": TEXTS | st.none(),
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, min_size=1, max_size=2)},
    optional={
        "id": st.sampled_from(["a", '"content":"a"', "天", "\ud800"]),
        "created": st.integers(0, 1),
        "model": st.sampled_from(["k", 'k"delta":{}']),
        "usage": st.none() | st.just({"prompt_tokens": 1}),
        "system_fingerprint": st.sampled_from([None, {"delta": {}}]),
    },
)
FORMS = st.sampled_from(
    [{}, {"ensure_ascii": False}, {"separators": (",", ":"), "ensure_ascii": False}]
)
REQUESTS = st.fixed_dictionaries(
    {"n": st.integers(1, 3), "stream": st.booleans()},
    optional={
        "tools": st.just([tool()]),
        "tool_choice": st.sampled_from(["none", "required"]),
        "logprobs": st.just(True),
        "return_token_ids": st.just(True),
        "messages": st.just([{"role": "user", "content": "<|im_end|>"}]),
    },
)
OPTIONS = st.fixed_dictionaries(
    {
        "reasoning": st.sampled_from(["auto", "off", "tagged", "prefilled"]),
        "recover_stripped": st.booleans(),
        "engine": st.sampled_from(["openai", "vllm", "llama.cpp"]),
    }
)


def data_of(chunk: Any, form: Any) -> bytes:
    return json.dumps(chunk, **form).encode("utf-8", "surrogatepass")


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Event streams in which most chunks differ from an earlier one in their text alone."""
    form = draw(FORMS)
    chunks = []
    for chunk in draw(st.lists(CHUNKS, min_size=1, max_size=3)):
        chunks += [chunk] * draw(st.integers(1, 4))
    events: list[bytes] = []
    for chunk in chunks:
        copy = json.loads(json.dumps(chunk))
        delta = copy["choices"][0]["delta"]
        for field in FIELDS:
            if isinstance(delta.get(field), str):
                delta[field] = draw(TEXTS)
        name = draw(st.sampled_from([b"", b"", b"", b"event: delta\n", b"event: error\n"]))
        events.append(name + b"data: " + data_of(copy, form) + b"\n\n")
    stream = b"".join(events) + draw(st.sampled_from([b"", b"data: [DONE]\n\n"]))
    if draw(st.booleans()):
        return [*events, stream[sum(map(len, events)) :]]
    size = draw(st.integers(1, len(stream)))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def answered(body: Any, pieces: list[bytes], options: Any) -> tuple[object, ...]:
    made = Exchange(json.dumps(body).encode(), Options(**options), answer_id="own", created=7)
    made.begin(200, "text/event-stream")
    written = b"".join([made.receive(piece) for piece in pieces]) + made.finish()
    return written, made.head, made.problems, made.calls, made.usage, made.error


@given(REQUESTS, streams(), OPTIONS)
def test_both_ways_write_the_same(asked: Any, pieces: list[bytes], options: Any) -> None:
    body = request(**asked)
    short = answered(body, pieces, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AlikeChunks, "find", lambda *_arguments: None)
        assert short == answered(body, pieces, options)


def choice_with(delta: bytes) -> bytes:
    return b'{"choices":[{"index":0,"delta":%s}]}' % delta


@given(TEXTS, TEXTS, FORMS, st.sampled_from(["", " ", '"content":"a",', '"content": "b" , ']))
def test_a_chunk_like_another_has_the_text_that_decoding_finds(
    first: str, text: str, form: Any, before: str
) -> None:
    begin = before.encode() + b'"content": '
    alike = AlikeChunks()
    alike.learn(choice_with(b"{%s}" % (begin + data_of(first, {}))), CONTENT)
    found = alike.find(choice_with(b"{%s}" % (begin + data_of(text, form))))
    assert found in (None, (CONTENT, text))
    assert found or not text or "\ud800" in text


def bodies_of_engines() -> Iterator[Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "k"}
    nothing: Any = {"logprobs": None, "finish_reason": None}
    for field in FIELDS:
        delta = {field: "a"}
        yield head | {"choices": [{"index": 0, "delta": delta, **nothing, "token_ids": None}]}
        full = dict.fromkeys(("role", *FIELDS[:2], "tool_calls")) | delta
        last = {**nothing, "matched_stop": None}
        yield head | {"choices": [{"index": 0, "delta": full, **last}], "usage": None}
        yield {"choices": [{"finish_reason": None, "index": 0, "delta": delta}], **head}


@pytest.mark.parametrize("chunk", list(bodies_of_engines()))
def test_the_chunks_of_engines_take_the_short_way(
    chunk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    long_way = AnswerReading.chunk

    def noted(self: AnswerReading, chunk: Any) -> list[Piece]:
        read.append(chunk)
        return long_way(self, chunk)

    monkeypatch.setattr(AnswerReading, "chunk", noted)
    first = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    then = first.replace(b'"a"', b'"b\\n"')
    written, *_ = answered(request(USER, stream=True), [first, then * 2, then], {})
    assert len(read) == 1
    assert isinstance(written, bytes)
    events = [json.loads(each) for each in written.split(b"data: ") if b"delta" in each]
    texts = ["".join(event["choices"][0]["delta"].values()) for event in events]
    assert "".join(texts).removeprefix("assistant").strip() == "ab\nb\nb"


@pytest.mark.parametrize(
    "delta",
    [
        b'{"content": "a", "content": "b", "content": "c", "content": "d", "content": "e"}',
        b'{"content": ["a"]}',
        b'{"\\u0063ontent": "a"}',
    ],
)
def test_a_place_that_is_not_found_is_not_learned(delta: bytes) -> None:
    alike = AlikeChunks()
    alike.learn(choice_with(delta), CONTENT)
    assert alike.find(choice_with(delta)) is None


def test_a_name_inside_a_string_is_not_the_field() -> None:
    alike = AlikeChunks()
    data = b'{"x":"\\"content\\":\\"a\\"","choices":[{"index":0,"delta":{"content":"a"}}]}'
    alike.learn(data, CONTENT)
    assert alike.find(data.replace(b':"a"', b':"b"')) == (CONTENT, "b")


def test_the_last_of_two_members_of_one_name_counts() -> None:
    alike = AlikeChunks()
    alike.learn(choice_with(b'{"content":"a","content":"b"}'), CONTENT)
    assert alike.find(choice_with(b'{"content":"a","content":"c"}')) == (CONTENT, "c")
    assert alike.find(choice_with(b'{"content":"c","content":"b"}')) is None


@pytest.mark.parametrize("more", [b"", b"data: \n", b"id: 1\n"])
def test_an_event_of_several_lines_stays_one(more: bytes) -> None:
    event = b'data: {"choices":[{"index":0,\n%sdata: "delta":{"content":"a"}}]}\n\n' % more
    written, *_ = answered(request(USER, stream=True), [event, event * 2, event], {})
    assert isinstance(written, bytes)
    assert written.count(b'"content":"a"') == 4


def test_a_name_that_ends_in_the_field_s_is_another() -> None:
    alike = AlikeChunks()
    data = rb'{"\"content":"a","choices":[{"index":0,"delta":{"content":"a"}}]}'
    alike.learn(data, CONTENT)
    assert alike.find(data.replace(b'"a"}', b'"b"}')) == (CONTENT, "b")


@pytest.mark.parametrize(
    ("delta", "field"),
    [
        (None, None),
        ({}, None),
        ({"role": "assistant", "content": "a", "reasoning": "", "tool_calls": []}, "content"),
        ({"content": ["a"]}, None),
        ({"content": "a", "reasoning": "b"}, None),
        ({"content": "a", "tool_calls": [{}]}, None),
        ({"content": "a", "reasoning": 0}, None),
        ({"content": None, "reasoning": "a"}, "reasoning"),
        ({"reasoning_content": "", "reasoning": "a"}, None),
    ],
)
def test_the_field_of_a_delta_that_holds_text_alone(delta: Any, field: str | None) -> None:
    assert only_text(delta) == field


def test_chunks_that_are_never_alike_are_not_learned_for_ever() -> None:
    alike = AlikeChunks()
    for number in range(100):
        alike.learn(b'{"n":%d,"choices":[{"delta":{"content":"a"}}]}' % number, CONTENT)
    assert alike.find(b'{"n":15,"choices":[{"delta":{"content":"b"}}]}') == (CONTENT, "b")
    alike.learn(b'{"n":99,"choices":[{"delta":{"content":"a"}}]}', CONTENT)
    assert alike.find(b'{"n":99,"choices":[{"delta":{"content":"b"}}]}') == (CONTENT, "b")


def test_few_choices_are_learned() -> None:
    alike = AlikeChunks()
    data = [b'{"n":%d,"choices":[{"delta":{"content":"a"}}]}' % number for number in range(9)]
    for number, each in enumerate(data):
        alike.learn(each, TextPlace(number, "content"))
    assert [alike.find(each) is not None for each in data] == [True] * 8 + [False]
