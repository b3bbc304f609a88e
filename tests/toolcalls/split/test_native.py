"""Native tool calls, as servers send them and as they should not."""

from typing import Any

import pytest

from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart, Message, Problem, SplitReader
from tests.toolcalls.transcripts import section

TOOLS = [
    {"type": "function", "function": {"name": "weather"}},
    {"type": "function", "function": {"name": "now"}},
]


def delta(index: object = None, call_id: object = None, **function: object) -> dict[str, Any]:
    fields = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in fields.items() if value is not None}


def message_of(*pieces: object, finish_reason: str = "tool_calls", **options: Any) -> Message:
    """The message of an answer whose deltas each hold one of these."""
    reader = SplitReader(**options)
    for piece in pieces:
        reader.feed(tool_calls=[piece])
    reader.finish(finish_reason)
    return reader.message


def ids(message: Message) -> list[str]:
    return [call.id for call in message.tool_calls]


def arguments(message: Message) -> list[str]:
    return [call.arguments for call in message.tool_calls]


def codes(message: Message) -> list[str]:
    return [problem.code for problem in message.problems]


class TestIds:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("functions.weather:5", "functions.weather:5"),
            ("weather:5", "functions.weather:5"),
            ("functions_weather_5", "functions.weather:5"),
            ("weather_5", "functions.weather:5"),
            ("5", "functions.weather:5"),
            ("functions.weather:1", "functions.weather:3"),
            ("functions.now:5", "functions.weather:3"),
            ("call_5f0e", "functions.weather:3"),
            ("chatcmpl-tool-7", "functions.weather:3"),
            ("5" * 16, "functions.weather:3"),
            ("", "functions.weather:3"),
            (None, "functions.weather:3"),
            (7, "functions.weather:3"),
        ],
    )
    def test_they_are_native_and_number_on(self, given: object, expected: str) -> None:
        message = message_of(
            delta(0, given, name="weather", arguments="{}"), tools=TOOLS, first_index=3
        )
        assert ids(message) == [expected]
        assert codes(message) == ([] if given == expected else ["call-id-repaired"])

    def test_the_server_s_is_kept_beside(self) -> None:
        (call,) = message_of(delta(0, "call_1", name="weather")).tool_calls
        assert (call.id, call.raw_id) == ("functions.weather:0", "call_1")

    def test_they_are_used_once(self) -> None:
        message = message_of(
            delta(0, "functions.now:4", name="now"),
            delta(1, "functions.now:4", name="now"),
            delta(2, "x", name="now"),
            delta(3, "functions.now:" + "9" * 16, name="now"),
            delta(4, "y", name="now"),
        )
        assert ids(message) == [f"functions.now:{number}" for number in (4, 5, 2, 3, 6)]

    def test_a_name_that_no_id_can_hold(self) -> None:
        assert ids(message_of(delta(0, name="my tool<|"))) == ["functions.my_tool_|:0"]


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "<|tool_call_begin|>weather",
            " weather\n",
            "functions.weather",
            "functions.weather:0",
            "<|tool_call_begin|>functions.weather:0",
        ],
    )
    def test_what_the_server_left_in_it_goes(self, name: str) -> None:
        message = message_of(delta(0, name=name), tools=TOOLS)
        assert [call.name for call in message.tool_calls] == ["weather"]

    def test_an_undeclared_tool_is_passed_on_and_reported(self) -> None:
        message = message_of(delta(0, "functions.rm:0", name="rm"), tools=TOOLS)
        assert [call.name for call in message.tool_calls] == ["rm"]
        assert codes(message) == ["tool-undeclared"]

    def test_it_may_come_late(self) -> None:
        message = message_of(
            delta(0, "functions.now:0", arguments='{"a"'),
            delta(0, name="now", arguments=": 1}"),
        )
        assert arguments(message) == ['{"a": 1}']

    def test_the_id_may_hold_it(self) -> None:
        message = message_of(delta(0, "functions.now:0", arguments="{}"))
        assert ids(message) == ["functions.now:0"]

    def test_without_one_the_call_is_reported(self) -> None:
        message = message_of(delta(0, "call_1", arguments='{"a": 1}'), finish_reason="stop")
        assert message.tool_calls == ()
        assert message.finish_reason == "stop"
        (problem,) = message.problems
        assert (problem.code, problem.text) == ("server-call-unreadable", 'call_1 {"a": 1}')


