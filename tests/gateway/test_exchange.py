"""The state machine, without sockets: all forms of an upstream's answer, and how each may fail."""

import json
from typing import Any

import pytest

from k2compat.gateway import Exchange, Options
from k2compat.toolcalls import parse
from k2compat.toolcalls.chat import assistant_message
from tests.gateway.servers import DONE, chunk, completion, deltas, event
from tests.gateway.support import request, tool
from tests.toolcalls.transcripts import call, section

CALLS = "Let me look." + section(call("functions.weather:0", {"city": "Paris"}))
TWO_CALLS = section(call("functions.weather:0", {"n": 1}), call("functions.weather:1", {"n": 2}))


def exchange(body: Any = None, **options: Any) -> Exchange:
    raw = json.dumps(body or request()).encode()
    return Exchange(raw, Options(**options), answer_id="chatcmpl-own", created=7)


def stream_request(**fields: Any) -> Any:
    return request(stream=True, **fields)


def run(
    made: Exchange, *pieces: bytes, status: int = 200, kind: str = "text/event-stream"
) -> bytes:
    written = made.begin(status, kind)
    for piece in pieces:
        written += made.receive(piece)
    return written + made.finish()


def run_whole(made: Exchange, answer: Any) -> Any:
    return json.loads(run(made, json.dumps(answer).encode(), kind="application/json"))


def chunks(written: bytes) -> list[Any]:
    events = written.decode().split("\n\n")[:-1]
    assert all(each.startswith("data: ") for each in events)
    return [json.loads(each[6:]) for each in events if each != "data: [DONE]"]


def error_of(written: bytes) -> str:
    last: Any = chunks(written)[-1] if written.startswith(b"data") else json.loads(written)
    code: str = last["error"]["code"]
    return code


class TestTheFourForms:
    """The client wants a stream or not, and the upstream sends one or not."""

    @pytest.mark.parametrize("wants_stream", [False, True])
    @pytest.mark.parametrize("sends_stream", [False, True])
    def test_the_answer_is_what_parse_reads(self, wants_stream: bool, sends_stream: bool) -> None:
        made = exchange(request(stream=wants_stream))
        if sends_stream:
            written = run(made, *deltas(*({"content": piece} for piece in CALLS)), DONE)
        else:
            answer = json.dumps(completion({"content": CALLS})).encode()
            written = run(made, answer[:9], answer[9:], kind="application/json")
        expected = assistant_message(parse(CALLS))
        assert made.head is not None
        assert made.head.status == 200
        assert made.calls == 1
        if not wants_stream:
            (choice,) = json.loads(written)["choices"]
            assert choice["message"] == expected
            assert choice["finish_reason"] == "tool_calls"
            return
        assert made.head.content_type.startswith("text/event-stream")
        assert written.endswith(DONE)
        content = [each["choices"][0]["delta"].get("content", "") for each in chunks(written)]
        assert "".join(content) == "Let me look."
        assert chunks(written)[-1]["choices"][0]["finish_reason"] == "tool_calls"

    def test_the_upstream_s_head_is_the_answer_s(self) -> None:
        answer = run_whole(exchange(), completion({"content": "x"}, system_fingerprint="f", x=1))
        assert (answer["id"], answer["model"], answer["created"]) == (
            "chatcmpl-up",
            "kimi",
            1764500000,
        )
        assert (answer["system_fingerprint"], answer["x"]) == ("f", 1)

    def test_without_one_it_is_the_exchange_s_own(self) -> None:
        bare = {"id": 1, "model": None, "created": "x", "choices": [{"message": {"content": "x"}}]}
        answer = run_whole(exchange(), bare)
        assert (answer["id"], answer["model"], answer["created"]) == ("chatcmpl-own", "kimi-k2", 7)

    def test_a_stream_s_chunks_share_the_upstream_s_head(self) -> None:
        first = chunk({"content": "x"}) | {"system_fingerprint": "f", "service_tier": "t"}
        written = run(exchange(stream_request()), event(first), *deltas({"content": "y"}), DONE)
        heads = {(each["id"], each["system_fingerprint"]) for each in chunks(written)}
        assert heads == {("chatcmpl-up", "f")}


