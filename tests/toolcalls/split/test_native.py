"""Native tool calls, as servers send them and as they should not."""

from typing import Any

import pytest

from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart, Message, Problem, SplitReader
from tests.toolcalls.transcripts import cut, section

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
            ("5" * 16, f"functions.weather:{'5' * 16}"),
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
        is_canonical = str(given).startswith("functions.weather:")
        code = "call-id-repeated" if is_canonical else "call-id-repaired"
        assert codes(message) == ([] if given == expected else [code])

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
        numbers = (4, 5, 2, "9" * 16, 6)
        assert ids(message) == [f"functions.now:{number}" for number in numbers]

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
        message = message_of(delta(0, "functions.weather:0", name=name), tools=TOOLS)
        assert [call.name for call in message.tool_calls] == ["weather"]
        assert codes(message) == ["server-markers-left"] * ("<|" in name)

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


LONGER = [*TOOLS, {"type": "function", "function": {"name": "weather_now"}}]


class TestNamesInPieces:
    @pytest.mark.parametrize("index", [0, None])
    @pytest.mark.parametrize(
        ("tools", "pieces", "expected"),
        [
            (TOOLS, ["wea", "ther"], "weather"),
            (TOOLS, ["functions.wea", "ther:0"], "weather"),
            (LONGER, ["weather", "_now"], "weather_now"),
            (LONGER, ["weather"], "weather"),
            (LONGER, ["wea", "ther", "_", "now"], "weather_now"),
        ],
    )
    def test_they_are_joined(
        self, index: int | None, tools: list[dict[str, Any]], pieces: list[str], expected: str
    ) -> None:
        deltas = [
            delta(index, "call_1" if at == 0 else None, name=p) for at, p in enumerate(pieces)
        ]
        if index is None:  # without an index only a declared name shows that it goes on
            deltas = [delta(None, "call_1", name=piece) for piece in pieces]
        message = message_of(*deltas, delta(index, arguments="{}"), tools=tools)
        assert [call.name for call in message.tool_calls] == [expected]
        assert codes(message) == ["call-id-repaired"]

    def test_without_an_id_and_an_index_a_declared_name_is_joined(self) -> None:
        message = message_of(delta(name="wea"), delta(name="ther"), tools=TOOLS)
        assert [call.name for call in message.tool_calls] == ["weather"]

    def test_they_are_joined_where_the_tools_are_not_known(self) -> None:
        message = message_of(
            delta(0, "c", name="get_"), delta(0, name="weather"), delta(0, arguments="{}")
        )
        assert [call.name for call in message.tool_calls] == ["get_weather"]

    @pytest.mark.parametrize("tools", [None, TOOLS, LONGER])
    def test_a_repeated_name_is_no_piece(self, tools: Any) -> None:
        message = message_of(
            *(delta(0, "functions.weather:0", name="weather") for _ in range(3)),
            delta(0, name="weather", arguments="{}"),
            delta(0, name="weather"),
            tools=tools,
        )
        assert [call.name for call in message.tool_calls] == ["weather"]
        assert codes(message) == []

    def test_a_name_that_grows_is_replaced_by_the_declared_one(self) -> None:
        message = message_of(delta(0, name="wea"), delta(0, name="weather"), tools=TOOLS)
        assert [call.name for call in message.tool_calls] == ["weather"]

    def test_what_comes_after_the_arguments_is_reported(self) -> None:
        message = message_of(
            delta(0, "functions.get_:0", name="get_", arguments="{"),
            delta(0, name="weather", arguments="}"),
        )
        (problem,) = message.problems
        assert (problem.code, problem.text) == ("server-call-unreadable", "weather")

    def test_the_order_is_that_of_the_first_pieces(self) -> None:
        message = message_of(
            delta(0, name="one"), delta(1, name="two", arguments="{}"), delta(0, arguments="{}")
        )
        assert [call.name for call in message.tool_calls] == ["one", "two"]


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
        reader = SplitReader(TOOLS)
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

    @pytest.mark.parametrize("size", [1, 5, 100])
    @pytest.mark.parametrize(
        ("written", "expected", "reported"),
        [
            ('{"a":1}<|tool_call_end|>', '{"a":1}', "<|tool_call_end|>"),
            (' {"a":1} \n<|tool_call_end|>[EOS]', '{"a":1}', " \n<|tool_call_end|>[EOS]"),
            ("<|tool_call_end|>", "{}", "<|tool_call_end|>"),
            ('{"a":1} \n', '{"a":1}', None),
            ('{"a":"<|tool_call_end|>"}', '{"a":"<|tool_call_end|>"}', None),
        ],
    )
    def test_markers_that_the_server_left_are_reported(
        self, size: int, written: str, expected: str, reported: str | None
    ) -> None:
        head = delta(0, "functions.now:0", name="now")
        message = message_of(head, *(delta(0, arguments=piece) for piece in cut(written, size)))
        assert arguments(message) == [expected]
        assert [p.text for p in message.problems if p.code == "server-markers-left"] == [
            *filter(None, [reported])
        ]

    def test_a_second_argument_marker_is_reported_once(self) -> None:
        written = '<|tool_call_argument_begin|>{"a":1}'
        message = message_of(delta(0, "functions.now:0", name="now", arguments=written))
        assert (arguments(message), codes(message)) == (['{"a":1}'], ["argument-marker-repeated"])

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
        events += reader.feed(tool_calls=[delta(99, arguments="{")])
        assert sum(isinstance(event, CallStart) for event in events) == 100
        reader.finish("tool_calls")
        assert sum(call.complete for call in reader.message.tool_calls) == 99

    def test_a_call_without_a_name_is_closed_with_the_others(self) -> None:
        reader = SplitReader()
        reader.feed(tool_calls=[delta(n, arguments="x") for n in range(70)])
        reader.finish("tool_calls")
        assert len(reader.message.problems) == 70
