"""vLLM's server with the plug-in of the parser-only wheel, found by its entry point.

Only what vLLM decides itself differs from `parse`: the finish reason of a call that was cut.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openai import OpenAI

from k2compat.samples.talking import SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from tests.support.talking_models import talking_model
from tests_engines.conftest import (
    SECONDS_TO_START_VLLM,
    environment_of,
    free_port,
    programs_of,
    serving,
)

ROOT = Path(__file__).parents[1]
# A stop string makes vLLM hold text back, so that its token ids run ahead of the text.
STOP = "a text that never comes."


class Answer(NamedTuple):
    """What a client has at the end: reasoning, content, calls (id, name, arguments)."""

    reasoning: str
    content: str
    calls: list[tuple[str, str, str]]
    finish_reason: str | None


def ours(keyword: str) -> Answer:
    script = SCRIPTS[keyword]
    # A request that switches thinking off makes the reasoning parser read none.
    message = parse(script.text, TOOLS, reasoning="prefilled" if script.is_prefilled else "off")
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    reason = "tool_calls" if calls else message.finish_reason
    return Answer(message.reasoning or "", message.content or "", calls, reason)


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    vllm = programs_of("vllm") / "vllm"
    folder = tmp_path_factory.mktemp("plug-in")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    source = str(ROOT / "distributions" / "toolcalls")
    subprocess.run([*build, source], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    # A wheel is a folder of packages and metadata in a zip file, and works as such on the path.
    port = free_port()
    command: list[Any] = [
        *(vllm, "serve", talking_model(), "--served-model-name", "kimi", "--port", str(port)),
        *("--max-model-len", "4096", "--enforce-eager", "--trust-remote-code"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "k2compat"),
        *("--reasoning-parser", "k2compat"),
    ]
    url = f"http://127.0.0.1:{port}"
    environment = environment_of("vllm", VLLM_CPU_KVCACHE_SPACE="1", PYTHONPATH=str(wheel))
    log, ready = folder / "log", f"{url}/health"
    with (
        serving(command, ready, env=environment, log=log, seconds=SECONDS_TO_START_VLLM),
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300) as client,
    ):
        yield client


def request(keyword: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "kimi",
        "messages": [{"role": "user", "content": f"Please answer {keyword}"}],
        "tools": list(TOOLS),
        "max_tokens": 200,
        "extra_body": {"chat_template_kwargs": {"thinking": SCRIPTS[keyword].is_prefilled}},
        **more,
    }


def reasoning_of(message: Any) -> str:
    fields = message.model_dump()
    return fields.get("reasoning") or fields.get("reasoning_content") or ""


def streamed(client: OpenAI, **body: Any) -> Answer:
    reasoning, content, reason, calls = "", "", None, dict[int, list[str]]()
    for chunk in client.chat.completions.create(**body, stream=True):
        for choice in chunk.choices:
            reasoning += reasoning_of(choice.delta)
            content += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for call in choice.delta.tool_calls or []:
                parts = calls.setdefault(call.index, ["", "", ""])
                assert call.function
                pieces = (call.id, call.function.name, call.function.arguments)
                parts[:] = [part + (piece or "") for part, piece in zip(parts, pieces, strict=True)]
    together = [(parts[0], parts[1], parts[2]) for _, parts in sorted(calls.items())]
    return Answer(reasoning, content, together, reason)


@pytest.mark.parametrize("keyword", SCRIPTS)
class TestEveryScript:
    def test_a_whole_answer(self, openai: OpenAI, keyword: str) -> None:
        choice = openai.chat.completions.create(**request(keyword)).choices[0]
        calls = [
            (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ]
        reasoning, content = reasoning_of(choice.message), choice.message.content or ""
        assert Answer(reasoning, content, calls, choice.finish_reason) == ours(keyword)

    def test_a_stream(self, openai: OpenAI, keyword: str) -> None:
        assert streamed(openai, **request(keyword)) == ours(keyword)

    def test_a_stream_with_a_stop_string(self, openai: OpenAI, keyword: str) -> None:
        assert streamed(openai, **request(keyword, stop=[STOP])) == ours(keyword)


class TestNoToolWanted:
    """`tool_choice: none`: the markup of a call that the model writes all the same is dropped."""

    def test_a_whole_answer_has_the_content_alone(self, openai: OpenAI) -> None:
        body = request("@weather", tool_choice="none")
        choice = openai.chat.completions.create(**body).choices[0]
        assert not choice.message.tool_calls
        assert choice.message.content == ours("@weather").content
        assert choice.finish_reason == "stop"

    def test_a_stream_has_the_content_alone(self, openai: OpenAI) -> None:
        expected = ours("@weather")._replace(calls=[], finish_reason="stop")
        assert streamed(openai, **request("@weather", tool_choice="none")) == expected
