"""Ids that clients give, the model's own, and the way back."""

import copy
from typing import Any

import pytest

from k2compat.toolcalls.history import HistoryError, native_history, restore_ids, safe_id


def assistant(*calls: tuple[object, str], content: object = None) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for call_id, name in calls
        ],
    }


def result(call_id: object, content: object = "ok", **more: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def ids(messages: list[dict[str, Any]]) -> list[list[str] | str]:
    """The ids of each assistant message's calls, and of each result."""
    return [
        [call["id"] for call in message["tool_calls"]]
        if "tool_calls" in message
        else message["tool_call_id"]
        for message in messages
        if message["role"] != "user"
    ]


class TestNumbering:
    def test_one_counter_over_the_whole_conversation(self) -> None:
        history = native_history(
            [
                {"role": "user", "content": "Weather?"},
                assistant(("call_a", "weather"), ("call_b", "time")),
                result("call_a"),
                result("call_b"),
                {"role": "user", "content": "And tomorrow?"},
                assistant(("1f6c-uuid", "weather")),
                result("1f6c-uuid"),
            ]
        )
        assert ids(history.messages) == [
            ["functions.weather:0", "functions.time:1"],
            "functions.weather:0",
            "functions.time:1",
            ["functions.weather:2"],
            "functions.weather:2",
        ]
        assert history.call_count == 3
        assert history.unmatched == ()
        assert history.original_ids == {
            "functions.weather:0": "call_a",
            "functions.time:1": "call_b",
            "functions.weather:2": "1f6c-uuid",
        }

    def test_results_in_another_order_than_the_calls(self) -> None:
        history = native_history([assistant(("a", "f"), ("b", "g")), result("b"), result("a")])
        assert ids(history.messages)[1:] == ["functions.g:1", "functions.f:0"]

    def test_native_ids_that_begin_again_in_every_message(self) -> None:
        messages = [
            assistant(("functions.f:0", "f")),
            result("functions.f:0"),
            assistant(("functions.f:0", "f")),
            result("functions.f:0"),
        ]
        assert ids(native_history(messages).messages) == [
            ["functions.f:0"],
            "functions.f:0",
            ["functions.f:1"],
            "functions.f:1",
        ]

    def test_native_ids_with_gaps(self) -> None:
        messages = [assistant(("functions.f:7", "f"), ("functions.f:0", "f"))]
        messages += [result("functions.f:0"), result("functions.f:7")]
        assert ids(native_history(messages).messages) == [
            ["functions.f:0", "functions.f:1"],
            "functions.f:1",
            "functions.f:0",
        ]

    def test_the_function_s_name_counts_not_the_id_s(self) -> None:
        history = native_history([assistant(("functions.old:0", "new"))])
        assert ids(history.messages) == [["functions.new:0"]]

    def test_good_ids_stay(self) -> None:
        messages = [assistant(("functions.f:0", "f"), content="a"), result("functions.f:0")]
        assert native_history(messages).messages == messages

    @pytest.mark.parametrize("name", ["get-weather", "a.b", "a:1", "天气", "7"])
    def test_names_an_id_can_hold(self, name: str) -> None:
        assert ids(native_history([assistant(("x", name))]).messages) == [[f"functions.{name}:0"]]


class TestIdsOfAnyForm:
    def test_numbers(self) -> None:
        history = native_history([assistant((7, "f"), (8, "g")), result(8), result("7")])
        assert ids(history.messages) == [
            ["functions.f:0", "functions.g:1"],
            "functions.g:1",
            "functions.f:0",
        ]
        assert history.original_ids["functions.f:0"] == "7"

    def test_none_at_all(self) -> None:
        history = native_history(
            [assistant((None, "f"), (None, "g"), (None, "f")), *map(result, [None] * 3)]
        )
        assert ids(history.messages)[1:] == ["functions.f:0", "functions.g:1", "functions.f:2"]
        assert history.unmatched == ()

    def test_none_but_the_tool_s_name(self) -> None:
        named = [result(None, name="g"), result(None), result(None, name="g")]
        history = native_history([assistant(("a", "f"), ("b", "g")), *named])
        assert ids(history.messages)[1:] == ["functions.g:1", "functions.f:0", "functions.g:2"]
        assert history.unmatched == (3,)

    def test_safe_ones(self) -> None:
        safe = safe_id("functions.a.b:3")
        history = native_history([assistant((safe, "a.b")), result(safe)])
        assert ids(history.messages) == [["functions.a.b:0"], "functions.a.b:0"]
        assert history.unmatched == ()


class TestReasoning:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"reasoning_content": "Hm."}, "Hm."),
            ({"reasoning": "Hm."}, "Hm."),
            ({"reasoning_content": None, "reasoning": "Hm."}, "Hm."),
            ({"reasoning_content": "Hm.", "reasoning": "Other."}, "Hm."),
            ({"reasoning_content": None}, ""),
            ({"reasoning": None}, ""),
            ({"reasoning": [{"type": "text", "text": "Hm."}]}, "Hm."),
            ({"reasoning": {"effort": "high"}}, {"effort": "high"}),
            ({"content": [{"type": "thinking", "thinking": "Hm."}]}, "Hm."),
        ],
    )
    def test_it_has_one_name_in_a_turn_with_calls(
        self, given: dict[str, object], expected: object
    ) -> None:
        (message,) = native_history([assistant(("a", "f")) | given]).messages
        assert message["reasoning_content"] == expected
        assert message["content"] == ""
        assert "reasoning" not in message

    def test_null_is_left_out_of_other_turns(self) -> None:
        message = {"role": "assistant", "content": "Hi"}
        nulls = {"reasoning_content": None, "reasoning": None}
        assert native_history([message | nulls]).messages == [message]

    def test_a_turn_without_one_gets_none(self) -> None:
        (message,) = native_history([assistant(("a", "f"))]).messages
        assert "reasoning_content" not in message

    def test_thinking_parts_go_where_the_template_reads_them(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:"}}
        parts = [{"type": "thinking", "thinking": "Hm."}, image, {"type": "text", "text": "Hi"}]
        (message,) = native_history([{"role": "assistant", "content": parts}]).messages
        assert message["reasoning_content"] == "Hm."
        assert message["content"] == parts[1:]

    def test_redacted_thoughts_are_dropped_and_their_places_named(self) -> None:
        redacted = {"type": "redacted_thinking", "data": "EmwKAhgB"}
        thought, text = {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi"}
        history = native_history(
            [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [redacted, text]},
                {"role": "assistant", "content": [thought, {"type": "redacted_thinking"}]},
                assistant(("a", "f")) | {"content": [redacted], "reasoning_content": None},
            ]
        )
        assert history.redacted_thoughts == (1, 2, 3)
        contents = [message["content"] for message in history.messages]
        assert contents == ["Hi", "Hi", "", ""]
        assert "reasoning_content" not in history.messages[1]
        assert history.messages[2]["reasoning_content"] == "Hm."
        assert history.messages[3]["reasoning_content"] == ""

    @pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
    def test_parts_of_others_stay(self, kind: str) -> None:
        message = {"role": "user", "content": [{"type": kind, "thinking": "Hm.", "data": "x"}]}
        history = native_history([message])
        assert history.messages == [message]
        assert not history.redacted_thoughts

    def test_only_the_assistant_reasons(self) -> None:
        message = {"role": "user", "content": "Hi", "reasoning": None}
        assert native_history([message]).messages == [message]


class TestArguments:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ('{"city":  "天"}', '{"city":  "天"}'),
            ({"city": "天"}, '{"city": "天"}'),
            (None, "{}"),
            (" ", "{}"),
        ],
    )
    def test_they_become_json_text(self, given: object, expected: str) -> None:
        message = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": given}}]}
        history = native_history([message])
        (call,) = history.messages[0]["tool_calls"]
        assert call["function"]["arguments"] == expected
        assert history.broken_arguments == ()

    @pytest.mark.parametrize("given", ['{"a": ', "[1]", '"{}"', [1], 7])
    def test_broken_ones_are_passed_on_and_named(self, given: object) -> None:
        message = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": given}}]}
        assert native_history([message]).broken_arguments == ("functions.f:0",)

    def test_what_is_no_json_is_refused(self) -> None:
        message = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {1, 2}}}]}
        with pytest.raises(HistoryError, match="the arguments of 'f' are no JSON value"):
            native_history([message])


