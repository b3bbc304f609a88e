"""The laws of docs/format.md, as properties over everything a model might write."""

import json
import re
from typing import Any

import hypothesis.strategies as st
from hypothesis import assume, given, settings

from k2compat.toolcalls import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Problem,
    Reasoning,
    ReasoningMode,
    StreamParser,
    codes,
    parse,
)
from k2compat.toolcalls.markers import MARKERS, TOOL_MARKERS, WHITE_SPACE, marker_set
from tests.support.amount import examples
from tests.toolcalls.conservation import lost_characters
from tests.toolcalls.json_oracle import JSON, as_json_decides, string_is_open
from tests.toolcalls.transcripts import (
    MARKER_IDS,
    at_markers,
    call,
    cut,
    declare,
    merged,
    read,
    read_tokens,
    section,
)

TOOLS = declare(
    [
        {"name": "get_weather", "properties": ["city", "days"], "required": ["city"]},
        {"name": "search", "properties": ["query", "name"], "required": ["query"]},
        {"name": "now"},
    ]
)
IDS = [
    "functions.get_weather:0",
    "functions.search:1",
    "functions.天气:3",
    "functions.5:5",
    "get_weather:2",
    "functions_search_1",
    "functionsnow7",
    "now",
    "3",
    "call12",
    "call_0a9f",
    "toolu_01-x",
    "functions.now:0",
    "functions.get_weather:7 ",
    "functions.a{b:1",
    "functions",
    "uuid-1",
    "functions<read",
]
ARGUMENTS = [
    '{"city": "Paris", "days": 3}',
    '{"query": "<|tool_call_end|>"}',
    '{"query": "\\"<|tool_call_end|><|tool_calls_section_end|>',
    '{"name": "search", "query": [1, {"a": null}]}',
    '{"a": "\\u00',
    "[1, 2]",
    '"text"',
    "{",
    '{"open": "',
    '{"name": "search", "arguments": {"query": "}"}}',
    '{"name": "now", "parameters": "{}"}',
    '{"name": "x", "arguments": ["<|tool_call_end|>',
    '"}',
    "{}",
]
NOISE = [
    "Hello",
    " ",
    "\n",
    "\t",
    "\\",
    '"',
    "{",
    "[",
    "]",
    "}",
    ",",
    "é",
    "天",
    "\ud800",
    "\x00",
    "<",
]
LOOK_ALIKES = [
    'functions.now:0{"a": "}"}',
    "functions.",
    "<|open|><|sep|>",
    "<|close|>",
    "<|tool|>",
    "<|",
    "<|tool_call_",
    "[EO",
    "[EOX]",
    "<think",
    "</thin",
    "|>",
    "<|im_start|>",
    "<|im_user|>",
    "<|im_us",
]

PIECES = st.one_of(
    st.sampled_from(list(MARKERS)),
    st.sampled_from(IDS),
    st.sampled_from(ARGUMENTS),
    st.sampled_from(NOISE),
    st.sampled_from(LOOK_ALIKES),
    st.text(max_size=4),
)
CALLS = st.builds(call, st.sampled_from(IDS), st.sampled_from(ARGUMENTS))
TEXTS = st.lists(st.one_of(PIECES, CALLS, CALLS.map(section)), max_size=14).map("".join)
OPTIONS = st.fixed_dictionaries(
    {
        "reasoning": st.sampled_from(["off", "tagged", "prefilled"]),
        "tools": st.sampled_from([None, TOOLS, TOOLS[:1]]),
        "keep_text_after_calls": st.booleans(),
        "first_index": st.integers(0, 2),
        "recover_stripped": st.booleans(),
        "max_calls": st.sampled_from([None, None, 0, 1]),
    }
)


