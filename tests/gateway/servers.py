"""A scripted upstream and a gateway before it, on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from k2compat.gateway.service import make_gateway, start_runner
from k2compat.gateway.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DONE = b"data: [DONE]\n\n"
SERVED: list[Any] = []
"""The gateways that the running test has made."""


class Upstream:
    """A server whose chat completions are what `answer` makes.

    Attributes:
        answer: makes the response.
        bodies: the bodies it got, decoded.
        headers: the headers it got.
        paths: the paths it was asked for.
        aborted: set when a response was aborted.
        opened, closed: how many responses began and ended, in whatever way.
    """

    def __init__(
        self,
        answer: Handler | None = None,
        owner: str = "another",
        models: Handler | None = None,
    ) -> None:
        self.answer = answer or whole("hi")
        self.own_models = models
        self.owner = owner
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        self.aborted = asyncio.Event()
        self.opened = self.closed = 0
        self.written = 0
        self.url = ""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        self.paths.append(request.path)
        try:
            self.headers.append(request.headers)
            self.bodies.append(await request.json())
            return await self.answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.aborted.set()
            raise
        finally:
            self.closed += 1

    async def models(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers)
        self.paths.append(request.path)
        if self.own_models is not None:
            return await self.own_models(request)
        return web.json_response({"object": "list", "data": [{"id": "k", "owned_by": self.owner}]})

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        application = web.Application(client_max_size=1 << 28)
        application.router.add_post("/v1/chat/completions", self.chat)
        application.router.add_get("/v1/models", self.models)
        runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self.url
        finally:
            await runner.cleanup()


@asynccontextmanager
async def gateway(upstream_url: str, **settings: Any) -> AsyncIterator[Any]:
    """A gateway on a free port; `url` is its API."""
    values = Settings(upstream=upstream_url, listen="127.0.0.1:0", **settings)
    made = make_gateway(values)
    SERVED.append(made)
    runner = await start_runner(made, values)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    made.site = site  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def both(upstream: Upstream, **settings: Any) -> AsyncIterator[tuple[Any, Any]]:
    """An upstream, the gateway before it, and a plain client."""
    async with (
        upstream.serve() as url,
        gateway(url, **settings) as served,
        aiohttp.ClientSession(served.url) as client,
    ):
        yield served, client


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Any = None, reason: str | None = None, index: int = 0, **fields: Any) -> Any:
    choice = {"index": index, "delta": delta or {}, "finish_reason": reason}
    return {
        "id": "chatcmpl-up",
        "object": "chat.completion.chunk",
        "created": 1764500000,
        "model": "kimi",
        "choices": [choice | fields],
    }


def completion(message: Any, reason: str | None = "stop", **fields: Any) -> Any:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason}
    return {
        "id": "chatcmpl-up",
        "object": "chat.completion",
        "created": 1764500000,
        "model": "kimi",
        "choices": [choice],
    } | fields


def whole(text: str, **fields: Any) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(completion({"content": text}, **fields))

    return answer


def streamed(pieces: Iterable[bytes], *, end: bytes = DONE, pause: float = 0) -> Handler:
    """A stream of events."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in [*pieces, end]:
            await response.write(piece)
            await asyncio.sleep(pause)
        await response.write_eof()
        return response

    return answer


def deltas(*deltas_: Any, reason: str = "stop") -> list[bytes]:
    """Events of deltas, with the chunk that ends the choice."""
    return [*(event(chunk(delta)) for delta in deltas_), event(chunk(None, reason))]
