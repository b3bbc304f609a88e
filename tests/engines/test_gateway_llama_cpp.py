"""The gateway before a real llama.cpp whose markers are stripped, or leak into the content."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import AsyncOpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.samples.llama_server import llama_server
from k2compat.samples.talking import GGUF_FILE, SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from tests.gateway.servers import gateway
from tests.support.talking_models import talking_model

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this platform")

KEYWORDS = [
    keyword
    for keyword, script in SCRIPTS.items()
    if script.is_well_formed and script.reasoning == "off" and "<|tool_call" in script.text
]


@pytest.fixture(scope="module", params=[False, True], ids=["leaked", "stripped"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A server's API, and the folder that names its markers."""
    stripped = request.param
    model = talking_model("gguf", special_markers=stripped) / GGUF_FILE
    with llama_server(model) as url:
        yield f"{url}/v1", str(talking_model(special_markers=stripped))


@pytest.mark.sample(5)
@pytest.mark.parametrize("tools", [False, True], ids=["no tools", "tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_the_official_client_gets_the_calls(
    server: tuple[str, str], keyword: str, stream: bool, tools: bool
) -> None:
    body: dict[str, Any] = {
        "model": "kimi",
        "messages": [{"role": "user", "content": f"Please answer {keyword}"}],
        "max_tokens": 200,
        "extra_body": {"chat_template_kwargs": {"thinking": False}},
    }
    if tools:
        body["tools"] = list(TOOLS)

    async def session() -> Any:
        url, folder = server
        async with (
            gateway(url, folder=folder, engine="llama.cpp", reasoning="off") as served,
            AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0) as client,
        ):
            assert await served.readiness.ask() == ""
            assert served.readiness.engine == "llama.cpp"
            if not stream:
                return (await client.chat.completions.create(**body)).choices[0]
            state = ChatCompletionStreamState()
            async for chunk in await client.chat.completions.create(**body, stream=True):
                state.handle_chunk(chunk)
            return state.current_completion_snapshot.choices[0]

    choice = asyncio.run(session())
    expected = parse(SCRIPTS[keyword].text, TOOLS)
    assert (choice.message.content or None) == expected.content
    assert [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    ] == [(call.id, call.name, call.arguments) for call in expected.tool_calls]
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tool_choice_none_gives_no_call(server: tuple[str, str], stream: bool) -> None:
    """The model calls all the same: its script knows no tool_choice."""
    body: dict[str, Any] = {
        "model": "kimi",
        "messages": [{"role": "user", "content": "Please answer @weather"}],
        "max_tokens": 200,
        "tools": list(TOOLS),
        "tool_choice": "none",
    }

    async def session() -> tuple[Any, str]:
        url, folder = server
        settings: dict[str, Any] = {"engine": "llama.cpp", "reasoning": "off"}
        async with (
            gateway(url, folder=folder, **settings) as served,
            AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0) as client,
        ):
            if not stream:
                answer = await client.chat.completions.create(**body)
                return answer.choices[0], served._metrics.text().decode()
            state = ChatCompletionStreamState()
            async for chunk in await client.chat.completions.create(**body, stream=True):
                state.handle_chunk(chunk)
            return state.current_completion_snapshot.choices[0], served._metrics.text().decode()

    choice, metrics = asyncio.run(session())
    assert not choice.message.tool_calls
    assert choice.finish_reason == "stop"
    assert str(choice.message.content).startswith("Let me look it up.")
    assert "<|" not in choice.message.content
    assert 'code="call-surplus"' in metrics or 'code="markers-stripped"' in metrics


def test_it_says_that_it_closes_a_connection_only_where_it_is_told_to(
    server: tuple[str, str],
) -> None:
    """What `http/upstream.py` knows: behind a stream it closes the connection in any case."""
    body = {"messages": [{"role": "user", "content": "@no"}], "max_tokens": 2, "stream": True}

    def said(**headers: str) -> str | None:
        connection = HTTPConnection(urlsplit(server[0]).netloc, timeout=30)
        with closing(connection):
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            opened = connection.sock  # `getresponse` leaves it where the answer says so
            answer = connection.getresponse()
            assert answer.read().endswith(b"data: [DONE]\n\n")
            assert answer.headers["Server"] == "llama.cpp"
            if answer.headers["Connection"] is None:
                assert opened.recv(1) == b""
            word: str | None = answer.headers["Connection"]
            return word

    assert said() is None
    assert said(Connection="close") == "close"
