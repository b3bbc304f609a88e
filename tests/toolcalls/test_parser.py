"""The parser's own manners: misuse, what is known in between, token ids, long text."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from k2compat.toolcalls import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Message,
    Problem,
    Reasoning,
    StreamParser,
    ToolCall,
    parse,
    prepare_tools,
)
from k2compat.toolcalls.argument_text import PIECES_AT_MOST
from k2compat.toolcalls.turn import Turn
from k2compat.toolcalls.turn.units import Unit
from tests.toolcalls.transcripts import (
    MARKER_IDS,
    TEXT_TOKEN,
    TOKEN_IDS,
    WITHOUT_TOKEN,
    at_markers,
    call,
    cut,
    merged,
    read,
    section,
    transcripts,
)

BEGIN = "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"


def test_reasoning_mode_must_exist() -> None:
    with pytest.raises(ValueError, match="off, tagged, prefilled, not 'on'"):
        parse("", reasoning="on")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "json"}, "markers, calls, arguments, not 'json'"),
        ({"form": "arguments"}, "go together"),
        ({"name": "f"}, "go together"),
        ({"max_calls": -1}, "0 or more, or None, not -1"),
        ({"tools": ["f"]}, r"tools\[0\] is a str"),
    ],
)
def test_options_must_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse("", **options)


@pytest.mark.parametrize("chunk", [b"a", None, 3])
def test_a_chunk_must_be_text(chunk: Any) -> None:
    parser = StreamParser(marker_ids={})
    parser.feed(BEGIN + "{")
    for feed in (parser.feed, lambda text: parser.feed_token(1, text)):
        with pytest.raises(TypeError, match=r"a chunk must be a str, not .*: decode bytes"):
            feed(chunk)
    parser.feed("}")
    parser.finish()
    assert parser.message.tool_calls[0].complete


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_parser_cannot_be_copied(copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="cannot be copied"):
        copied(StreamParser())


def test_parsers_share_prepared_tools() -> None:
    tools = [{"type": "function", "function": {"name": "now"}}]
    prepared = prepare_tools(tools)
    text = "<|tool_call_begin|>now<|tool_call_end|>"
    assert parse(text, tools=prepared) == parse(text, tools=tools)


def test_a_finished_message_takes_no_more() -> None:
    parser = StreamParser(marker_ids={})
    parser.feed("a")
    parser.finish()
    with pytest.raises(RuntimeError, match="finished"):
        parser.feed("b")
    with pytest.raises(RuntimeError, match="finished"):
        parser.feed_token(1, "b")
    assert parser.message.content == "a"


def test_finish_twice_says_nothing_twice() -> None:
    parser = StreamParser()
    parser.feed(BEGIN + "{}")
    assert parser.finish() == [CallEnd(0, complete=True)]
    assert parser.finish() == []


def test_empty_chunks_do_nothing() -> None:
    parser = StreamParser(marker_ids={})
    assert parser.feed("") == parser.feed_token(3, "") == []
    parser.feed(BEGIN + "{")
    assert parser.feed("") == []


def test_feed_token_needs_marker_ids() -> None:
    with pytest.raises(ValueError, match="marker_ids"):
        StreamParser().feed_token(1, "a")


def test_ids_of_other_strings_are_ignored() -> None:
    parser = StreamParser(marker_ids={7: "<|im_user|>"})
    assert parser.feed_token(7, "<|im_user|>") == [Content("<|im_user|>")]


def test_marker_tokens_count_even_if_they_decode_to_nothing() -> None:
    parser = StreamParser(marker_ids=MARKER_IDS)
    for marker in ("<|tool_calls_section_begin|>", "<|tool_call_begin|>"):
        parser.feed_token(TOKEN_IDS[marker], "")
    parser.feed_token(5, "functions.f:0")
    parser.feed_token(TOKEN_IDS["<|tool_call_argument_begin|>"], "")
    parser.feed_token(5, '{"a": "<|tool_call_end|> <|tool_call_begin|>"}')
    parser.feed_token(TOKEN_IDS["<|tool_call_end|>"], "")
    parser.finish()
    assert parser.message.tool_calls[0].arguments == (
        '{"a": "<|tool_call_end|> <|tool_call_begin|>"}'
    )
    assert parser.message.finish_reason == "tool_calls"


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_a_spelling_that_has_no_token_is_read_in_the_text_of_tokens(size: int) -> None:
    """The tokenizer has no token for it, so the model can write it in no other way."""
    ids = {i: marker for i, marker in MARKER_IDS.items() if marker not in WITHOUT_TOKEN}
    tried = 0
    for transcript in transcripts():
        if transcript.token_ids != "too":
            continue
        reasoning = transcript.options.get("reasoning", "off") != "off"
        parser = StreamParser(marker_ids=ids, **transcript.options)
        for token in at_markers(transcript.text, reasoning=reasoning):
            if TOKEN_IDS.get(token) in ids:
                parser.feed_token(TOKEN_IDS[token], "")
            else:
                tried += token in WITHOUT_TOKEN
                for piece in cut(token, size):
                    parser.feed_token(TEXT_TOKEN, piece)
        parser.finish()
        message = parser.message
        assert message.tool_calls == transcript.expected.tool_calls, transcript.name
        assert message.content == transcript.expected.content, transcript.name
        assert message.reasoning == transcript.expected.reasoning, transcript.name
        assert message.finish_reason == transcript.expected.finish_reason, transcript.name
    assert tried > 5


def test_of_a_marker_that_has_a_token_the_token_decides_alone() -> None:
    parser = StreamParser(marker_ids={7: "<|tool_call_begin|>"})
    events = parser.feed_token(5, "a<|tool_call_begin|>b<|tool_call_")
    events += parser.feed_token(5, "argument_end|>c")
    assert merged(events)[0] == Content("a<|tool_call_begin|>bc")


def test_a_token_settles_what_waited_of_a_text() -> None:
    parser = StreamParser(marker_ids=MARKER_IDS)
    assert parser.feed("a<|tool_call_") == [Content("a")]
    assert parser.feed_token(5, "begin|>") == [Content("<|tool_call_begin|>")]


def test_a_marker_token_settles_a_doubt() -> None:
    """Text left it open whether the call had ended; the section end's id says it is no text."""
    parser = StreamParser(marker_ids=MARKER_IDS)
    parser.feed(BEGIN + '{"a": "b<|tool_call_end|>')
    events = parser.feed_token(
        TOKEN_IDS["<|tool_calls_section_end|>"], "<|tool_calls_section_end|>"
    )
    assert events[0] == ArgumentsDelta(0, "<|tool_call_end|>")
    assert events[-1] == CallEnd(0, complete=False)


