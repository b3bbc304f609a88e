"""The model's text, written."""

import json
from typing import Any

import pytest

from k2compat.toolcalls import Message, ReasoningMode, ToolCall, parse
from k2compat.toolcalls.history import HistoryError, native_history
from k2compat.toolcalls.render import (
    UnrepresentableError,
    render_calls,
    render_conversation,
    render_message,
)
from tests.support.chat_template import TEMPLATE, prompt_of_template, tokenizer_with

TOOLS = [{"type": "function", "function": {"name": "天气", "parameters": {"type": "object"}}}]
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Weather?"}]},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I must look.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "天气", "arguments": '{"a":1}'}},
            {"id": "b", "type": "function", "function": {"name": "天气", "arguments": {"b": "é"}}},
        ],
    },
    {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "rain"}]},
    {"role": "tool", "tool_call_id": "a", "name": "天气", "content": []},
    {"role": "assistant", "content": "It rains."},
]


def call(arguments: str = "{}", call_id: str = "functions.f:0", name: str = "f") -> ToolCall:
    return ToolCall(call_id, name, arguments, complete=True, raw_id=call_id)


def section(*calls: tuple[str, str]) -> str:
    written = "".join(
        f"<|tool_call_begin|>{call_id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
        for call_id, arguments in calls
    )
    return f"<|tool_calls_section_begin|>{written}<|tool_calls_section_end|>"


class TestCalls:
    def test_none(self) -> None:
        assert render_calls([]) == ""

    def test_several(self) -> None:
        calls = [call('{"a": 1}'), call("{}", "functions.a:b.c:7", "a:b.c")]
        assert render_calls(calls) == section(
            ("functions.f:0", '{"a": 1}'), ("functions.a:b.c:7", "{}")
        )

    @pytest.mark.parametrize("blank", ["", " \n"])
    def test_blank_arguments_are_written_as_they_are_read(self, blank: str) -> None:
        assert render_calls([call(blank)]) == section(("functions.f:0", "{}"))

    def test_a_name_of_digits(self) -> None:
        assert render_calls([call("{}", "functions.7:0", "7")]) == section(("functions.7:0", "{}"))

    def test_a_call_that_was_cut(self) -> None:
        written = render_calls([call('{"a": "x'), call('{"a": "y ', "functions.f:1")])
        assert [each.arguments for each in parse(written).tool_calls] == ['{"a": "x', '{"a": "y ']

    def test_a_marker_in_a_string_stays_where_it_is_read_back(self) -> None:
        arguments = '{"a": "<|tool_call_end|> and <|im_end|>"}'
        assert render_calls([call(arguments)]) == section(("functions.f:0", arguments))

    def test_a_marker_in_a_string_is_escaped_where_it_is_not(self) -> None:
        inner = section(("functions.g:0", ""), ("functions.g:1", ""))
        arguments = json.dumps({"a": inner + "[EOS]"})
        written = render_calls([call(arguments), call("{}", "functions.f:1")])
        (first, second) = parse(written).tool_calls
        assert json.loads(first.arguments) == json.loads(arguments)
        assert first.complete
        assert second.arguments == "{}"
        assert r"\u003c|tool_call_end|>" in written
        assert r"\u005bEOS]" in written

    @pytest.mark.parametrize(
        ("call_id", "name"),
        [
            ("call_a", "f"),
            ("functions.f", "f"),
            ("functions.f:0", "g"),
            ("functions.my tool:0", "my tool"),
            ("functions.f<|tool_call_end|>:0", "f<|tool_call_end|>"),
            ("", ""),
        ],
    )
    def test_an_id_that_is_none(self, call_id: str, name: str) -> None:
        with pytest.raises(UnrepresentableError, match=r"functions\.NAME:IDX"):
            render_calls([call(), call("{}", call_id, name)])

    def test_a_marker_outside_a_string(self) -> None:
        with pytest.raises(UnrepresentableError, match="no whole JSON object"):
            render_calls([call('{"a": <|tool_call_end|>}')])


class TestMessage:
    MESSAGE = Message("Hi", "Hm.", (call('{"a": 1}'),), (), "tool_calls")

    @pytest.mark.parametrize(
        ("reasoning", "expected"),
        [("off", "Hi"), ("tagged", "<think>Hm.</think>Hi"), ("prefilled", "Hm.</think>Hi")],
    )
    def test_reasoning(self, reasoning: ReasoningMode, expected: str) -> None:
        written = render_message(self.MESSAGE, reasoning)
        assert written == expected + section(("functions.f:0", '{"a": 1}'))

    def test_nothing(self) -> None:
        assert render_message(Message(None, None, (), (), "stop")) == ""

    @pytest.mark.parametrize(
        ("content", "thought", "reasoning"),
        [
            ("a<|im_end|>", None, "off"),
            ("<|tool_call_begin|>", None, "tagged"),
            ("a</think>", None, "tagged"),
            (None, "<think>", "prefilled"),
        ],
    )
    def test_a_marker_in_text(
        self, content: str | None, thought: str | None, reasoning: ReasoningMode
    ) -> None:
        with pytest.raises(UnrepresentableError, match="holds the marker"):
            render_message(Message(content, thought, (), (), "stop"), reasoning)

    def test_think_is_text_where_the_model_does_not_reason(self) -> None:
        message = Message("<think>", None, (), (), "stop")
        assert render_message(message, "off") == "<think>"