class TestSharedIds:
    def test_within_one_message_results_follow_the_calls(self) -> None:
        history = native_history(
            [assistant(("x", "f"), ("x", "g")), result("x"), result("x"), result("x")]
        )
        assert ids(history.messages)[1:] == ["functions.f:0", "functions.g:1", "functions.g:1"]
        assert history.unmatched == ()

    def test_across_messages_the_latest_counts(self) -> None:
        history = native_history(
            [assistant(("x", "f"), ("x", "f")), assistant(("x", "g")), result("x")]
        )
        assert ids(history.messages)[-1] == "functions.g:2"


class TestWithoutACall:
    def test_the_id_tells_the_tool(self) -> None:
        history = native_history([result("functions.f:4"), assistant(("functions.g:5", "g"))])
        assert ids(history.messages) == ["functions.f:0", ["functions.g:1"]]
        assert history.unmatched == (0,)
        assert history.call_count == 2

    def test_the_name_tells_the_tool(self) -> None:
        history = native_history([assistant(("a", "f")), result("zzz", name="g")])
        assert ids(history.messages) == [["functions.f:0"], "functions.g:1"]
        assert history.unmatched == (1,)
        assert history.original_ids["functions.g:1"] == "zzz"

    def test_nothing_tells_the_tool(self) -> None:
        history = native_history([assistant(("a", "f")), result("zzz")])
        assert ids(history.messages) == [["functions.f:0"], "zzz"]
        assert history.unmatched == (1,)
        assert history.call_count == 1

    def test_an_id_that_is_no_id(self) -> None:
        history = native_history([assistant((None, "f")), result(["a"]), result(["a"], name="g")])
        assert history.unmatched == (1, 2)
        assert history.messages[1]["tool_call_id"] == ["a"]
        assert history.messages[2]["tool_call_id"] == "functions.g:1"
        assert history.original_ids == {}

    @pytest.mark.parametrize(
        ("call_id", "expected"),
        [
            ("functions_get_time_4", "functions.get_time:0"),
            ("get_time_4", "functions.get_time:0"),
            (safe_id("functions.a.b:4"), "functions.a.b:0"),
            ("a.b:4", "functions.a.b:0"),
            ("undeclared:4", "undeclared:4"),
        ],
    )
    def test_forms_that_name_a_tool_of_the_request(self, call_id: str, expected: str) -> None:
        tools = [{"function": {"name": name}} for name in ("get_time", "a.b", "my tool")]
        history = native_history([result(call_id)], tools)
        assert history.messages[0]["tool_call_id"] == expected

    def test_a_tool_of_the_conversation_is_known(self) -> None:
        history = native_history([assistant(("x", "a.b")), result(safe_id("functions.a.b:4"))])
        assert ids(history.messages) == [["functions.a.b:0"], "functions.a.b:1"]

    @pytest.mark.parametrize("name", ["my tool", 7])
    def test_a_name_that_no_id_can_hold(self, name: object) -> None:
        history = native_history([result("zzz", name=name)])
        assert history.messages == [result("zzz", name=name)]