def test_message_in_between() -> None:
    parser = StreamParser()
    parser.feed("Hi" + BEGIN + '{"a": ')
    for chunk in ("1", "2", "3"):
        parser.feed(chunk)
    assert parser.message == Message(
        content="Hi",
        reasoning=None,
        tool_calls=(ToolCall("functions.f:0", "f", '{"a": 123', False, "functions.f:0"),),
        problems=(),
        finish_reason="length",
    )
    parser.feed("4}")
    parser.feed("<|tool_call_end|>oops<|tool_calls_section_end|>")
    parser.finish()
    assert parser.message.tool_calls[0].arguments == '{"a": 1234}'
    assert parser.message.problems == (
        Problem("text-between-calls", len("Hi" + BEGIN + '{"a": 1234}<|tool_call_end|>'), "oops"),
    )


def test_events_in_full() -> None:
    parser = StreamParser(reasoning="prefilled")
    assert parser.feed("Hm.</think>Hi<|tool") == [Reasoning("Hm."), Content("Hi")]
    assert parser.feed(BEGIN.removeprefix("<|tool") + ' {"a":') == [
        CallStart(0, "functions.f:0", "f"),
        ArgumentsDelta(0, '{"a":'),
    ]
    assert parser.feed(" ") == []
    assert parser.feed('"x ') == [ArgumentsDelta(0, ' "x ')]
    assert parser.feed("y ") == [ArgumentsDelta(0, "y ")]
    assert parser.feed('z" ') == [ArgumentsDelta(0, 'z"')]
    assert parser.feed("}") == [ArgumentsDelta(0, " }")]
    assert parser.feed("<|tool_call_end|>") == [CallEnd(0, complete=True)]
    assert parser.finish() == []


