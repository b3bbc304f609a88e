"""vLLM's tool parser and reasoning parser, called as vLLM calls them."""

from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import Message, parse
from k2compat.toolcalls.plugins import vllm as plugin
from tests.toolcalls.transcripts import Transcript, call, cut, section, transcripts

THINK = {"<think>": 1, "</think>": 2, "<|tool_calls_section_begin|>": 3, "<|im_middle|>": 4}
TOKENIZER = SimpleNamespace(get_vocab=lambda: THINK)
NO_TOOLS: dict[str, Any] = {"tools": [], "tool_choice": "auto", "messages": []}


def request(**fields: Any) -> Any:
    return SimpleNamespace(**{**NO_TOOLS, **fields})


def tool_parser(engines: object, name: str = "k2compat") -> Any:
    plugin.register()
    return import_module("vllm.tool_parsers").ToolParserManager.get_tool_parser(name)(TOKENIZER)


def reasoning_parser(engines: object, **options: Any) -> Any:
    plugin.register()
    manager = import_module("vllm.reasoning").ReasoningParserManager
    return manager.get_reasoning_parser("k2compat")(TOKENIZER, **options)


def streamed(parser: Any, chunks: Iterable[str], asked: Any) -> tuple[Any, ...]:
    """What a client puts together of the deltas."""
    deltas = [
        parser.extract_tool_calls_streaming("", "", chunk, [], [], [], asked) for chunk in chunks
    ]
    return put_together([*deltas, parser.finish_streaming()])


def put_together(deltas: Iterable[Any]) -> tuple[Any, ...]:
    content, reasoning = "", ""
    calls: dict[int, list[str]] = {}
    for delta in filter(None, deltas):
        content += delta.content or ""
        reasoning += delta.reasoning or ""
        for piece in delta.tool_calls:
            if piece.id:
                calls[piece.index] = [piece.id, piece.function.name, ""]
            calls[piece.index][2] += piece.function.arguments
    return reasoning or None, content or None, [tuple(call) for call in calls.values()]


def said(message: Message) -> tuple[Any, ...]:
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    return message.reasoning, message.content, calls


PLAIN = [
    case
    for case in transcripts()
    if case.token_ids != "only" and not case.options.keys() - {"tools"}
]


@pytest.mark.sample(5)
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_every_transcript_whole_and_streamed(case: Transcript, engines: object) -> None:
    asked = request(tools=case.options.get("tools", []))
    expected = said(parse(case.text, asked.tools))
    for size in (1, 7, 1000):
        assert streamed(tool_parser(engines), cut(case.text, size), asked) == expected
    whole = tool_parser(engines).extract_tool_calls(case.text, asked)
    calls = [(each.id, each.function.name, each.function.arguments) for each in whole.tool_calls]
    assert (None, whole.content, calls) == expected
    assert whole.tools_called == bool(calls)


@pytest.mark.sample(5)
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_every_script_of_the_talking_model(name: str, size: int, engines: object) -> None:
    script = SCRIPTS[name]
    expected = said(parse(script.text, TOOLS, reasoning=script.reasoning))
    if script.reasoning == "off":
        asked = request(tools=TOOLS)
        assert streamed(tool_parser(engines), cut(script.text, size), asked) == expected
    else:
        assert served(engines, script.text, size) == expected


