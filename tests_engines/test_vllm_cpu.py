"""vLLM's CPU build, started by `k2compat launch … --run`, holds the talking model.

vLLM's own kimi_k2 parser differs from ours in few scripts; each difference is a case here, so that
a release that changes one is noticed.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from k2compat.launch.preflight.engine_parser import check_installed
from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import StreamParser, parse
from tests.support.talking_models import prompt_of
from tests_engines.conftest import programs_of
from tests_engines.vllm_answers import STREAMED, WHOLE, Answer, ours

TOKENS_MAX = 200
NAME = "kimi-k2"


@pytest.fixture(scope="module")
def openai(launched_vllm: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{launched_vllm}/v1", api_key="none", max_retries=0, timeout=300
    ) as client:
        yield client


def raw_request(keyword: str) -> dict[str, Any]:
    prompt = prompt_of(keyword, thinking=SCRIPTS[keyword].is_prefilled)
    return {
        "model": NAME,
        "prompt": prompt,
        "max_tokens": TOKENS_MAX,
        "temperature": 1,
        "extra_body": {"skip_special_tokens": False},
    }


def chat_request(keyword: str) -> dict[str, Any]:
    return {
        "model": NAME,
        "messages": [{"role": "user", "content": f"Please answer {keyword}"}],
        "tools": list(TOOLS),
        "max_tokens": TOKENS_MAX,
        "extra_body": {"chat_template_kwargs": {"thinking": SCRIPTS[keyword].is_prefilled}},
    }


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestRawCompletions:
    def test_the_whole_answer_is_the_script(self, openai: OpenAI, keyword: str) -> None:
        answer = openai.completions.create(**raw_request(keyword))
        assert answer.choices[0].text == SCRIPTS[keyword].text

    def test_the_stream_reads_like_the_script(self, openai: OpenAI, keyword: str) -> None:
        script = SCRIPTS[keyword]
        parser = StreamParser(TOOLS, reasoning=script.reasoning)
        text = ""
        for chunk in openai.completions.create(**raw_request(keyword), stream=True):
            text += chunk.choices[0].text
            parser.feed(chunk.choices[0].text)
        parser.finish()
        assert text == script.text
        assert parser.message == parse(script.text, TOOLS, reasoning=script.reasoning)


def reasoning_of(message: Any) -> str:
    fields = message.model_dump()
    return fields.get("reasoning") or fields.get("reasoning_content") or ""


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestItsOwnParser:
    def test_a_whole_answer(self, openai: OpenAI, keyword: str) -> None:
        choice = openai.chat.completions.create(**chat_request(keyword)).choices[0]
        calls = [
            (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ]
        reasoning, content = reasoning_of(choice.message), choice.message.content or ""
        assert Answer(reasoning, content, calls, choice.finish_reason) == WHOLE.get(
            keyword, ours(keyword)
        )

    def test_a_stream(self, openai: OpenAI, keyword: str) -> None:
        reasoning, content, reason, calls = "", "", None, dict[int, list[str]]()
        for chunk in openai.chat.completions.create(**chat_request(keyword), stream=True):
            for choice in chunk.choices:
                reasoning += reasoning_of(choice.delta)
                content += choice.delta.content or ""
                reason = choice.finish_reason or reason
                for call in choice.delta.tool_calls or []:
                    parts = calls.setdefault(call.index, ["", "", ""])
                    function = call.function
                    assert function
                    for place, part in enumerate((call.id, function.name, function.arguments)):
                        parts[place] += part or ""
        together = [(parts[0], parts[1], parts[2]) for _, parts in sorted(calls.items())]
        assert Answer(reasoning, content, together, reason) == STREAMED.get(keyword, ours(keyword))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"], ""),
        (["--nnodes", "2", "--node-rank", "1", "--master-addr", "10.0.0.1", "--headless"], ""),
        (["--enable-auto-tool-choice"], "requires --tool-call-parser"),
        # It takes the value of --model for the model, and then has another one.
        (["--model", "K2"], "unrecognized arguments: K2"),
        (["--swap-space", "4"], "unrecognized arguments: --swap-space"),
    ],
)
def test_its_parser_is_asked_by_its_program(arguments: list[str], complaint: str) -> None:
    python = str(programs_of("vllm") / "python")
    verdict = check_installed("vllm", "serve", "0.32.0", ["K2", *arguments], python=python)
    assert complaint in verdict.complaint
    assert [finding.code for finding in verdict.findings] == ["installed-refuses"] * bool(complaint)


class TestNoToolWanted:
    """`tool_choice: none`: the markup of a call that the model writes all the same is dropped."""

    def test_a_whole_answer_has_the_content_alone(self, openai: OpenAI) -> None:
        request = chat_request("@weather") | {"tool_choice": "none"}
        choice = openai.chat.completions.create(**request).choices[0]
        assert not choice.message.tool_calls
        assert choice.message.content == ours("@weather").content
        assert choice.finish_reason == "stop"

    def test_a_stream_has_the_content_alone(self, openai: OpenAI) -> None:
        request = chat_request("@weather") | {"tool_choice": "none", "stream": True}
        choices = [
            choice
            for chunk in openai.chat.completions.create(**request)
            for choice in chunk.choices
        ]
        assert not any(choice.delta.tool_calls for choice in choices)
        content = "".join(choice.delta.content or "" for choice in choices)
        assert content == ours("@weather").content
        assert choices[-1].finish_reason == "stop"