def test_a_string_is_looked_into_before_the_first_break() -> None:
    """A raw line break ends the strings: then white space at the edge is dropped."""
    for tail, kept in (("b ", "b "), ("\nb ", "\nb"), ("b\n ", "b"), ("b \n", "b "), ("\\ ", "\\")):
        text = BEGIN + '{"a": "' + tail
        for size in (1, 2, 99):
            message = read(cut(text, size)).message
            assert message.tool_calls[0].arguments == '{"a": "' + kept, (tail, size)


@pytest.mark.parametrize("size", [1, 2, 99])
@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"a": "\\" ', '{"a": "\\" '),
        ('{"a": "\\\\" ', '{"a": "\\\\"'),
        ('{"a": "\\"", "b": "c ', '{"a": "\\"", "b": "c '),
        ('{"a": "b", "c ', '{"a": "b", "c '),
        ('{"a" "b ', '{"a" "b'),
    ],
)
def test_quotes_tell_whether_white_space_waits(written: str, kept: str, size: int) -> None:
    """Escaped quotes do not count, and none do where no object can come of it."""
    assert read(cut(BEGIN + written, size)).message.tool_calls[0].arguments == kept


def test_quotes_are_counted_beyond_what_was_joined() -> None:
    parser = StreamParser()
    parser.feed(BEGIN + '{"a": "')
    for _ in range(PIECES_AT_MOST + 1):
        parser.feed("x")
    assert parser.feed('y", "b": "z ') == [ArgumentsDelta(0, 'y", "b": "z ')]


