"""The connections to the upstream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import pytest

from tests.gateway.servers import DONE, chunk, event, gateway
from tests.gateway.support import request

MODELS: Final = b'{"data": [{"id": "k", "owned_by": "llamacpp"}]}'
STREAM: Final = event(chunk({"content": "hi"}, "stop")) + DONE


class ClosingServer:
    """Closes a connection a moment after a stream and says nothing of it, as llama.cpp does."""

    def __init__(self) -> None:
        self.streams = self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while not await self.answer(reader, writer):
                pass
            await asyncio.sleep(0.05)
        except asyncio.IncompleteReadError:  # the client closed it
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.open -= 1

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether that was the last one."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.write(b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\n")
        if head.startswith(b"get"):
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(MODELS), MODELS))
            return False
        size = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(size.split(b":")[1]))
        self.streams += 1
        if b"connection: close" in head:  # told so, it says so
            writer.write(b"Connection: close\r\n")
        # In one piece: a client has the whole answer when it first looks at it.
        writer.write(
            b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(STREAM), STREAM)
        )
        return True

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        while self.open:
            await asyncio.sleep(0.01)


def test_no_request_goes_to_a_connection_that_is_about_to_be_closed() -> None:
    async def session() -> None:
        upstream = ClosingServer()
        async with (
            upstream.listen() as url,
            gateway(url) as served,
            aiohttp.ClientSession(served.url) as client,
        ):
            assert await served.readiness.ask() == ""
            for number in range(1, 4):
                answer = await client.post("/v1/chat/completions", json=request(stream=True))
                assert (await answer.read()).endswith(DONE)
                assert upstream.streams == number

    asyncio.run(session())


def test_an_error_body_that_is_damaged_breaks_the_answer_off() -> None:
    """It came with its head, and must not become an answer without a body."""
    damaged = b"garbage garbage"

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(damaged), damaged)
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def session() -> None:
        server = await asyncio.start_server(fail, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server, gateway(url) as served, aiohttp.ClientSession(served.url) as client:
            answer = await client.post("/v1/chat/completions", json=request())
            assert answer.status == 503
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()

    asyncio.run(session())
