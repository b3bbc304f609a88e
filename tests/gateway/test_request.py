"""The request steps: what each changes, what it reports, and that nothing else changes."""

import json
from typing import Any

import pytest

from k2compat.gateway import STEP_NAMES, STEPS, Options, RequestRefusedError, prepare
from k2compat.gateway.request import prepare_body, write_body
from tests.gateway.support import (
    USER,
    assistant,
    call,
    noted,
    prepared,
    request,
    result,
    tool,
)


class TestTheBody:
    def test_a_request_that_needs_nothing_passes_unchanged(self) -> None:
        body = request(
            USER,
            tools=[tool()],
            temperature=0.6,
            seed=2**70,
            metadata={"any": [1, None, {"x": "y"}]},
            response_format={"type": "json_object"},
        )
        answer = prepared(body)
        assert json.loads(write_body(answer)) == body
        assert answer.notes == ()

    def test_a_name_that_comes_twice_reaches_the_upstream_once(self) -> None:
        """Parsers differ in which of two they take; the one that was repaired is sent."""
        hidden = '"messages": [{"role": "user", "content": "<|im_end|>"}]'
        body = f'{{{hidden}, "messages": [{{"role": "user", "content": "x"}}]}}'.encode()
        written = write_body(prepare(body, Options()))
        assert written == b'{"messages":[{"role":"user","content":"x"}]}'

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "not a JSON text"),
            (b'{"seed": ' + b"1" * 5000 + b"}", "holds a whole number of more than 4300 digits"),
            (b"[]", "must be a JSON object"),
            (b"{}", "messages must be a list of objects"),
            (b'{"messages": "x"}', "messages must be a list of objects"),
            (b'{"messages": [1]}', "messages must be a list of objects"),
            (b'{"messages": [], "tools": {}}', "tools must be a list of objects"),
            (b'{"messages": [], "tools": [1]}', "tools must be a list of objects"),
            (b'{"messages": [], "model": 1}', "model must be a string"),
            (b'{"messages": [], "stream": "yes"}', "stream must be true or false"),
            (b'{"messages": [], "n": 0}', "n must be a whole number from 1 to 128"),
            (b'{"messages": [], "n": 129}', "n must be a whole number from 1 to 128"),
            (b'{"messages": [], "n": true}', "n must be a whole number from 1 to 128"),
        ],
    )
    def test_what_is_no_chat_request_is_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(RequestRefusedError, match=message) as caught:
            prepare(body, Options())
        assert (caught.value.status, caught.value.code) == (400, "request-invalid")

    def test_a_history_without_meaning_is_refused_without_quoting_it(self) -> None:
        body = request(USER, assistant(call("x", "a secret name")))
        with pytest.raises(RequestRefusedError, match=r"messages\[1\]") as caught:
            prepared(body)
        assert caught.value.code == "request-history-invalid"
        assert "secret" not in caught.value.message

    def test_steps_take_a_history_without_meaning(self) -> None:
        body = request(USER, assistant({"id": "x"}, "y"), {**assistant(), "tool_calls": 1})
        with pytest.raises(RequestRefusedError, match="messages"):
            prepared(body, skip=["history-ids", "content"])

    def test_a_decoded_body_is_prepared_too(self) -> None:
        body = request({"role": "user", "content": "<|im_end|>"})
        assert prepare_body(body, Options()).escaped == {"<|im_end|>"}

    def test_a_body_that_cannot_be_written_again_is_refused(self) -> None:
        answer = prepared(request(USER))
        nested: list[Any] = []
        for _ in range(100_000):
            nested = [nested]
        answer.body["x"] = nested
        with pytest.raises(RequestRefusedError, match="nested too deeply"):
            write_body(answer)

    def test_what_the_client_asked_for_is_remembered(self) -> None:
        answer = prepared(
            request(
                stream=True,
                n=3,
                stream_options={"include_usage": True},
                logprobs=True,
                return_token_ids=True,
                tools=[tool()],
            ),
            engine="vllm",
        )
        assert answer.streams
        assert answer.choices == 3
        assert answer.wants_usage
        assert answer.wants_logprobs
        assert answer.wants_ids
        assert answer.tools == [tool()]

    def test_the_upstream_s_name_of_the_model_replaces_the_client_s(self) -> None:
        assert prepared(request(), model="moonshotai/Kimi-K2").body["model"] == "moonshotai/Kimi-K2"

    def test_every_step_has_a_name_of_its_own(self) -> None:
        assert len(set(STEP_NAMES)) == len(STEPS) == 10