def test_a_marker_inside_an_escape_is_a_marker() -> None:
    message = parse(BEGIN + '{"a": "\\u00<|tool_call_end|>' + call("functions.g:1", "{}"))
    assert [c.arguments for c in message.tool_calls] == ['{"a": "\\u00', "{}"]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_long_arguments(size: int) -> None:
    value = {"content": 'a [b] <c> \\ "d" \n é ' * (PIECES_AT_MOST // 4), "list": [[1], {}] * 99}
    text = json.dumps(value, ensure_ascii=False)
    whole = read([section(call("functions.f:0", text))])
    assert read(cut(section(call("functions.f:0", text)), size)) == whole
    assert whole.message.tool_calls == (
        ToolCall("functions.f:0", "f", text, True, "functions.f:0"),
    )


PROSE = "One [of] them \n is 1 < 2; "


@pytest.mark.parametrize("begin", ["", "<think>"])
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_long_prose(begin: str, size: int) -> None:
    text = begin + PROSE * (PIECES_AT_MOST // 5) + "</think>" + PROSE * 4
    assert read(cut(text, size), reasoning="tagged") == read([text], reasoning="tagged")


@pytest.mark.parametrize(
    ("options", "before", "kind"),
    [
        ({}, "a", Content),
        ({"reasoning": "tagged"}, "<think>a</think>b", Content),
        ({"reasoning": "prefilled"}, "a", Reasoning),
        ({"reasoning": "prefilled"}, f"a{section(call('functions.f:0', '{}'))}b", Reasoning),
        ({"keep_text_after_calls": True}, f"{section(call('functions.f:0', '{}'))}a", Content),
        ({"form": "calls"}, "a", Content),
        ({"recover_stripped": True}, "functions.f:0 a", Content),
    ],
)
def test_the_message_is_known_between_pieces_of_prose(
    options: dict[str, Any], before: str, kind: type[Content] | type[Reasoning]
) -> None:
    parser, again = StreamParser(**options), StreamParser(**options)
    parser.feed(before)
    for piece in ("b", "c", " ", "d <", "e", "["):
        events = parser.feed(piece)
        assert all(type(event) is kind for event in events)
        before += piece
        again = StreamParser(**options)
        again.feed(before)
        assert parser.message == again.message
    assert parser.finish() == again.finish()
    assert parser.message == again.message


def test_text_behind_calls_waits_to_be_reported() -> None:
    parser = StreamParser()
    parser.feed(section(call("functions.f:0", "{}")) + "a")
    assert parser.feed("b") == parser.feed("c") == []
    assert [problem.text for problem in parser.finish() if isinstance(problem, Problem)] == ["abc"]


def test_a_native_call_may_follow_pieces_of_prose() -> None:
    parser = StreamParser()
    assert parser.feed("a") + parser.feed("b") == [Content("a"), Content("b")]
    assert parser.note_native_call() == []
    assert parser.feed("c") == [Content("c")]
    assert parser.feed("<|im_end|>") == []
    assert parser.note_native_call() == [Content("<|im_end|>")]
    assert parser.message.content == "abc<|im_end|>"


def test_deep_arguments_do_not_raise() -> None:
    text = '{"a":' + "[" * 100_000
    assert not parse(BEGIN + text).tool_calls[0].complete
    assert parse(BEGIN + text + "]" * 100_000 + "}").tool_calls[0].complete


def test_a_dropped_call_without_arguments() -> None:
    message = parse(section(call("?", " ")))
    assert [problem.code for problem in message.problems] == ["call-id-invalid"]


def test_a_delayed_call_with_white_space() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    message = parse(section(call("call_1", ' \n{ "name": "b" }\n')), tools=tools)
    assert message.tool_calls == (ToolCall("functions.b:0", "b", "{}", True, "call_1"),)


def test_a_call_begin_that_is_only_written_about_waits_for_two_words() -> None:
    parser = StreamParser(reasoning="prefilled")
    parser.feed("I might emit <|tool_call_begin|>")
    assert parser.feed(" here, ") == []
    assert merged(parser.feed("but")) == [
        Problem("call-begin-quoted", 13, "<|tool_call_begin|>"),
        Reasoning(" here, but"),
    ]


def test_the_bracket_of_a_marker_may_be_cut_among_tokens() -> None:
    parser = StreamParser(marker_ids=MARKER_IDS)
    parser.feed_token(TOKEN_IDS["<|tool_call_begin|>"], "<|tool_call_begin|>")
    assert parser.feed_token(5, "a<") == []
    events = parser.feed_token(5, "|b")
    assert merged(events)[1:] == [Content("a<|b")]


def test_marker_tokens_behind_the_turn_may_decode_to_nothing() -> None:
    parser = StreamParser(marker_ids=MARKER_IDS)
    for marker in ("<|im_end|>", "<|tool_call_begin|>"):
        assert parser.feed_token(TOKEN_IDS[marker], "") == []
    assert parser.finish() == []


def test_a_short_way_changes_nothing() -> None:
    """A call that is whole in one chunk is read at once, and one that is not, step by step."""
    texts = [
        section(call("functions.f:0", "{}"), call("functions.f:0", '{"a": 1}')),
        section(call("functions.f:0", "{}"), call("functions.5:1", "{}")),
        section("hm", call("functions.f:0", "{}"), "hm", call("functions.f:1", '{"a": "[EOS]"}')),
        section(call("functions.f:0", "{}"), call("functions.f:1", "{]}"), "x"),
        call("functions.f:0", "{}") + " \n" + call("functions.f:1", "{}"),
    ]
    for text in texts:
        for max_calls in (None, 1):
            assert read([text], max_calls=max_calls) == read(cut(text, 1), max_calls=max_calls)


def test_markers_in_a_string_are_held_and_read_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    read_symbol = Turn.read_symbol

    def count(turn: Turn, unit: Unit) -> None:
        read.append(unit)
        read_symbol(turn, unit)

    monkeypatch.setattr(Turn, "read_symbol", count)
    arguments = json.dumps({"a": "[EOS]" * 50 + " and so on"})
    (found,) = parse(section(call("functions.f:0", arguments))).tool_calls
    assert found.arguments == arguments
    assert 50 < len(read) < 150
