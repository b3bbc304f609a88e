"""vLLM's Messages and Responses interfaces before the talking model, read by the official clients.

The server is the one that `k2compat launch … --run` starts. Both interfaces carry the calls that
its chat interface does, native ids included; where one carries less, a case of its own shows it.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from anthropic import Anthropic, APIStatusError
from openai import OpenAI

from k2compat.samples.talking import SCRIPTS, TOOLS
from tests_engines.vllm_answers import STREAMED, WHOLE, Answer, ours

NAME = "kimi-k2"
SECONDS = 300
TOKENS_MAX = 200


def common(keyword: str) -> dict[str, Any]:
    """What both interfaces are asked alike."""
    thinking = SCRIPTS[keyword].is_prefilled
    return {"model": NAME, "extra_body": {"chat_template_kwargs": {"thinking": thinking}}}


def functions(schema_name: str) -> list[dict[str, Any]]:
    """The declared tools without OpenAI's envelope.

    Args:
        schema_name: The interface's name of the member with the JSON schema.
    """
    tools: list[Any] = [tool["function"] for tool in TOOLS]
    return [
        {
            "name": tool["name"],
            "description": tool["description"],
            schema_name: tool["parameters"],
        }
        for tool in tools
    ]


@pytest.fixture(scope="module")
def anthropic(launched_vllm: str) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=launched_vllm, api_key="none", max_retries=0, timeout=SECONDS
    ) as client:
        yield client


@pytest.fixture(scope="module")
def openai(launched_vllm: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{launched_vllm}/v1", api_key="none", max_retries=0, timeout=SECONDS
    ) as client:
        yield client


def messages_request(keyword: str) -> dict[str, Any]:
    return {
        **common(keyword),
        "messages": [{"role": "user", "content": f"Please answer {keyword}"}],
        "tools": functions("input_schema"),
        "max_tokens": TOKENS_MAX,
    }


STOP_REASONS = {"tool_calls": "tool_use", "stop": "end_turn", "length": "max_tokens"}


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestMessages:
    def test_a_whole_answer(self, anthropic: Anthropic, keyword: str) -> None:
        expected = WHOLE.get(keyword, ours(keyword))
        if not all(is_json(arguments) for _, _, arguments in expected.calls):
            # The interface carries arguments as an object; vLLM reads them, and fails.
            with pytest.raises(APIStatusError):
                anthropic.messages.create(**messages_request(keyword))
            return
        message = anthropic.messages.create(**messages_request(keyword))
        blocks = message.content
        reasoning = "".join(block.thinking for block in blocks if block.type == "thinking")
        content = "".join(block.text for block in blocks if block.type == "text")
        calls = [
            (block.id, block.name, block.input) for block in blocks if block.type == "tool_use"
        ]
        assert (reasoning, content) == (expected.reasoning, expected.content)
        assert calls == [(*call[:2], json.loads(call[2])) for call in expected.calls]
        assert message.stop_reason == STOP_REASONS[expected.finish_reason or ""]

    def test_a_stream(self, anthropic: Anthropic, keyword: str) -> None:
        reasoning, content, reason, calls = "", "", None, dict[int, list[str]]()
        for event in anthropic.messages.create(**messages_request(keyword), stream=True):
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.id, event.content_block.name, ""]
            elif event.type == "content_block_delta":
                match event.delta.type:
                    case "thinking_delta":
                        reasoning += event.delta.thinking
                    case "text_delta":
                        content += event.delta.text
                    case "input_json_delta":
                        calls[event.index][2] += event.delta.partial_json
            elif event.type == "message_delta":
                reason = event.delta.stop_reason
        together = [(call[0], call[1], call[2]) for _, call in sorted(calls.items())]
        expected = STREAMED.get(keyword, ours(keyword))
        assert Answer(reasoning, content, together, reason) == expected._replace(
            finish_reason=STOP_REASONS[expected.finish_reason or ""]
        )


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def responses_request(keyword: str) -> dict[str, Any]:
    return {
        **common(keyword),
        "input": f"Please answer {keyword}",
        "tools": [{"type": "function", **tool} for tool in functions("parameters")],
        "max_output_tokens": TOKENS_MAX,
    }


Output: TypeAlias = tuple[str, str, list[tuple[str, str, str]]]


def output_of(response: Any) -> Output:
    """The reasoning, the content and the calls of a response as a whole."""
    calls = [
        (item.call_id, item.name, item.arguments)
        for item in response.output
        if item.type == "function_call"
    ]
    thoughts = [item for item in response.output if item.type == "reasoning"]
    reasoning = "".join(part.text for item in thoughts for part in item.content or [])
    return reasoning, response.output_text, calls


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestResponses:
    def test_a_whole_answer(self, openai: OpenAI, keyword: str) -> None:
        response = openai.responses.create(**responses_request(keyword))
        assert output_of(response) == WHOLE.get(keyword, ours(keyword))[:3]
        assert response.status == "completed"

    def test_a_stream(self, openai: OpenAI, keyword: str) -> None:
        reasoning, content, calls, last = "", "", dict[int, list[str]](), None
        for event in openai.responses.create(**responses_request(keyword), stream=True):
            if event.type == "response.reasoning_text.delta":
                reasoning += event.delta
            elif event.type == "response.output_text.delta":
                content += event.delta
            elif event.type == "response.output_item.added" and event.item.type == "function_call":
                calls[event.output_index] = [event.item.call_id, event.item.name, ""]
            elif event.type == "response.function_call_arguments.delta":
                calls[event.output_index][2] += event.delta
            elif event.type == "response.completed":
                last = event.response
        together = [(call[0], call[1], call[2]) for _, call in sorted(calls.items())]
        expected = STREAMED.get(keyword, ours(keyword))
        assert (reasoning, content, together) == expected[:3]
        assert last is not None
        assert output_of(last) == expected[:3]
