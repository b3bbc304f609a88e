"""vLLM's CPU build, started by `k2compat launch … --run`, holds the talking model.

vLLM's own kimi_k2 parser differs from ours in few scripts; each difference is a case here, so that
a release that changes one is noticed.
"""

import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from openai import OpenAI

from k2compat.launch.preflight.engine_parser import check_installed
from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import StreamParser, parse
from tests.support.command import PROGRAM
from tests.support.talking_models import prompt_of, talking_model
from tests_engines.conftest import environment_of, programs_of, serving

SECONDS_TO_START = 420
TOKENS_MAX = 200
NAME = "kimi-k2"


class Answer(NamedTuple):
    """What a client has at the end: content, calls (id, name, arguments), finish reason."""

    content: str
    calls: list[tuple[str, str, str]]
    finish_reason: str | None


def ours(keyword: str) -> Answer:
    # No --reasoning-parser is rendered for an Instruct model, so thoughts are content.
    message = parse(SCRIPTS[keyword].text, TOOLS)
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    return Answer(message.content or "", calls, message.finish_reason)


# The id stays as the model wrote it, and broken arguments end as whole ones do.
_NO_PREFIX = Answer(
    "Without a prefix.", [("get_weather:0", "get_weather", '{"city": "Lima"}')], "tool_calls"
)
_BROKEN = '{"city": "Delhi", "unit":'


def broken(arguments: str) -> Answer:
    call = ("functions.get_weather:0", "get_weather", arguments)
    return Answer("The arguments break off.", [call], "tool_calls")


WHOLE = {
    "@noprefix": _NO_PREFIX,
    "@broken": broken(_BROKEN),
    # A marker inside a JSON string ends the call: the arguments are cut there.
    "@quote": Answer(
        "I write that down.",
        [
            (
                "functions.write_file:0",
                "write_file",
                '{"path": "format.md", "text": "A call ends with',
            )
        ],
        "tool_calls",
    ),
}
STREAMED = {
    "@noprefix": _NO_PREFIX,
    "@broken": broken(f"{_BROKEN} "),
    # A stream keeps the white space around arguments that a whole answer strips.
    "@blank": Answer(
        "White space surrounds it.",
        [("functions.get_weather:0", "get_weather", ' \n{"city": "Kyiv"}\n ')],
        "tool_calls",
    ),
}


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Compiling takes minutes on a CPU, hence --enforce-eager. The KV cache takes 1 GiB.
    command: list[Any] = [
        *(PROGRAM, "launch", "vllm", talking_model(), "--gpus-per-node", "1"),
        *("--context", "4096", "--port", str(port), "--set", "enforce-eager"),
        *("--run", "--node-rank", "0", "--skip-preflight"),
    ]
    url = f"http://127.0.0.1:{port}"
    environment = environment_of("vllm", VLLM_CPU_KVCACHE_SPACE="1")
    log = tmp_path_factory.mktemp("vllm") / "log"
    with (
        serving(command, f"{url}/health", env=environment, log=log, seconds=SECONDS_TO_START),
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
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


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestItsOwnParser:
    def test_a_whole_answer(self, openai: OpenAI, keyword: str) -> None:
        choice = openai.chat.completions.create(**chat_request(keyword)).choices[0]
        calls = [
            (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ]
        found = Answer(choice.message.content or "", calls, choice.finish_reason)
        assert found == WHOLE.get(keyword, ours(keyword))

    def test_a_stream(self, openai: OpenAI, keyword: str) -> None:
        content, reason, calls = "", None, dict[int, list[str]]()
        for chunk in openai.chat.completions.create(**chat_request(keyword), stream=True):
            for choice in chunk.choices:
                content += choice.delta.content or ""
                reason = choice.finish_reason or reason
                for call in choice.delta.tool_calls or []:
                    parts = calls.setdefault(call.index, ["", "", ""])
                    function = call.function
                    assert function
                    for place, part in enumerate((call.id, function.name, function.arguments)):
                        parts[place] += part or ""
        together = [(parts[0], parts[1], parts[2]) for _, parts in sorted(calls.items())]
        assert Answer(content, together, reason) == STREAMED.get(keyword, ours(keyword))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"], ""),
        (["--nnodes", "2", "--node-rank", "1", "--master-addr", "10.0.0.1", "--headless"], ""),
        (["--enable-auto-tool-choice"], "requires --tool-call-parser"),
        (["--model", "K2"], "positional"),
        (["--swap-space", "4"], "unrecognized arguments: --swap-space"),
    ],
)
def test_its_parser_is_asked_by_its_program(arguments: list[str], complaint: str) -> None:
    python = str(programs_of("vllm") / "python")
    verdict = check_installed("vllm", "serve", "0.32.0", ["K2", *arguments], python=python)
    assert complaint in verdict.complaint
    assert [finding.code for finding in verdict.findings] == ["installed-refuses"] * bool(complaint)