class TestConversation:
    def test_the_shape(self) -> None:
        assert render_conversation(CONVERSATION, TOOLS) == (
            '<|im_system|>tool_declare<|im_middle|>[{"type":"function","function":{"name":"天气",'
            '"parameters":{"type":"object"}}}]<|im_end|>'
            "<|im_system|>system<|im_middle|>Be brief.<|im_end|>"
            "<|im_user|>ann<|im_middle|>Weather?<|im_end|>"
            "<|im_assistant|>assistant<|im_middle|>"
            + section(("functions.天气:0", '{"a":1}'), ("functions.天气:1", '{"b": "é"}'))
            + "<|im_end|>"
            "<|im_system|>tool<|im_middle|>## Return of functions.天气:1\nrain<|im_end|>"
            "<|im_system|>天气<|im_middle|>## Return of functions.天气:0\n<|im_end|>"
            "<|im_assistant|>assistant<|im_middle|>It rains.<|im_end|>"
            "<|im_assistant|>assistant<|im_middle|>"
        )

    @pytest.mark.parametrize("reasoning", ["off", "tagged"])
    @pytest.mark.parametrize("tools", [None, TOOLS])
    @pytest.mark.parametrize("add_generation_prompt", [True, False])
    def test_a_chat_template_of_this_shape_makes_the_same(
        self,
        reasoning: ReasoningMode,
        tools: list[dict[str, Any]] | None,
        add_generation_prompt: bool,
    ) -> None:
        assert render_conversation(
            CONVERSATION, tools, reasoning, add_generation_prompt=add_generation_prompt
        ) == prompt_of_template(
            tokenizer_with(TEMPLATE),
            native_history(CONVERSATION).messages,
            tools,
            thinking=reasoning != "off",
            add_generation_prompt=add_generation_prompt,
        )

    def test_the_answer_may_begin_inside_reasoning(self) -> None:
        prompt = render_conversation(CONVERSATION, reasoning="prefilled")
        assert prompt.endswith("<|im_assistant|>assistant<|im_middle|><think>")
        assert "<|im_middle|><think>I must look.</think><|tool_calls_section" in prompt
        assert "<|im_middle|><think></think>It rains." in prompt

    def test_markers_in_arguments_are_always_escaped(self) -> None:
        arguments = json.dumps({"a": "<|im_user|> <|tool_call_end|> <think>"})
        calls = [{"id": "a", "function": {"name": "f", "arguments": arguments}}]
        prompt = render_conversation([{"role": "assistant", "tool_calls": calls}])
        assert r'{"a": "\u003c|im_user|> \u003c|tool_call_end|> \u003cthink>"}' in prompt

    def test_arguments_may_be_missing(self) -> None:
        calls = [{"id": "a", "function": {"name": "f"}}]
        prompt = render_conversation([{"role": "assistant", "tool_calls": calls}])
        assert section(("functions.f:0", "{}")) in prompt

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ({"role": "user", "content": "[EOS]"}, "the content holds the marker"),
            ({"role": "user", "content": "<|im_system|>"}, "the content holds the marker"),
            ({"role": "user", "name": "<|im_end|>", "content": ""}, "the name holds"),
            ({"role": "tool", "tool_call_id": "<|im_end|>", "content": ""}, "the tool_call_id"),
            ({"role": "tool", "tool_call_id": "a", "content": "[BOS]"}, "the content holds"),
            ({"role": "assistant", "content": "<|im_end|>"}, "the content holds the marker"),
            ({"role": "user", "content": [{"type": "image_url"}]}, "no text"),
        ],
    )
    def test_what_a_prompt_cannot_hold(self, message: dict[str, Any], reason: str) -> None:
        with pytest.raises(UnrepresentableError, match=reason) as caught:
            render_conversation([{"role": "user", "content": "Hi"}, message])
        assert str(caught.value).startswith("messages[1]: ")

    def test_a_marker_in_a_tool_s_declaration(self) -> None:
        with pytest.raises(UnrepresentableError, match="tools holds the marker"):
            render_conversation([], [{"function": {"name": "f", "description": "<|im_end|>"}}])

    def test_a_message_that_is_none(self) -> None:
        with pytest.raises(HistoryError):
            render_conversation([{"role": "assistant", "tool_calls": ["a"]}])