class TestDeltas:
    def test_one_call_in_pieces(self) -> None:
        message = message_of(
            delta(0, "functions.weather:0", name="weather", arguments=""),
            delta(0, arguments='{"city"'),
            delta(0, arguments=': "Paris"}'),
        )
        assert arguments(message) == ['{"city": "Paris"}']
        assert codes(message) == []

    def test_an_id_and_a_name_may_be_repeated(self) -> None:
        message = message_of(
            delta(0, "a", name="now", arguments="{"), delta(0, "a", name="now", arguments="}")
        )
        assert arguments(message) == ["{}"]

    def test_calls_may_be_interleaved(self) -> None:
        message = message_of(
            delta(0, name="now", arguments='{"a"'),
            delta(1, name="weather", arguments="{"),
            delta(0, arguments=": 1}"),
            delta(1, arguments="}"),
        )
        assert arguments(message) == ['{"a": 1}', "{}"]

    def test_the_index_may_be_missing(self) -> None:
        message = message_of(
            delta(None, "a", name="now", arguments='{"a"'),
            delta(None, arguments=": 1"),
            delta(None, "a", name="now", arguments="}"),
            delta(None, "b", name="now", arguments="{}"),
            delta(None, name="now", arguments="{}"),
        )
        assert arguments(message) == ['{"a": 1}', "{}", "{}"]

    def test_the_index_may_always_be_0(self) -> None:
        message = message_of(
            delta(0, "a", name="now", arguments='{"a": 1}'),
            delta("0", "b", name="weather", arguments="{"),
            delta(0, "b", arguments="}"),
        )
        assert [call.name for call in message.tool_calls] == ["now", "weather"]
        assert arguments(message) == ['{"a": 1}', "{}"]

    def test_a_whole_call_ends_when_the_next_begins(self) -> None:
        reader = SplitReader()
        events = reader.feed(
            tool_calls=[delta(0, "now:0", name="now", arguments="{}"), delta(1, name="now")]
        )
        assert [type(event) for event in events] == [
            *(Problem, CallStart, ArgumentsDelta, CallEnd),
            *(Problem, CallStart),
        ]

    def test_more_of_an_ended_call_is_reported(self) -> None:
        message = message_of(
            delta(0, "functions.now:0", name="now", arguments="{}"),
            delta(1, "functions.now:1", name="now", arguments="{}"),
            delta(0, name="now", arguments=" "),
            delta(0, arguments="{more}"),
        )
        assert arguments(message) == ["{}", "{}"]
        (problem,) = message.problems
        assert (problem.code, problem.text) == ("server-call-unreadable", "{more}")


class TestArguments:
    @pytest.mark.parametrize(
        ("written", "expected", "complete"),
        [
            (None, "{}", True),
            ("", "{}", True),
            (" \n", "{}", True),
            ({"city": "天"}, '{"city": "天"}', True),
            ([1], "[1]", False),
            (7, "7", False),
            ('{"a": 1}<|tool_call_end|><|tool_calls_section_end|>', '{"a": 1}', True),
            ('{"a": "<|tool_call_end|>"}', '{"a": "<|tool_call_end|>"}', True),
            ('{"a": ', '{"a":', False),
        ],
    )
    def test_they_are_read_as_in_text(self, written: object, expected: str, complete: bool) -> None:
        (call,) = message_of(delta(0, name="now", arguments=written)).tool_calls
        assert (call.arguments, call.complete) == (expected, complete)

    def test_calls_that_the_server_took_for_arguments_are_found(self) -> None:
        second = (
            '<|tool_call_begin|>functions.weather:1<|tool_call_argument_begin|>{"city": "Rome"}'
        )
        message = message_of(
            delta(0, "functions.now:0", name="now", arguments=f"{{}}<|tool_call_end|>{second}"),
            delta(1, "functions.now:2", name="now", arguments="{}"),
        )
        assert ids(message) == ["functions.now:0", "functions.weather:1", "functions.now:2"]

    def test_a_cut_call_is_as_it_came(self) -> None:
        message = message_of(delta(0, name="now", arguments=""), finish_reason="length")
        assert (message.tool_calls[0].arguments, message.tool_calls[0].complete) == ("", False)


class TestWrongTypes:
    @pytest.mark.parametrize(
        "calls",
        [
            "text",
            7,
            {"index": 0},
            [None],
            [7],
            ["text"],
            [[]],
            [{"function": "f"}],
            [{"function": []}],
            [{"function": {"name": "f", "arguments": {1, 2}}}],
        ],
    )
    def test_they_are_reported(self, calls: Any) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=calls)
        problem = reader.message.problems[-1]
        assert problem.code == "server-field-unreadable"

    @pytest.mark.parametrize("field", ["content", "reasoning"])
    @pytest.mark.parametrize("value", [7, {"a": 1}, [7], [{"type": "image_url"}], True])
    def test_text_fields_too(self, field: str, value: object) -> None:
        reader = SplitReader()
        reader.feed(**{field: value})
        (problem,) = reader.message.problems
        assert problem.code == "server-field-unreadable"

    def test_text_parts_are_text(self) -> None:
        reader = SplitReader()
        reader.feed(content=[{"type": "text", "text": "a"}, "b"])
        assert reader.message.content == "ab"

    def test_what_is_shown_of_them_is_short(self) -> None:
        nested: Any = []
        for _ in range(100_000):
            nested = [nested]
        for value in (nested, {"a": "x" * 5000}, {("no", "JSON"): 1}):
            reader = SplitReader()
            reader.feed(content={"a": value})
            (problem,) = reader.message.problems
            assert len(problem.text) <= 1000

    def test_nothing_grows_with_an_index(self) -> None:
        message = message_of(delta(99_999_999, name="now", arguments="{}"), delta(-1, name="now"))
        assert ids(message) == ["functions.now:0", "functions.now:1"]

    def test_nesting_is_no_danger(self) -> None:
        deep = '{"a": ' + "[" * 3000 + "]" * 3000 + "}"
        message = message_of(delta(0, name="now", arguments=deep))
        assert message.tool_calls[0].complete
        nested: Any = []
        for _ in range(3000):
            nested = [nested]
        reader = SplitReader()
        reader.feed(tool_calls=[delta(0, name="now", arguments=nested)])
        reader.feed(content=section())
        reader.finish("tool_calls")
        assert len(reader.message.tool_calls) == 1

    def test_so_many_are_open_at_once(self) -> None:
        reader = SplitReader()
        events = reader.feed(tool_calls=[delta(n, name=f"f{n}") for n in range(100)])
        assert sum(isinstance(event, CallStart) for event in events) == 100
        reader.finish("tool_calls")
        assert all(call.complete for call in reader.message.tool_calls)

    def test_a_call_without_a_name_is_closed_with_the_others(self) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=[delta(n, arguments="x") for n in range(70)])
        reader.finish("tool_calls")
        assert len(reader.message.problems) == 70
