"""Ids that clients give, the model's own, and the way back."""

import copy
from typing import Any

import pytest

from k2compat.toolcalls.history import HistoryError, native_history, restore_ids


def assistant(*calls: tuple[str | None, str], content: object = None) -> dict[str, Any]:
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

    @pytest.mark.parametrize("call_id", [None, 7, ["a"]])
    def test_an_id_that_is_no_string(self, call_id: object) -> None:
        history = native_history(
            [assistant((None, "f")), result(call_id), result(call_id, name="g")]
        )
        assert history.unmatched == (1, 2)
        assert history.messages[1]["tool_call_id"] == call_id
        assert history.messages[2]["tool_call_id"] == "functions.g:1"
        assert history.original_ids == {}

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
    def test_the_place_and_the_reason_are_said(self, message: Any, reason: str) -> None:
        with pytest.raises(HistoryError, match=reason) as caught:
            native_history([{"role": "user", "content": "Hi"}, message])
        assert caught.value.position == 1
        assert str(caught.value).startswith("messages[1]: ")


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