@st.composite
def chunked(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@settings(max_examples=examples(400), deadline=None)
@given(TEXTS, OPTIONS, st.data())
def test_law_1_cutting_makes_no_difference(
    text: str, options: dict[str, Any], data: st.DataObject
) -> None:
    whole = read([text], **options)
    assert read(cut(text, 1), **options) == whole
    assert read(data.draw(chunked(text)), **options) == whole


ARGUMENT_PIECES = st.sampled_from(
    [
        '{"a": "',
        '", "b": ["',
        '"]}',
        '"',
        "\\",
        '\\"',
        "\\u00",
        "41",
        "x",
        " ",
        "  ",
        "\n",
        "[",
        "<",
        "<|tool_call_argument_begin|>",
        "<|tool_call_argument_end|>",
        "<|tool_call_end|>",
    ]
)


ARGUMENT_TEXTS = st.lists(ARGUMENT_PIECES, max_size=20).map(
    lambda pieces: "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{" + "".join(pieces)
)


@settings(max_examples=examples(400), deadline=None)
@given(ARGUMENT_TEXTS, st.data())
def test_law_1_cutting_arguments_makes_no_difference(text: str, data: st.DataObject) -> None:
    """White space waits or not, and quotes differ from escaped ones, wherever a piece ends."""
    whole = read([text])
    assert read(cut(text, 1)) == whole
    assert read(data.draw(chunked(text))) == whole


ARRAYS = st.lists(
    st.sampled_from(
        [
            '{"name": "now"}',
            '{"name": "search", "arguments": {"query": "}", "name": [1]}}',
            '{"parameters": {"city": "<|tool_call_end|>"}, "name": "get_weather"}',
            '{"name": "now", "arguments": "{}", "id": "c1"}',
            '{"nom": 1}',
            '{"name": "get_weather"}',
            '{"name": "now", "arguments": null, "parameters": {"a": 1}}',
            '{"parameters": {"city": 1}, "arguments": null, "name": "get_weather"}',
            '{"arguments": null, "name": "now", "parameters": null}',
            '{"name": "now", "arguments": tru',
            '{"name": "now", "arguments": nulx}',
            '{"name": "now", "parameters": -1.5e}',
            '{"name": "now", "id": 01, "arguments": {}}',
            '{"name": "search", "arguments": {"query": oops',
            "12x",
        ]
    ),
    max_size=4,
).map(lambda calls: "[" + ", ".join(calls) + "]")


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(ARRAYS | PIECES | st.sampled_from(ARGUMENTS), max_size=5).map("".join),
    OPTIONS,
    st.sampled_from([{"form": "calls"}, {"form": "arguments", "name": "search"}]),
    st.data(),
)
def test_law_1_cutting_forced_output_makes_no_difference(
    text: str, options: dict[str, Any], form: dict[str, Any], data: st.DataObject
) -> None:
    whole = read([text], **options, **form)
    assert read(cut(text, 1), **options, **form) == whole
    assert read(data.draw(chunked(text)), **options, **form) == whole


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(PIECES, max_size=20), OPTIONS)
def test_law_1_token_ids_and_text_agree(pieces: list[str], options: dict[str, Any]) -> None:
    """They do unless a marker may be text: in an open string, or an end of turn.

    Text that is the beginning of a marker is no such text among tokens.
    """
    text = TURN_ENDS.sub("", "".join(pieces).replace('"', "'"))
    assume(not marker_set(reasoning=True).open_end(text) < len(text))
    tokens = at_markers(text, reasoning=options["reasoning"] != "off")
    assert read_tokens(tokens, **options) == read([text], **options)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(PIECES, max_size=20), OPTIONS)
def test_law_1_text_of_tokens_is_never_a_marker(pieces: list[str], options: dict[str, Any]) -> None:
    options["recover_stripped"] = False
    parser = StreamParser(marker_ids=MARKER_IDS, **options)
    events = merged(event for piece in pieces for event in parser.feed_token(5, piece))
    text = "".join(pieces)
    kind = Reasoning if options["reasoning"] == "prefilled" else Content
    assert events == ([kind(text)] if text else [])


TURN_ENDS = re.compile(r"<\|im_end\|>|\[EO[ST]\]")


@settings(max_examples=examples(400), deadline=None)
@given(TEXTS, OPTIONS)
def test_law_2_nothing_is_lost(text: str, options: dict[str, Any]) -> None:
    """What is no marker and no white space is reported, each as often as it was written.

    The order is not that of the text: text inside a section is reported late.
    """
    assert not lost_characters(text, read([text], **options), options)


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_law_2_problems_stand_where_they_say(text: str, options: dict[str, Any]) -> None:
    for problem in parse(text, **options).problems:
        # The arguments' text may have lost a repeated argument marker.
        if problem.code not in {codes.ARGUMENTS_NOT_OBJECT, codes.CALL_ARGUMENTS_DROPPED}:
            # A header may have lost an argument end in its midst.
            without_end = text[problem.at :].replace("<|tool_call_argument_end|>", "")
            assert text.startswith(problem.text, problem.at) or without_end.startswith(problem.text)
        assert 0 <= problem.at <= len(text)


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_law_3_markers_stay_out(text: str, options: dict[str, Any]) -> None:
    """Each piece is judged: text left and right of a stripped marker may look like one."""
    reasoning = options["reasoning"] != "off"
    marker = marker_set(reasoning=reasoning).pattern
    parser = StreamParser(**options)
    for event in parser.feed(text) + parser.finish():
        if isinstance(event, Content | Reasoning):
            assert not marker.search(TURN_ENDS.sub("", event.text))
    for tool_call in parser.message.tool_calls:
        places = [match.start() for match in marker.finditer(tool_call.arguments)]
        assert all(string_is_open(tool_call.arguments[:place]) for place in places) or reasoning


