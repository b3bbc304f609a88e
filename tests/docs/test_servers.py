"""The guide's servers, asked by OpenAI's own client."""

import asyncio
import json
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
    # TestServer starts with handler_cancellation=True, as the guide wants it.
    async with (
        TestServer(guide["aiohttp_app"]) as server,
        AsyncOpenAI(base_url=str(server.make_url("/v1")), api_key="none", max_retries=0) as client,
    ):
        yield client


CLIENTS = pytest.mark.parametrize("connect", [starlette_client, aiohttp_client])


async def ask(client: AsyncOpenAI, messages: Any) -> Any:
    """The choice that the client puts together from the stream."""
    state = ChatCompletionStreamState()
    stream = await client.chat.completions.create(
        model="kimi-k2", messages=messages, tools=TOOLS, stream=True
    )
    async for chunk in stream:
        state.handle_chunk(chunk)
    return state.get_final_completion().choices[0]


@CLIENTS
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


@CLIENTS
def test_the_whole_answer_is_the_same(guide: dict[str, Any], connect: Callable[..., Any]) -> None:
    async def session() -> Any:
        async with connect(guide) as client:
            whole = await client.chat.completions.create(model="kimi-k2", messages=MESSAGES)
            return whole.choices[0], await ask(client, MESSAGES)

    whole, streamed = asyncio.run(session())
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"
    assert whole.message.content == streamed.message.content
    assert [call.id for call in whole.message.tool_calls] == ["functions.weather:0"]


@CLIENTS
@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (NAMELESS, r"messages\[0\]: a tool call must have a function"),
        (None, "the conversation must be a list of messages"),
        ("Weather in Paris?", "the conversation must be a list of messages"),
    ],
)
def test_a_malformed_history_is_the_client_s_fault(
    guide: dict[str, Any], connect: Callable[..., Any], messages: Any, reason: str
) -> None:
    async def session() -> None:
        async with connect(guide) as client:
            await ask(client, messages)

    with pytest.raises(BadRequestError, match=reason):
        asyncio.run(session())


@CLIENTS
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_so_is_a_malformed_body(
    guide: dict[str, Any], connect: Callable[..., Any], body: bytes
) -> None:
    async def session() -> None:
        async with connect(guide) as client:
            await client.post(
                "/chat/completions",
                cast_to=object,
                content=body,
                options={"headers": {"content-type": "application/json"}},
            )

    with pytest.raises(BadRequestError):
        asyncio.run(session())


class EndlessEngine:
    """Generates until it is closed."""

    def __init__(self) -> None:
        self.is_closed = asyncio.Event()

    async def generate(self, messages: Any, tools: Any) -> AsyncIterator[str]:
        try:
            while True:
                yield "more "
                await asyncio.sleep(0.001)
        finally:
            self.is_closed.set()


def test_aiohttp_aborts_the_engine_when_the_client_leaves(guide: dict[str, Any]) -> None:
    async def session() -> None:
        engine = EndlessEngine()
        guide["generate"] = engine.generate
        async with aiohttp_client(guide) as client:
            stream = await client.chat.completions.create(
                model="kimi-k2", messages=MESSAGES, stream=True
            )
            await anext(aiter(stream))
            await stream.close()
            await asyncio.wait_for(engine.is_closed.wait(), 10)

    asyncio.run(session())


@pytest.mark.parametrize("is_stream", [True, False])
def test_starlette_aborts_the_engine_when_the_client_leaves(
    guide: dict[str, Any], *, is_stream: bool
) -> None:
    async def session() -> None:
        engine = EndlessEngine()
        guide["generate"] = engine.generate
        body = json.dumps({"messages": MESSAGES, "stream": is_stream}).encode()
        received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        received.put_nowait({"type": "http.request", "body": body})
        if not is_stream:
            received.put_nowait({"type": "http.disconnect"})

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                received.put_nowait({"type": "http.disconnect"})

        scope = {
            "type": "http",
            "asgi": {"spec_version": "2.3"},
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": [],
        }
        await guide["starlette_app"](scope, received.get, send)
        await asyncio.wait_for(engine.is_closed.wait(), 10)

    asyncio.run(session())
