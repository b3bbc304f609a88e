"""The guide's servers, asked by OpenAI's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp.test_utils import TestServer
from openai import AsyncOpenAI, BadRequestError
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.toolcalls import parse
from k2compat.toolcalls.chat import assistant_message
from tests.support.documentation import ROOT, run_python
from tests.support.models import make_model

MESSAGES: Any = [{"role": "user", "content": "Weather in Paris?"}]
FOREIGN: Any = [
    *MESSAGES,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
]
NAMELESS: Any = [{"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function"}]}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather"}}]


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the guide's examples define."""
    make_model(tmp_path / "Kimi-K2-Instruct")
    monkeypatch.chdir(tmp_path)
    return run_python(ROOT / "docs" / "servers.md")


@asynccontextmanager
async def starlette_client(guide: dict[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    transport = httpx2.ASGITransport(app=guide["starlette_app"])
    async with (
        httpx2.AsyncClient(transport=transport) as http_client,
        AsyncOpenAI(
            base_url="http://server/v1", api_key="none", http_client=http_client, max_retries=0
        ) as client,
    ):
        yield client


@asynccontextmanager
async def aiohttp_client(guide: dict[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    async with (
        TestServer(guide["aiohttp_app"]) as server,
        AsyncOpenAI(base_url=str(server.make_url("/v1")), api_key="none", max_retries=0) as client,
    ):
        yield client


async def ask(client: AsyncOpenAI, messages: Any) -> Any:
    """The choice that the client puts together from the stream."""
    state = ChatCompletionStreamState()
    stream = await client.chat.completions.create(
        model="kimi-k2", messages=messages, tools=TOOLS, stream=True
    )
    async for chunk in stream:
        state.handle_chunk(chunk)
    return state.get_final_completion().choices[0]


@pytest.mark.parametrize("connect", [starlette_client, aiohttp_client])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_client_gets_what_the_model_said(
    guide: dict[str, Any], connect: Callable[..., Any], size: int
) -> None:
    text = "".join(guide["SCRIPT"])
    guide["SCRIPT"] = [text[at : at + size] for at in range(0, len(text), size)]

    async def session() -> Any:
        async with connect(guide) as client:
            return await ask(client, MESSAGES)

    choice = asyncio.run(session())
    expected = assistant_message(parse(text))
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == expected["content"]
    (call,) = choice.message.tool_calls
    (written,) = expected["tool_calls"]
    assert (call.id, call.type, call.function.name, call.function.arguments) == (
        written["id"],
        written["type"],
        written["function"]["name"],
        written["function"]["arguments"],
    )


def test_the_engine_sees_native_ids_and_numbering_goes_on(guide: dict[str, Any]) -> None:
    # The model forgot the number: it is the first that the conversation has not used.
    guide["SCRIPT"] = [
        "<|tool_calls_section_begin|><|tool_call_begin|>weather<|tool_call_argument_begin|>{}",
        "<|tool_call_end|><|tool_calls_section_end|>",
    ]
    seen: list[Any] = []
    generate: Callable[..., AsyncIterator[str]] = guide["generate"]

    def spying(messages: Any, tools: Any) -> AsyncIterator[str]:
        seen.extend(messages)
        return generate(messages, tools)

    guide["generate"] = spying

    async def session() -> Any:
        async with starlette_client(guide) as client:
            return await ask(client, FOREIGN)

    choice = asyncio.run(session())
    assert seen[1]["tool_calls"][0]["id"] == seen[2]["tool_call_id"] == "functions.f:0"
    assert choice.message.tool_calls[0].id == "functions.weather:1"


def test_a_malformed_history_is_the_client_s_fault(guide: dict[str, Any]) -> None:
    async def session() -> None:
        async with starlette_client(guide) as client:
            await ask(client, NAMELESS)

    with pytest.raises(BadRequestError, match=r"messages\[0\]: a tool call must have a function"):
        asyncio.run(session())