class TestChoices:
    def test_several_choices_are_read_apart(self) -> None:
        made = exchange(stream_request(n=2))
        written = run(
            made,
            event(chunk({"content": "a"}, index=0)),
            event(chunk({"content": CALLS}, index=1)),
            event(chunk({"content": "b"}, "stop", index=0)),
            event(chunk({}, "stop", index=1)),
            DONE,
        )
        reasons = {
            each["choices"][0]["index"]: each["choices"][0]["finish_reason"]
            for each in chunks(written)
        }
        assert reasons == {0: "stop", 1: "tool_calls"}

    def test_they_are_in_order_in_a_whole_answer(self) -> None:
        answer = completion({"content": "x"})
        answer["choices"] = [
            {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "a"}, "finish_reason": "length"},
        ]
        choices = run_whole(exchange(request(n=2)), answer)["choices"]
        assert [each["message"]["content"] for each in choices] == ["a", "b"]
        assert [each["finish_reason"] for each in choices] == ["length", "stop"]

    @pytest.mark.parametrize("index", [1, -1, 99_999_999, "0", True, None])
    def test_a_choice_that_was_not_asked_for_is_not_passed_on(self, index: Any) -> None:
        made = exchange(stream_request())
        written = run(
            made, *deltas({"content": "x"}), event(chunk({"content": "y"}, index=index)), DONE
        )
        assert "y" not in [each["choices"][0]["delta"].get("content") for each in chunks(written)]
        assert made.problems == {"upstream-field-invalid": 1}


class TestWhatPasses:
    def test_usage_comes_last_where_the_client_asked_for_it(self) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        counted = event({**chunk(), "choices": [], "usage": usage})
        asked = exchange(stream_request(stream_options={"include_usage": True}))
        assert chunks(run(asked, *deltas({"content": "x"}), counted, DONE))[-1]["usage"] == usage
        unasked = exchange(stream_request())
        assert b"usage" not in run(unasked, *deltas({"content": "x"}), counted, DONE)
        assert unasked.usage == usage

    def test_usage_of_a_stream_is_in_the_whole_answer(self) -> None:
        counted = event({**chunk(), "choices": [], "usage": {"prompt_tokens": 3}})
        answer = json.loads(run(exchange(), *deltas({"content": "x"}), counted, DONE))
        assert answer["usage"] == {"prompt_tokens": 3}

    def test_foreign_fields_of_choices_and_deltas_pass(self) -> None:
        made = exchange(stream_request())
        piece = chunk({"content": "x", "refusal": "no", "audio": None}, stop_reason=7, other=None)
        (first, _) = chunks(run(made, event(piece), event(chunk({}, "stop")), DONE))
        assert first["choices"][0]["delta"]["refusal"] == "no"
        assert first["choices"][0]["stop_reason"] == 7
        assert "other" not in first["choices"][0]

    def test_they_pass_in_a_whole_answer_too(self) -> None:
        answer = completion({"content": "x", "refusal": "no"})
        answer["choices"][0]["stop_reason"] = 7
        (choice,) = run_whole(exchange(), answer)["choices"]
        assert (choice["message"]["refusal"], choice["stop_reason"]) == ("no", 7)

    def test_fields_without_text_pass_while_text_is_held_back(self) -> None:
        made = exchange(stream_request(logprobs=True))
        held = chunk({"content": "<|tool_calls_sec"}, logprobs={"content": [{"token": "x"}]})
        written = made.begin(200, "text/event-stream") + made.receive(event(held))
        (only,) = chunks(written)
        assert only["choices"][0]["delta"] == {}
        assert only["choices"][0]["logprobs"] == {"content": [{"token": "x"}]}

    def test_log_probabilities_pass_only_where_the_client_asked(self) -> None:
        piece = chunk({"content": "x"}, logprobs={"content": [{"token": "x"}]}, token_ids=[1])
        asked = exchange(stream_request(logprobs=True, return_token_ids=True))
        first = chunks(run(asked, event(piece), event(chunk({}, "stop")), DONE))[0]["choices"][0]
        assert first["logprobs"] == {"content": [{"token": "x"}]}
        assert first["token_ids"] == [1]
        unasked = exchange(stream_request())
        first = chunks(run(unasked, event(piece), event(chunk({}, "stop")), DONE))[0]["choices"][0]
        assert first["logprobs"] is None
        assert "token_ids" not in first

    def test_those_of_a_stream_are_joined_in_a_whole_answer(self) -> None:
        made = exchange(request(logprobs=True, return_token_ids=True))
        pieces = [
            event(chunk({"content": text}, logprobs={"content": [text]}, token_ids=[ord(text)]))
            for text in "ab"
        ]
        (choice,) = json.loads(run(made, *pieces, event(chunk({}, "stop")), DONE))["choices"]
        assert choice["logprobs"] == {"content": ["a", "b"]}
        assert choice["token_ids"] == [97, 98]

    def test_the_prompt_s_ids_pass_only_where_the_client_asked(self) -> None:
        answer = completion({"content": "x"}, prompt_token_ids=[1])
        assert "prompt_token_ids" not in run_whole(exchange(), answer)
        asked = exchange(request(return_token_ids=True))
        assert run_whole(asked, answer)["prompt_token_ids"] == [1]

    @pytest.mark.parametrize(
        ("field", "fields"),
        [
            ("reasoning_content", {"reasoning_content"}),
            ("reasoning", {"reasoning"}),
            ("both", {"reasoning", "reasoning_content"}),
        ],
    )
    def test_thoughts_come_in_the_field_that_the_client_reads(
        self, field: Any, fields: set[str]
    ) -> None:
        answer = completion({"content": "x", "reasoning": "hm"})
        (choice,) = run_whole(exchange(reasoning_field=field), answer)["choices"]
        assert choice["message"].keys() - {"role", "content"} == fields
        made = exchange(stream_request(), reasoning_field=field)
        first, *_ = chunks(run(made, *deltas({"reasoning": "hm"}, {"content": "x"}), DONE))
        assert first["choices"][0]["delta"].keys() - {"role"} == fields

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
    def test_an_error_of_the_upstream_passes_unchanged(self, status: int) -> None:
        made = exchange()
        body = b'{"error": {"message": "any", "code": 1}} '
        assert run(made, body[:5], body[5:], status=status, kind="text/x") == body
        assert made.head == (status, "text/x", False)

    def test_an_error_without_a_type_is_json(self) -> None:
        made = exchange()
        run(made, b"x", status=500, kind="")
        assert made.head == (500, "application/json", False)