class TestHistoryIds:
    def test_ids_become_the_model_s_own(self) -> None:
        body = request(USER, assistant(call("call_1"), call("call_2")), result("call_2"))
        answer = prepared(body)
        ids = [each["id"] for each in answer.body["messages"][1]["tool_calls"]]
        assert ids == ["functions.weather:0", "functions.weather:1"]
        assert answer.body["messages"][2]["tool_call_id"] == "functions.weather:1"
        assert answer.first_index == 2
        assert noted(answer)["history-ids-renamed"] == 3

    def test_native_ids_are_not_changed(self) -> None:
        body = request(USER, assistant(call("functions.weather:0")), result("functions.weather:0"))
        assert "history-ids-renamed" not in noted(prepared(body))

    def test_a_result_without_a_call_is_kept_and_reported(self) -> None:
        answer = prepared(request(USER, result("call_x")))
        assert answer.body["messages"][1]["tool_call_id"] == "call_x"
        assert noted(answer)["history-results-unmatched"] == 1

    def test_the_conversation_of_kimi_code_3429(self) -> None:
        """Ids sanitised by a client: the model ended its turn until they were native."""
        body = request(
            USER,
            assistant(call("functions_Read_0", "Read")),
            result("functions_Read_0"),
            assistant(call("functions_Bash_1", "Bash")),
            result("functions_Bash_1"),
        )
        messages = prepared(body).body["messages"]
        assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]
        assert messages[2]["tool_call_id"] == "functions.Read:0"
        assert messages[3]["tool_calls"][0]["id"] == messages[4]["tool_call_id"]
        assert messages[4]["tool_call_id"] == "functions.Bash:1"

    def test_skipped_ids_stay_and_are_still_counted(self) -> None:
        body = request(USER, assistant(call("call_1")), result("call_1"))
        answer = prepared(body, skip=["history-ids"])
        assert answer.body["messages"][2]["tool_call_id"] == "call_1"
        assert answer.first_index == 1

    def test_a_result_without_an_id_is_kept(self) -> None:
        messages = prepared(request(USER, {"role": "tool", "content": "x"})).body["messages"]
        assert messages[1] == {"role": "tool", "content": "x"}


class TestContent:
    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (None, ""),
            ([], ""),
            ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ],
    )
    def test_what_templates_print_as_python_becomes_text(self, content: Any, text: str) -> None:
        answer = prepared(request({"role": "user", "content": content}))
        assert answer.body["messages"][0]["content"] == text
        assert noted(answer) == {"history-content-flattened": 1}

    def test_parts_with_images_are_left_alone(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]
        answer = prepared(request({"role": "user", "content": parts}))
        assert answer.body["messages"][0]["content"] == parts

    def test_the_step_can_be_skipped(self) -> None:
        body = request(USER, assistant(call("functions.weather:0")))
        assert prepared(body, skip=["content"]).body["messages"][1]["content"] is None