class TestContent:
    @pytest.mark.parametrize("content", [None, "", []])
    def test_nothing_is_an_empty_string(self, content: object) -> None:
        history = native_history([assistant(("a", "f"), content=content), result("a", content)])
        assert [message["content"] for message in history.messages] == ["", ""]

    def test_missing_is_an_empty_string(self) -> None:
        assert native_history([{"role": "assistant"}]).messages[0]["content"] == ""

    def test_text_parts_are_their_text(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"text": "b"}]
        assert native_history([result("a", parts)]).messages[0]["content"] == "ab"

    @pytest.mark.parametrize(
        "part", [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text"}, "a"]
    )
    def test_other_parts_are_the_template_s(self, part: object) -> None:
        parts = [{"type": "text", "text": "a"}, part]
        message = {"role": "user", "content": parts}
        assert native_history([message]).messages == [message]


class TestRefusals:
    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ("hello", "must be an object"),
            ({"role": "assistant", "tool_calls": {"id": "a"}}, "must be a list"),
            ({"role": "assistant", "tool_calls": ["a"]}, "a function with a name"),
            ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "a function with a name"),
            ({"role": "assistant", "tool_calls": [{"function": {}}]}, "a function with a name"),
            (assistant(("a", "my tool")), "'my tool'"),
            (assistant(("a", "x<|y")), "no call id"),
            (assistant(("a", "")), "no call id"),
        ],
    )
    def test_the_place_and_the_reason_are_named(self, message: Any, reason: str) -> None:
        with pytest.raises(HistoryError, match=reason) as caught:
            native_history([{"role": "user", "content": "Hi"}, message])
        assert caught.value.position == 1
        assert str(caught.value).startswith("messages[1]: ")

    @pytest.mark.parametrize("messages", [None, "hello", {"role": "user"}, 7])
    def test_a_conversation_is_a_list(self, messages: Any) -> None:
        with pytest.raises(HistoryError, match="messages: the conversation must be a list") as it:
            native_history(messages)
        assert it.value.position is None


class TestRestoring:
    def test_there_and_back(self) -> None:
        messages = [
            {"role": "user", "content": "Hi"},
            assistant(("x", "f"), ("x", "g"), content=""),
            result("x"),
            result("x"),
            result("y"),
        ]
        history = native_history(messages)
        assert restore_ids(history.messages, history.original_ids) == messages

    def test_new_calls_keep_their_ids(self) -> None:
        history = native_history([assistant(("x", "f"))])
        answer = assistant(("functions.f:1", "f"))
        assert restore_ids([answer], history.original_ids) == [answer]

    def test_a_call_without_an_id(self) -> None:
        calls = {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}
        assert restore_ids([calls], {}) == [
            calls | {"tool_calls": [{"id": None, "function": {"name": "f"}}]}
        ]

    def test_the_input_stays_as_it_is(self) -> None:
        messages = [assistant(("x", "f"), content=None), result("x", [])]
        before = copy.deepcopy(messages)
        history = native_history(messages)
        assert messages == before
        native = copy.deepcopy(history.messages)
        restore_ids(history.messages, history.original_ids)
        assert history.messages == native