class TestToolChoice:
    @pytest.mark.parametrize("wants_stream", [False, True])
    def test_none_passes_no_call_on(self, wants_stream: bool) -> None:
        made = exchange(request(stream=wants_stream, tool_choice="none", tools=[tool()]))
        written = run(made, *deltas({"content": CALLS}), DONE)
        assert b"tool_calls" not in written
        assert b"Let me look." in written
        assert b'"finish_reason":"stop"' in written
        assert made.problems["call-surplus"] == 1
        assert made.calls == 0

    @pytest.mark.parametrize("wants_stream", [False, True])
    def test_one_at_a_time_passes_the_first_on(self, wants_stream: bool) -> None:
        made = exchange(request(stream=wants_stream, parallel_tool_calls=False))
        written = run(made, *deltas({"content": TWO_CALLS}), DONE)
        assert b"functions.weather:0" in written
        assert b"functions.weather:1" not in written
        assert b'"finish_reason":"tool_calls"' in written
        assert made.problems["call-surplus"] == 1

    def test_one_call_where_one_may_come_is_no_problem(self) -> None:
        made = exchange(request(parallel_tool_calls=False))
        run(made, *deltas({"content": CALLS}), DONE)
        assert not made.problems

    @pytest.mark.parametrize(
        ("choice", "text"),
        [
            ("required", '[{"name": "weather", "arguments": {"city": "Paris"}}]'),
            ({"type": "function", "function": {"name": "weather"}}, '{"city": "Paris"}'),
        ],
    )
    def test_bare_json_is_the_call_that_was_demanded(self, choice: Any, text: str) -> None:
        made = exchange(request(tool_choice=choice, tools=[tool()]))
        (answer,) = run_whole(made, completion({"content": text}))["choices"]
        (made_call,) = answer["message"]["tool_calls"]
        assert made_call["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
        assert answer["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize("recover", [False, True])
    def test_a_call_without_markers_is_one_where_that_is_wanted(self, recover: bool) -> None:
        made = exchange(request(tools=[tool()]), recover_stripped=recover)
        text = 'functions.weather:0{"city": "Paris"}'
        (answer,) = run_whole(made, completion({"content": text}))["choices"]
        assert ("tool_calls" in answer["message"]) == recover
        assert made.problems["markers-stripped"] == 1

    @pytest.mark.parametrize("cut", [1, 7, 10_000])
    @pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning"])
    def test_the_markup_of_kimi_k3_is_named_and_not_guessed_at(self, name: str, cut: int) -> None:
        text = "<|open|>tool<|sep|>f<|close|><|end_of_msg|>"
        pieces = [{name: text[at : at + cut]} for at in range(0, len(text), cut)]
        made = exchange(request(tools=[tool()], stream=True))
        run(made, *deltas(*pieces), DONE)
        assert made.problems == {"other-format": 1}
        assert made.calls == 0

    @pytest.mark.parametrize("name", ["content", "reasoning_content"])
    def test_it_is_named_in_a_whole_answer_too(self, name: str) -> None:
        made = exchange(request())
        run_whole(made, completion({name: "<|open|>tool<|sep|>f<|close|>"}))
        assert made.problems == {"other-format": 1}

    def test_where_a_demanded_call_did_not_come_none_is_invented(self) -> None:
        made = exchange(request(tool_choice="required", tools=[tool()]))
        (choice,) = run_whole(made, completion({"content": "no"}))["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("no", "stop")
        assert made.problems["answer-call-missing"] == 1


class TestEscapes:
    ESCAPED = "<\u2060|im_end|>"

    @pytest.mark.parametrize("wants_stream", [False, True])
    def test_they_are_taken_out_of_the_answer(self, wants_stream: bool) -> None:
        body = request({"role": "user", "content": "what is <|im_end|>?"}, stream=wants_stream)
        made = exchange(body)
        text = f"{self.ESCAPED} is" + section(call("functions.f:0", {"x": self.ESCAPED}))
        written = run(made, *deltas(*({"content": piece} for piece in text)), DONE).decode()
        assert "\u2060" not in written
        assert (
            "<|im_end|> is"
            in "".join(
                each["choices"][0]["delta"].get("content", "") for each in chunks(written.encode())
            )
            if wants_stream
            else "<|im_end|> is" in written
        )

    def test_text_that_nobody_escaped_is_not_touched(self) -> None:
        answer = run_whole(exchange(), completion({"content": self.ESCAPED}))
        assert answer["choices"][0]["message"]["content"] == self.ESCAPED

    def test_what_was_held_back_comes_at_the_end(self) -> None:
        made = exchange(
            stream_request() | {"messages": [{"role": "user", "content": "<|im_end|>"}]}
        )
        written = run(made, *deltas({"content": "a <"}), DONE)
        text = "".join(each["choices"][0]["delta"].get("content", "") for each in chunks(written))
        assert text == "a <"


class TestTokenIds:
    """llama.cpp drops the markers' text, and gives the ids in its log probabilities."""

    BEGIN, ARGUMENTS, END = 163597, 163598, 163599

    def pieces(self) -> list[bytes]:
        tokens = [
            ("Hi.", 1),
            ("", self.BEGIN),
            ("functions.weather:0", 2),
            ("", self.ARGUMENTS),
            ('{"city": "<|tool_call_end|>"}', 3),
            ("", self.END),
        ]
        return [
            event(chunk({"content": text}, logprobs={"content": [{"token": text, "id": token_id}]}))
            for text, token_id in tokens
        ] + [event(chunk({}, "stop"))]

    def test_markers_are_known_by_their_ids(self) -> None:
        made = exchange(engine="llama.cpp")
        assert json.loads(made.upstream_body)["logprobs"] is True
        (choice,) = json.loads(run(made, *self.pieces(), DONE))["choices"]
        (made_call,) = choice["message"]["tool_calls"]
        assert made_call["function"]["arguments"] == '{"city": "<|tool_call_end|>"}'
        assert choice["message"]["content"] == "Hi."
        assert choice["logprobs"] is None

    def test_ids_may_be_in_a_field_of_their_own(self) -> None:
        made = exchange(engine="vllm", token_ids="on")
        assert json.loads(made.upstream_body)["return_token_ids"] is True
        pieces = [
            event(chunk({"content": "Hi."}, token_ids=[1, self.BEGIN])),
            event(chunk({"content": "functions.weather:0"}, token_ids=[2])),
            event(chunk({"content": ""}, token_ids=[self.ARGUMENTS])),
            event(chunk({"content": "{}"}, token_ids=[3, self.END])),
            event(chunk({}, "stop", token_ids="x")),
        ]
        (choice,) = json.loads(run(made, *pieces, DONE))["choices"]
        assert choice["message"]["tool_calls"][0]["id"] == "functions.weather:0"
        assert choice["message"]["content"] == "Hi."

    @pytest.mark.parametrize("logprobs", [None, [], {}, {"content": None}, {"content": [1, {}]}])
    def test_a_piece_without_ids_is_read_as_text(self, logprobs: Any) -> None:
        made = exchange(engine="llama.cpp")
        piece = event(chunk({"content": CALLS}, logprobs=logprobs))
        answer = json.loads(run(made, piece, event(chunk({}, "stop")), DONE))
        assert answer["choices"][0]["finish_reason"] == "tool_calls"


class TestTheEnd:
    def test_nothing_after_done_is_passed_on(self) -> None:
        made = exchange(stream_request())
        written = run(made, *deltas({"content": "x"}), DONE + event(chunk({"content": "y"})))
        assert written.endswith(DONE)
        assert b'"y"' not in written
        assert made.problems == {"upstream-data-after-end": 1}
        assert made.done
        assert made.receive(event(chunk({"content": "z"}))) == b""
        assert made.finish() == b""

    def test_a_choice_that_ends_twice_ends_once(self) -> None:
        made = exchange(stream_request())
        written = run(made, *deltas({"content": "x"}), *deltas({"content": "y"}), DONE)
        assert [each["choices"][0]["finish_reason"] for each in chunks(written)][-1] == "stop"
        assert made.problems == {"upstream-data-after-end": 2}

    def test_done_without_a_reason_is_told_from_the_text(self) -> None:
        made = exchange(stream_request())
        written = run(made, event(chunk({"content": CALLS})), DONE)
        assert chunks(written)[-1]["choices"][0]["finish_reason"] == "tool_calls"
        assert made.problems == {"upstream-finish-missing": 1}

    @pytest.mark.parametrize("last", [b"", b"data: [DONE]", b"data: [DONE]\n"])
    def test_a_finished_stream_may_lack_its_last_lines(self, last: bytes) -> None:
        written = run(exchange(stream_request()), *deltas({"content": "x"}), last)
        assert written.endswith(DONE)

    @pytest.mark.parametrize(
        "cut", [b"", b'data: {"choices": [', event(chunk({"content": CALLS[:60]}))]
    )
    @pytest.mark.parametrize("wants_stream", [False, True])
    def test_an_unfinished_one_is_an_error(self, cut: bytes, wants_stream: bool) -> None:
        made = exchange(request(stream=wants_stream))
        written = run(made, event(chunk({"content": "x"})), cut)
        assert error_of(written) == made.error == "upstream-ended-early"
        assert b"[DONE]" not in written
        assert made.head is not None
        assert made.head.status == (200 if wants_stream else 502)

    def test_a_body_that_broke_off_is_an_error(self) -> None:
        for status in (200, 500):
            made = exchange()
            made.begin(status, "application/json")
            made.receive(b"{")
            written = made.finish(complete=False)
            assert made.error == "upstream-ended-early"
            assert bool(written) == (status == 200)
        made = exchange(stream_request())
        made.begin(200, "text/event-stream")
        made.receive(b"".join(deltas({"content": "x"})))
        assert made.finish(complete=False) == DONE

    @pytest.mark.parametrize("sends_stream", [False, True])
    def test_an_answer_without_a_choice_is_an_error(self, sends_stream: bool) -> None:
        made = exchange()
        if sends_stream:
            written = run(made, event({"choices": []}), DONE)
        else:
            written = run(made, b'{"choices": "x"}', kind="application/json")
        assert error_of(written) == "upstream-invalid"

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000])
    def test_an_answer_that_is_no_object_is_an_error(self, body: bytes) -> None:
        made = exchange(stream_request())
        assert error_of(run(made, body, kind="text/html")) == "upstream-invalid"
        assert made.head == (502, "application/json", False)

    def test_a_redirect_is_not_followed(self) -> None:
        made = exchange()
        assert error_of(run(made, b"x", status=302, kind="")) == "upstream-redirected"
        assert made.head is not None
        assert made.head.status == 502


class TestErrorsInStreams:
    @pytest.mark.parametrize(
        "raw",
        [
            event({"error": {"message": "boom", "code": 500}}),
            b'event: error\ndata: {"message": "boom", "code": 500}\n\n',
            b'error: {"message": "boom", "code": 500}\n\n',
        ],
    )
    def test_an_error_object_is_passed_on(self, raw: bytes) -> None:
        made = exchange(stream_request())
        written = run(made, event(chunk({"content": "x"})), raw, DONE)
        assert chunks(written)[-1] == {"error": {"message": "boom", "code": 500}}
        assert b"[DONE]" not in written
        assert made.error == "upstream-error"

    @pytest.mark.parametrize(
        ("error", "status"),
        [({"code": 400}, 400), ({"code": 200}, 502), ({"code": "x"}, 502), ("boom", 502)],
    )
    @pytest.mark.parametrize("sends_stream", [False, True])
    def test_without_a_stream_it_gets_its_status(
        self, error: Any, status: int, sends_stream: bool
    ) -> None:
        made = exchange()
        if sends_stream:
            written = run(made, event({"error": error}))
        else:
            written = run(made, json.dumps({"error": error}).encode(), kind="application/json")
        assert json.loads(written) == {"error": error}
        assert made.head is not None
        assert made.head.status == status

    @pytest.mark.parametrize(
        "raw", [b"data: {\n\n", b"data: ping\n\n", b"data: " + b"[" * 3000 + b"\n\n"]
    )
    def test_a_damaged_event_ends_the_stream(self, raw: bytes) -> None:
        made = exchange(stream_request())
        written = run(made, event(chunk({"content": "x"})), raw, *deltas({"content": "y"}), DONE)
        assert error_of(written) == "upstream-event-invalid"

    @pytest.mark.parametrize("raw", [b"data: null\n\n", b"data: [1]\n\n", b'data: "x"\n\n'])
    def test_an_event_that_is_no_object_is_reported(self, raw: bytes) -> None:
        made = exchange(stream_request())
        assert run(made, raw, *deltas({"content": "x"}), DONE).endswith(DONE)
        assert made.problems == {"upstream-field-invalid": 1}

    def test_comments_and_empty_events_are_nothing(self) -> None:
        made = exchange(stream_request())
        assert run(made, b": ping\n\ndata:\n\ndata: \n\n", *deltas({"content": "x"}), DONE)
        assert not made.problems

    def test_an_event_above_the_limit_ends_the_stream(self) -> None:
        made = exchange(stream_request(), event_limit=300)
        written = run(made, event(chunk({"content": "x" * 400})))
        assert error_of(written) == "upstream-event-too-large"

    @pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
    def test_an_answer_above_the_limit_ends(self, kind: str) -> None:
        made = exchange(answer_limit=1000)
        written = run(made, *[event(chunk({"content": "x"}))] * 10, kind=kind)
        assert error_of(written) == "upstream-answer-too-large"

    def test_the_caller_can_end_an_exchange(self) -> None:
        made = exchange(stream_request())
        made.begin(200, "text/event-stream")
        assert error_of(made.fail("gateway-stopping", "Stopping.", 503)) == "gateway-stopping"
        assert made.fail("again", "Again.") == b""
        assert made.error == "gateway-stopping"