class TestToolParser:
    def test_numbers_go_on_from_the_conversation(self, engines: object) -> None:
        tools = [{"type": "function", "function": {"name": "f"}}]
        history = [{"role": "assistant", "tool_calls": [{}, {}]}, {"role": "user"}, "hello"]
        asked = request(tools=tools, messages=history)
        answer = tool_parser(engines).extract_tool_calls(call("f", {}), asked)
        assert [each.id for each in answer.tool_calls] == ["functions.f:2"]

    def test_the_responses_api_has_other_shapes(self, engines: object) -> None:
        tool = SimpleNamespace(model_dump=lambda: {"type": "function", "name": "f"})
        items = [{"type": "function_call"}, SimpleNamespace(model_dump=lambda: {"role": "user"})]
        asked = SimpleNamespace(tools=[tool], tool_choice="auto", input=items)
        answer = tool_parser(engines).extract_tool_calls(call("f", {}), asked)
        assert [each.id for each in answer.tool_calls] == ["functions.f:1"]

    @pytest.mark.parametrize("asked", [{"input": "Hi"}, {"messages": None}])
    def test_a_request_without_messages(self, engines: object, asked: dict[str, Any]) -> None:
        asked = {"tools": None, **asked}
        answer = tool_parser(engines).extract_tool_calls("Hi", SimpleNamespace(**asked))
        assert (answer.content, answer.tools_called) == ("Hi", False)

    @pytest.mark.parametrize(
        ("tools", "choice", "kept"), [([{}], "auto", True), ([{}], "none", False), ([], "auto", 0)]
    )
    def test_the_markers_are_kept_where_calls_may_come(
        self, engines: object, tools: list[Any], choice: str, kept: bool
    ) -> None:
        asked = request(tools=tools, tool_choice=choice, skip_special_tokens=True)
        tool_parser(engines).adjust_request(asked)
        assert asked.skip_special_tokens is not bool(kept)

    def test_a_message_without_text(self, engines: object) -> None:
        assert tool_parser(engines).finish_streaming() is None

    def test_older_versions_give_no_tools(
        self, engines: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = import_module("vllm.tool_parsers.abstract_tool_parser").ToolParser
        monkeypatch.setattr(base, "__init__", lambda self, tokenizer: None)
        assert tool_parser(engines).finish_streaming() is None


def served(engines: object, text: str, size: int) -> tuple[Any, ...]:
    """Both parsers as vLLM composes them: the stage of tool calls begins where reasoning ends."""
    reasoning, tools, asked = reasoning_parser(engines), tool_parser(engines), request()
    deltas = []
    for chunk in cut(text, size):
        if reasoning.has_engine_confirmed_reasoning_end():
            deltas.append(tools.extract_tool_calls_streaming("", "", chunk, [], [], [], asked))
            continue
        delta = reasoning.extract_reasoning_streaming("", "", chunk, [], [], [])
        rest = delta.content if delta else None
        if delta:
            delta.content = None
        deltas.append(delta)
        if reasoning.has_engine_confirmed_reasoning_end():
            deltas.append(tools.extract_tool_calls_streaming("", "", rest or "", [], [], [], asked))
    if not reasoning.has_engine_confirmed_reasoning_end():
        deltas.append(reasoning.finish_streaming())
    return put_together([*deltas, tools.finish_streaming()])


class TestReasoning:
    @pytest.mark.parametrize(
        "text",
        [
            "<think>Hm. </think>Hi",
            "<think>Hm.\n\nHm.</think>Hi",
            "Hm.</think>\nHi",
            "Hm.",
            "Hm <",
            "  Hm.",
            "</think>Hi",
            f"<think>Hm.{section(call('functions.f:0', {}))}",
            f"<think>Hm.</think>{section(call('functions.f:0', {}))}",
            f"Hm.</think>Hi{section(call('functions.f:0', {}))}",
            f"Hm.{call('functions.f:0', {})}",
        ],
    )
    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_both_stages_give_what_parse_gives(self, engines: object, text: str, size: int) -> None:
        expected = said(parse(text, reasoning="prefilled"))
        assert served(engines, text, size) == expected
        reasoning, rest = reasoning_parser(engines).extract_reasoning(text, request())
        assert (reasoning, *said(parse(rest or ""))[1:]) == expected

    @pytest.mark.parametrize("size", [1, 1000])
    def test_white_space_before_the_marker_is_no_reasoning(
        self, engines: object, size: int
    ) -> None:
        assert served(engines, "\n<think>Hm.</think>Hi", size) == ("Hm.", "Hi", [])

    def test_it_is_off_where_the_request_switches_thinking_off(self, engines: object) -> None:
        parser = reasoning_parser(engines, chat_template_kwargs={"thinking": False})
        assert parser.has_engine_confirmed_reasoning_end()
        assert parser.extract_reasoning("Hi", request()) == (None, "Hi")
        assert parser.count_reasoning_tokens([9, 2, 9]) == 0
        (_, content, _) = put_together(
            [
                parser.extract_reasoning_streaming("", "", "Hi", [], [], []),
                parser.finish_streaming(),
            ]
        )
        assert content == "Hi"

    @pytest.mark.parametrize(
        ("ids", "over"),
        [
            ([], False),
            ([1], False),
            ([1, 9, 2], True),
            ([1, 9, 2, 9], True),
            ([1, 9, 3, 9], True),
            ([1, 2, 9, 4], False),
            ([4, 1], False),
            ([9], False),
        ],
    )
    def test_the_last_turn_s_ids_decide(self, engines: object, ids: list[int], over: bool) -> None:
        assert reasoning_parser(engines).is_reasoning_end(ids) is over

    def test_ids_of_the_content(self, engines: object) -> None:
        parser = reasoning_parser(engines)
        assert parser.extract_content_ids([1, 9, 2, 8]) == [8]
        assert parser.extract_content_ids([1, 9]) == []
        assert parser.count_reasoning_tokens([1, 9, 9, 2, 8]) == 2
        assert parser.count_reasoning_tokens([9]) == 1

    def test_the_markers_are_kept_and_named(self, engines: object) -> None:
        parser, asked = reasoning_parser(engines), request(skip_special_tokens=True)
        assert parser.adjust_request(asked).skip_special_tokens is False
        assert (parser.reasoning_start_str, parser.reasoning_end_str) == ("<think>", "</think>")


def test_a_version_without_the_types_is_named(engines: object) -> None:
    import sys

    sys.modules["vllm.entrypoints"] = None  # type: ignore[assignment]
    plugin.register()
    with pytest.raises(ImportError, match=r"none of vllm\.entrypoints\.generate"):
        tool_parser(engines)