class TestThoughts:
    def test_the_newer_name_becomes_the_one_that_templates_read(self) -> None:
        answer = prepared(request(USER, assistant(call("x"), reasoning="hm")))
        assert answer.body["messages"][1]["reasoning_content"] == "hm"
        assert "reasoning" not in answer.body["messages"][1]
        assert noted(answer)["history-thoughts-moved"] == 1

    def test_where_both_names_are_there_the_older_counts(self) -> None:
        message = assistant(call("x"), reasoning="new", reasoning_content="old")
        assert prepared(request(USER, message)).body["messages"][1]["reasoning_content"] == "old"

    def test_null_becomes_empty_beside_calls_and_nothing_elsewhere(self) -> None:
        with_calls = assistant(call("x"), reasoning_content=None)
        without = assistant(content="hi", reasoning_content=None)
        answer = prepared(request(USER, with_calls, without))
        assert answer.body["messages"][1]["reasoning_content"] == ""
        assert "reasoning_content" not in answer.body["messages"][2]
        assert noted(answer)["history-thoughts-null"] == 2

    def test_thinking_parts_leave_the_content(self) -> None:
        parts = [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "hi"},
        ]
        message = prepared(request(USER, assistant(content=parts))).body["messages"][1]
        assert message == {"role": "assistant", "content": "hi", "reasoning_content": "hm"}

    def test_redacted_parts_are_dropped_and_reported(self) -> None:
        parts = [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "hi"}]
        answer = prepared(request(USER, assistant(content=parts), assistant(content=parts[:1])))
        contents = [message["content"] for message in answer.body["messages"]]
        assert contents == [USER["content"], "hi", ""]
        assert noted(answer)["history-thoughts-redacted"] == 2
        assert all("reasoning_content" not in each for each in answer.body["messages"])

    @pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
    def test_without_the_step_no_part_is_lost(self, kind: str) -> None:
        message = assistant(content=[{"type": kind, kind: "hm"}, {"type": "text", "text": "hi"}])
        answer = prepared(request(USER, message), skip=["thoughts"])
        assert answer.body["messages"][1] == message
        assert "history-thoughts-redacted" not in noted(answer)

    def test_thinking_parts_do_not_replace_the_field(self) -> None:
        parts = [{"type": "thinking", "thinking": "part"}]
        message = assistant(content=parts, reasoning_content="field")
        message = prepared(request(USER, message)).body["messages"][1]
        assert (message["content"], message["reasoning_content"]) == ("", "field")

    def test_the_step_can_be_skipped(self) -> None:
        message = assistant(call("functions.weather:0"), reasoning="hm", reasoning_content=None)
        answer = prepared(request(USER, message | {"content": ""}), skip=["thoughts"])
        assert answer.body["messages"][1] == message | {"content": ""}

    def test_only_assistants_think(self) -> None:
        body = request({"role": "user", "content": "x", "reasoning_content": None})
        assert prepared(body).body["messages"][0]["reasoning_content"] is None


class TestArguments:
    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"city": "巴黎", "n": [1]}, '{"city": "巴黎", "n": [1]}'),
            ({}, "{}"),
            (None, "{}"),
            ("", "{}"),
            (" ", "{}"),
        ],
    )
    def test_they_become_json_text(self, given: Any, text: str) -> None:
        answer = prepared(request(USER, assistant(call("x", arguments=given))))
        assert answer.body["messages"][1]["tool_calls"][0]["function"]["arguments"] == text
        assert noted(answer)["history-arguments-written"] == 1

    @pytest.mark.parametrize("given", ['{"a": ', "[1]", "x"])
    def test_broken_ones_pass_and_are_reported(self, given: str) -> None:
        answer = prepared(request(USER, assistant(call("x", arguments=given))))
        assert answer.body["messages"][1]["tool_calls"][0]["function"]["arguments"] == given
        assert noted(answer)["history-arguments-broken"] == 1


class TestRoles:
    def test_developer_becomes_system(self) -> None:
        answer = prepared(request({"role": "developer", "content": "Be brief."}, USER))
        assert answer.body["messages"][0]["role"] == "system"
        assert noted(answer) == {"history-roles-renamed": 1}


class TestToolChoice:
    @pytest.mark.parametrize(
        ("fields", "max_calls", "required"),
        [
            ({}, None, False),
            ({"tool_choice": "auto"}, None, False),
            ({"tool_choice": "none"}, 0, False),
            ({"tool_choice": "none", "parallel_tool_calls": False}, 0, False),
            ({"parallel_tool_calls": False}, 1, False),
            ({"parallel_tool_calls": True}, None, False),
            ({"tool_choice": "required"}, None, True),
            ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, None, True),
            ({"tool_choice": {"type": "function", "function": {"name": 1}}}, None, True),
            ({"tool_choice": {"type": "function", "function": 1}}, None, True),
        ],
    )
    def test_it_is_remembered_and_passed_on(
        self, fields: Any, max_calls: int | None, required: bool
    ) -> None:
        answer = prepared(request(tools=[tool()], **fields))
        assert (answer.max_calls, answer.call_required) == (max_calls, required)
        assert answer.body == request(tools=[tool()], **fields)

    def test_the_step_can_be_skipped(self) -> None:
        assert prepared(request(tool_choice="none"), skip=["tool-choice"]).max_calls is None


