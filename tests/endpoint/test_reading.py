"""What comes back is read without an exception, whatever it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.endpoint import Answer, Recording, Request, judge, plan
from k2compat.endpoint.figures import figures_of
from k2compat.endpoint.reading.answer import shown
from k2compat.endpoint.reading.errors import error_text
from k2compat.endpoint.reading.read import read_answer
from k2compat.gateway import sse

REQUESTS = {request.name: request for request in plan()}
WHOLE, STREAM = REQUESTS["one.whole"], REQUESTS["one.stream"]


def whole(value: Any) -> Answer:
    return read_answer(WHOLE, Recording(200, "application/json", json.dumps(value).encode()))


def stream(*chunks: Any, end: str = "data: [DONE]\n\n") -> Answer:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end
    return read_answer(STREAM, Recording(200, "text/event-stream", events.encode()))


def delta(delta: Any, reason: Any = None) -> Any:
    return {"id": "c", "choices": [{"delta": delta, "finish_reason": reason}]}


def codes(answer: Answer) -> list[str]:
    return [observation.code for observation in answer.observations]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "role",
                    "content",
                    "reasoning",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "index",
                    "type",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "error",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=24,
)


@given(st.sampled_from(sorted(REQUESTS)), st.lists(values, max_size=4), st.booleans())
def test_any_json_is_judged(name: str, answers: list[Any], ends: bool) -> None:
    events = "".join(f"data: {json.dumps(answer)}\n\n" for answer in answers)
    done = "data: [DONE]\n\n" if ends else ""
    for content_type, text in (
        ("text/event-stream", events + done),
        ("application/json", json.dumps(answers[0] if answers else None)),
    ):
        recording = Recording(200, content_type, text.encode())
        judge([REQUESTS[name]], {name: recording}, typescript=True)


@given(st.sampled_from([None, 200, 204, 302, 400, 503]), st.binary(max_size=200))
def test_any_bytes_are_judged(status: int | None, body: bytes) -> None:
    for name, request in REQUESTS.items():
        kinds = ("text/event-stream", "application/json", "")
        for kind in kinds:
            judge([request], {name: Recording(status, kind, body)})


@given(
    values,
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("messages", "tools", "tool_choice", "chat_template_kwargs", "max_tokens"), values
        ),
    ),
)
def test_samples_of_any_shape_are_judged(answer: Any, body: Any) -> None:
    request = Request(name="sample-1", purpose="", body=body, is_sample=True)
    recording = Recording(200, "application/json", json.dumps(answer).encode())
    judgement = judge([request], {"sample-1": recording}, typescript=True)
    assert request.estimated_tokens >= 0
    assert figures_of(judgement.answers, {}).answered in (0, 1)


def test_a_sample_with_tools_that_are_no_functions_is_judged() -> None:
    body = {
        "tools": [
            {"type": "builtin_function"},
            {"function": {"name": 7}},
            {"function": {"name": "f", "parameters": {"type": 7}}},
        ],
        "tool_choice": {"type": "allowed_tools", "function": []},
        "chat_template_kwargs": {"thinking": "yes"},
    }
    request = Request(name="sample-1", purpose="", body=body, is_sample=True)
    function = {"name": "f", "arguments": '{"a": 1}'}
    calls = [{"id": "functions.f:0", "type": "function", "function": function}] * 2
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {}}
    recording = Recording(200, "application/json", json.dumps(answer).encode())
    report = judge([request], {"sample-1": recording}).report
    assert {finding.code for finding in report} == {"call-id-restarts", "usage-wrong"}
    assert list(request.tools) == ["f"]


def test_a_message_is_read() -> None:
    function = {"name": "f", "arguments": "{}"}
    message = {
        "role": "assistant",
        "content": "c",
        "reasoning": "r",
        "tool_calls": [{"id": "i", "type": "function", "function": function}],
    }
    usage = {"prompt_tokens": 1}
    choice = {"message": message, "finish_reason": "stop"}
    answer = whole({"choices": [choice], "usage": usage})
    assert (answer.content, answer.reasoning, answer.finish_reason) == ("c", "r", "stop")
    assert [(call.id, call.name, call.arguments) for call in answer.calls] == [("i", "f", "{}")]
    assert (answer.count("prompt_tokens"), answer.count("total_tokens")) == (1, None)
    assert codes(answer) == []


@pytest.mark.parametrize("value", [[], {}, {"choices": []}, {"choices": [{"message": "x"}]}])
def test_what_is_no_completion_is_named(value: Any) -> None:
    answer = whole(value)
    assert codes(answer) == ["answer-invalid"]
    assert not answer.is_chat


def test_what_is_no_json_is_named() -> None:
    answer = read_answer(WHOLE, Recording(200, "application/json", b"<html>"))
    assert codes(answer) == ["answer-invalid"]


def test_a_call_without_a_function_is_read() -> None:
    message = {"role": "assistant", "tool_calls": [{"type": "function"}]}
    answer = whole({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}})
    assert codes(answer) == ["arguments-not-text"]


def test_a_stream_of_nothing_is_named() -> None:
    assert codes(stream()) == ["answer-invalid"]


def test_a_stream_that_is_an_error_is_that_alone() -> None:
    assert codes(stream({"error": {"message": "out of memory"}})) == ["server-failed"]


def test_arguments_that_are_no_text_in_a_delta_are_named() -> None:
    call = {"index": 0, "id": "i", "type": "function", "function": {"name": "f", "arguments": {}}}
    answer = stream(delta({"role": "assistant", "tool_calls": [call]}, "tool_calls"), {"usage": {}})
    assert codes(answer)[0] == "arguments-not-text"


def test_a_delta_of_a_call_may_lack_arguments() -> None:
    call = {"index": 0, "id": "i", "type": "function", "function": {"name": "f"}}
    answer = stream(delta({"role": "assistant", "tool_calls": [call]}, "stop"), {"usage": {}})
    assert [call.arguments for call in answer.calls] == [""]
    assert codes(answer) == []


def test_an_answer_without_usage_is_named() -> None:
    message = {"role": "assistant", "content": "x"}
    answer = whole({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert codes(answer) == ["usage-missing"]


def test_a_delta_that_is_none_is_read() -> None:
    answer = stream(delta(None), delta({"role": "assistant", "content": "x"}, "stop"))
    assert answer.content == "x"


def test_an_event_that_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = sse.EVENT_LIMIT + 1
    body = b"data: " + b"x" * limit
    answer = read_answer(STREAM, Recording(200, "text/event-stream", body))
    assert codes(answer) == ["answer-invalid"]


def test_a_refusal_that_is_expected_is_no_finding() -> None:
    request = REQUESTS["bad-messages"]
    assert codes(read_answer(request, Recording(422, "application/json", b"{}"))) == []
    assert codes(read_answer(request, Recording(200))) == ["bad-request-not-refused"]


def test_a_field_that_not_all_servers_have_may_be_refused() -> None:
    answer = read_answer(REQUESTS["thinking-on.stream"], Recording(400, "", b"unknown field"))
    assert codes(answer) == ["option-refused"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"detail": [{"msg": "no"}]}', "[{'msg': 'no'}]"),
        (b" no \n", "no"),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_words_of_an_error_are_found(body: bytes, words: str) -> None:
    assert error_text(body) == words


def test_what_is_shown_is_short() -> None:
    assert shown("x" * 500) == "x" * 100 + " … " + "x" * 100
    assert shown([1]) == "[1]"
