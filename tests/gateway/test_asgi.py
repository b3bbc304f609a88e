"""The gateway around an ASGI application, asked by OpenAI's own client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.lib.streaming.chat import ChatCompletionStreamState
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from k2compat.gateway import Options
from k2compat.gateway.faces.asgi import GatewayMiddleware, VLLMMiddleware
from tests.gateway.servers import DONE, completion, deltas
from tests.gateway.support import assistant, call, request, result
from tests.toolcalls.transcripts import call as written_call
from tests.toolcalls.transcripts import section

TEXT = "Hi." + section(written_call("functions.weather:1", {"city": "Paris"}))


class Engine:
    """An application that leaks, and notes what it got."""

    def __init__(self, **options: Any) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        routes = [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/models", lambda _: PlainTextResponse("models")),
        ]
        middleware = [Middleware(GatewayMiddleware, Options(), **options)]
        self.app = Starlette(routes=routes, middleware=middleware)

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        if body.get("user") == "busy":
            return PlainTextResponse("busy", 429, {"Retry-After": "1"})
        if not body.get("stream"):
            return JSONResponse(completion({"content": TEXT}), headers={"X-Engine": "1"})
        pieces = [*deltas(*({"content": piece} for piece in TEXT)), DONE]

        async def lines() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        return StreamingResponse(lines(), media_type="text/event-stream")


@asynccontextmanager
async def http(engine: Engine) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=engine.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_gets_the_call(stream: bool) -> None:
    body = request(assistant(call("call_1"), content="x"), result("call_1"))

    async def session() -> Any:
        async with http(engine) as client:
            openai = AsyncOpenAI(base_url="http://engine/v1", api_key="k", http_client=client)
            if not stream:
                return (await openai.chat.completions.create(**body)).choices[0]
            state = ChatCompletionStreamState()
            async for chunk in await openai.chat.completions.create(**body, stream=True):
                state.handle_chunk(chunk)
            return state.get_final_completion().choices[0]

    engine = Engine()
    choice = asyncio.run(session())
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Hi."
    assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}'
    assert engine.bodies[0]["messages"][1]["tool_call_id"] == "functions.weather:0"
    assert "accept-encoding" not in engine.headers[0]


def test_other_paths_and_methods_pass_untouched() -> None:
    async def session() -> None:
        async with http(Engine()) as client:
            assert (await client.get("/v1/models")).text == "models"
            assert (await client.get("/v1/chat/completions")).status_code == 405

    asyncio.run(session())


def test_headers_and_errors_of_the_application_pass() -> None:
    async def session() -> None:
        async with http(Engine()) as client:
            answer = await client.post("/v1/chat/completions", json=request())
            assert answer.headers["X-Engine"] == "1"
            assert answer.headers["Content-Type"] == "application/json"
            answer = await client.post("/v1/chat/completions", json=request(user="busy"))
            assert (answer.status_code, answer.text) == (429, "busy")
            assert answer.headers["Retry-After"] == "1"

    asyncio.run(session())


def test_a_request_that_is_refused_never_reaches_the_application() -> None:
    engine = Engine(body_limit=100)

    async def session() -> None:
        async with http(engine) as client:
            answer = await client.post("/v1/chat/completions", json=request(user="x" * 100))
            assert answer.status_code == 413
            openai = AsyncOpenAI(base_url="http://engine/v1", api_key="k", http_client=client)
            with pytest.raises(BadRequestError, match="messages must be a list"):
                await openai.chat.completions.create(model="k", messages=1)  # type: ignore[call-overload]

    asyncio.run(session())
    assert engine.bodies == []


def run(
    app: Any, received: list[dict[str, Any]], scope: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What an application sends for what it receives, message by message."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return received.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    made = GatewayMiddleware(app)
    path = "/v1/chat/completions"
    made_scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(made(scope or made_scope, receive, send))
    return sent


BODY: dict[str, Any] = {"type": "http.request", "body": json.dumps(request(stream=True)).encode()}


async def talkative(scope: Any, receive: Any, send: Any) -> None:
    """Goes on after its end."""
    assert (await receive())["type"] == "http.request"
    assert (await receive())["type"] == "http.disconnect"
    await send({"type": "http.response.debug"})
    kind = (b"content-type", b"text/event-stream")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    body = b"".join(deltas({"content": "x"})) + DONE
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
    await send({"type": "http.response.body"})


def test_after_the_end_nothing_is_sent() -> None:
    sent = run(talkative, [dict(BODY), {"type": "http.disconnect"}])
    assert [message["type"] for message in sent] == [
        "http.response.debug",
        "http.response.start",
        "http.response.body",
    ]
    assert sent[-1]["body"].endswith(DONE)
    assert sent[-1]["more_body"] is False


def test_a_body_may_come_in_pieces() -> None:
    begin, end = BODY["body"][:9], BODY["body"][9:]
    pieces = [
        {"type": "http.request", "body": begin, "more_body": True},
        {"type": "http.request", "body": end},
        {"type": "http.disconnect"},
    ]
    assert run(talkative, pieces)[-1]["body"].endswith(DONE)


def test_a_client_that_leaves_is_left() -> None:
    assert run(talkative, [{"type": "http.disconnect"}]) == []


def test_for_vllm_the_markers_are_kept() -> None:
    bodies: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bodies.append(json.loads((await receive())["body"]))

    async def receive() -> dict[str, Any]:
        return dict(BODY)

    async def send(message: Any) -> None:
        raise AssertionError

    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(VLLMMiddleware(app)(scope, receive, send))
    assert bodies[0]["skip_special_tokens"] is False


def test_what_is_not_http_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    run(app, [], {"type": "lifespan"})
    assert seen == ["lifespan"]