class TestRemovedFields:
    def test_templates_addresses_and_keys_are_taken_out(self) -> None:
        answer = prepared(
            request(
                chat_template="{{ 1 }}",
                api_base="http://evil",
                base_url="http://evil",
                api_key="k",
                kv_transfer_params={"remote_host": "evil"},
                bootstrap_host="evil",
                temperature=1,
            )
        )
        assert answer.body == request(temperature=1)
        assert noted(answer) == {"request-fields-removed": 6}

    def test_of_the_template_s_switches_the_known_ones_stay(self) -> None:
        answer = prepared(request(chat_template_kwargs={"thinking": False, "bos_token": "x"}))
        assert answer.body["chat_template_kwargs"] == {"thinking": False}
        assert noted(answer) == {"request-fields-removed": 1}


class TestExtras:
    def test_markers_are_kept_on_engines_that_drop_them(self) -> None:
        answer = prepared(request(), engine="vllm")
        assert answer.body == request(skip_special_tokens=False)
        assert noted(answer) == {"request-extras-added": 1}

    def test_a_stream_brings_the_token_counts(self) -> None:
        body = request(stream=True, stream_options={"chunk_include_usage": 1})
        answer = prepared(body, engine="sglang")
        assert answer.body["stream_options"] == {"chunk_include_usage": 1, "include_usage": True}
        assert not answer.wants_usage

    def test_what_is_there_already_is_not_added(self) -> None:
        body = request(
            stream=True, stream_options={"include_usage": True}, skip_special_tokens=False
        )
        assert prepared(body, engine="vllm").notes == ()

    def test_a_server_that_strips_is_asked_for_a_stream_with_ids(self) -> None:
        answer = prepared(request(), engine="llama.cpp")
        assert answer.body["stream"]
        assert answer.body["logprobs"]
        assert not answer.streams
        assert not answer.wants_logprobs

    def test_llama_cpp_refuses_ids_beside_tools(self) -> None:
        assert "logprobs" not in prepared(request(tools=[tool()]), engine="llama.cpp").body

    @pytest.mark.parametrize(
        ("engine", "option", "ids_in"),
        [
            ("vllm", "auto", ""),
            ("vllm", "on", "token_ids"),
            ("sglang", "on", "token_ids"),
            ("llama.cpp", "auto", "logprobs"),
            ("llama.cpp", "off", ""),
            ("trtllm", "on", ""),
            ("openai", "on", ""),
        ],
    )
    def test_token_ids_are_asked_for_where_they_are_wanted_and_given(
        self, engine: str, option: str, ids_in: str
    ) -> None:
        answer = prepared(request(), engine=engine, token_ids=option)
        assert answer.ids_in == ids_in
        assert answer.body.get("stream") == (True if ids_in else None)

    def test_nothing_is_added_for_other_servers(self) -> None:
        assert prepared(request(stream=True), engine="openai").body == request(stream=True)

    def test_the_step_can_be_skipped(self) -> None:
        assert prepared(request(), engine="vllm", skip=["extras"]).body == request()


class TestReasoning:
    @pytest.mark.parametrize(
        ("model", "mode"),
        [
            ("moonshotai/Kimi-K2-Instruct", "tagged"),
            ("kimi-k2-thinking", "tagged"),
            ("moonshotai/Kimi-K2.5", "prefilled"),
            ("kimi-k2.6", "prefilled"),
            ("Kimi-K2.7-Code", "prefilled"),
        ],
    )
    def test_the_model_s_name_tells_the_mode(self, model: str, mode: str) -> None:
        assert prepared(request() | {"model": model}).reasoning == mode
        assert prepared(request(), model=model).reasoning == mode

    def test_an_option_decides(self) -> None:
        assert prepared(request(), reasoning="off").reasoning == "off"

    def test_a_request_without_thinking_is_read_without(self) -> None:
        body = request(chat_template_kwargs={"thinking": False})
        assert prepared(body, reasoning="prefilled").reasoning == "off"

    def test_a_request_without_a_model_is_read_as_tagged(self) -> None:
        body = request()
        del body["model"]
        assert prepared(body).reasoning == "tagged"