@settings(max_examples=examples(400), deadline=None)
@given(JSON, st.booleans())
def test_law_5_arguments_come_at_once(value: object, spaced: bool) -> None:
    text = json.dumps({"value": value}, ensure_ascii=False, indent=1 if spaced else None)
    parser = StreamParser()
    parser.feed(section(call("functions.f:0", "")).partition("<|tool_call_end|>")[0])
    arrived = ""
    for at, character in enumerate(text, start=1):
        arrived += "".join(
            event.text for event in parser.feed(character) if isinstance(event, ArgumentsDelta)
        )
        waiting = text[len(arrived) : at]
        if string_is_open(text[:at]):
            assert waiting in {marker[: len(waiting)] for marker in TOOL_MARKERS}
        else:
            assert not waiting.strip(WHITE_SPACE) or waiting.strip(WHITE_SPACE) == "["


@settings(max_examples=examples(150), deadline=None)
@given(st.text(), st.sampled_from(["off", "prefilled"]))
def test_law_5_content_comes_at_once(text: str, reasoning: ReasoningMode) -> None:
    text = text.replace("<", "").replace("[", "")
    parser = StreamParser(reasoning=reasoning)
    kind = Content if reasoning == "off" else Reasoning
    assert [parser.feed(character) for character in text] == [[kind(c)] for c in text]


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_ids_are_unique_and_not_below_the_first_index(text: str, options: dict[str, Any]) -> None:
    ids = [tool_call.id for tool_call in parse(text, **options).tool_calls]
    assert len(set(ids)) == len(ids)
    assert all(int(call_id.rpartition(":")[2]) >= options["first_index"] for call_id in ids)


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_law_6_calls_are_dense_and_whole(text: str, options: dict[str, Any]) -> None:
    events = read(cut(text, 1), **options).events
    started = -1
    open_index = None
    for event in events:
        match event:
            case CallStart(index):
                assert open_index is None
                assert index == started + 1
                started = open_index = index
            case ArgumentsDelta(index, _):
                assert index == open_index
            case CallEnd(index, _):
                assert index == open_index
                open_index = None
            case _:
                pass
    assert open_index is None


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_law_7_message_is_the_events(text: str, options: dict[str, Any]) -> None:
    events, message = read(cut(text, 3), **options)
    content = "".join(event.text for event in events if isinstance(event, Content))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    starts = [event for event in events if isinstance(event, CallStart)]
    deltas = [event for event in events if isinstance(event, ArgumentsDelta)]
    ends = [event for event in events if isinstance(event, CallEnd)]
    if starts and not content.strip(WHITE_SPACE):
        content = ""
    assert message.content == (content or None)
    assert message.reasoning == (reasoning.rstrip(WHITE_SPACE) or None)
    assert message.problems == tuple(event for event in events if isinstance(event, Problem))
    assert [(c.id, c.name) for c in message.tool_calls] == [(e.id, e.name) for e in starts]
    assert [c.complete for c in message.tool_calls] == [e.complete for e in ends]
    # A problem may stand between two pieces of one call's arguments.
    written = ["".join(d.text for d in deltas if d.index == start.index) for start in starts]
    assert [call.arguments for call in message.tool_calls] == written


@settings(max_examples=examples(250), deadline=None)
@given(TEXTS, OPTIONS)
def test_complete_means_one_json_object(text: str, options: dict[str, Any]) -> None:
    for tool_call in parse(text, **options).tool_calls:
        assert tool_call.complete == as_json_decides(tool_call.arguments)


@settings(max_examples=examples(60), deadline=None)
@given(st.text(), st.lists(st.dictionaries(st.text(), JSON), min_size=1, max_size=4))
def test_what_is_written_is_read(content: str, calls: list[dict[str, object]]) -> None:
    content = marker_set(reasoning=False).pattern.sub("", content).replace("<", "").replace("[", "")
    texts = [json.dumps(arguments, ensure_ascii=False) for arguments in calls]
    message = parse(
        content + section(*(call(f"functions.f:{index}", t) for index, t in enumerate(texts)))
    )
    assert message.content == (content if content.strip(WHITE_SPACE) else None)
    assert [c.arguments for c in message.tool_calls] == texts
    assert message.finish_reason == "tool_calls"
    assert not message.problems
