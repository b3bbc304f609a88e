"""SGLang's detector, called as SGLang calls it."""

from importlib import import_module
from typing import Any

import pytest

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from k2compat.toolcalls.plugins import sglang as plugin
from k2compat.toolcalls.plugins.choice import REPLACE
from tests.toolcalls.transcripts import Transcript, cut, transcripts

PLAIN = [
    case
    for case in transcripts()
    if case.token_ids != "only" and not case.options.keys() - {"tools"}
]


def detector() -> Any:
    plugin.register()
    parsers = import_module("sglang.srt.function_call.function_call_parser")
    return parsers.FunctionCallParser.ToolCallParserEnum["k2compat"]()


def put_together(results: list[Any]) -> tuple[str, list[tuple[str, str]]]:
    calls: list[list[str]] = []
    for result in results:
        for item in result.calls:
            if item.name is not None:
                assert item.tool_index == len(calls)
                calls.append([item.name, ""])
            calls[item.tool_index][1] += item.parameters
    text = "".join(result.normal_text for result in results)
    return text, [(name, arguments) for name, arguments in calls]


@pytest.mark.sample(5)
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_every_transcript_whole_and_streamed(case: Transcript, engines: object) -> None:
    tools = case.options.get("tools", [])
    message = parse(case.text, tools)
    expected = (message.content or "", [(call.name, call.arguments) for call in message.tool_calls])
    assert put_together([detector().detect_and_parse(case.text, tools)]) == expected
    for size in (1, 7, 1000):
        parser = detector()
        results = [parser.parse_streaming_increment(piece, tools) for piece in cut(case.text, size)]
        assert put_together([*results, parser.finish(tools)]) == expected
        # SGLang sends what its two lists differ in; there must be nothing.
        assert [each["arguments"] for each in parser.prev_tool_call_arr] == (
            parser.streamed_args_for_tool
        )
        assert len(parser.prev_tool_call_arr) == len(message.tool_calls)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if SCRIPTS[name].reasoning == "off"])
def test_every_script_of_the_talking_model(name: str, engines: object) -> None:
    text = SCRIPTS[name].text
    message = parse(text, TOOLS)
    expected = (message.content or "", [(call.name, call.arguments) for call in message.tool_calls])
    assert put_together([detector().detect_and_parse(text, TOOLS)]) == expected
    for size in (1, 5, 1000):
        parser = detector()
        results = [parser.parse_streaming_increment(piece, TOOLS) for piece in cut(text, size)]
        assert put_together([*results, parser.finish(TOOLS)]) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("Hi", False), ("<|tool_call_begin|>", True), ("Hi<|im_end|>", True)]
)
def test_text_with_any_marker_is_read(engines: object, text: str, expected: bool) -> None:
    assert detector().has_tool_call(text) is expected


def test_constraints_stay_sglang_s(engines: object) -> None:
    assert detector().structure_info() == "SGLang's own"
    assert detector().finish([]).normal_text == ""


@pytest.mark.parametrize(("asked", "name"), [("", "k2compat"), ("1", "kimi_k2")])
def test_native_ids_come_with_sglang_s_own_name_alone(
    engines: object, monkeypatch: pytest.MonkeyPatch, asked: str, name: str
) -> None:
    monkeypatch.setenv(REPLACE, asked)
    plugin.register()
    plugin.register()
    parsers = import_module("sglang.srt.function_call.function_call_parser")
    names = import_module("sglang.srt.function_call.parser_names").TOOL_CALL_PARSER_NAMES
    ours = {
        each
        for each, parser in parsers.FunctionCallParser.ToolCallParserEnum.items()
        if parser.__module__.startswith("k2compat")
    }
    assert ours == {name}
    assert names == ["kimi_k2"] + ["k2compat"] * (name == "k2compat")
