"""POST /v1/chat/completions: an `Exchange` between two sockets."""

import asyncio
import contextlib
import time

import aiohttp
from aiohttp import web

from k2compat.gateway.draft import RequestRefusedError
from k2compat.gateway.exchange import Exchange
from k2compat.gateway.http.client_answer import ClientAnswer
from k2compat.gateway.http.headers import client_headers
from k2compat.gateway.http.pacing import Pacing
from k2compat.gateway.http.replies import refuse, refuse_and_close
from k2compat.gateway.http.upstream import Upstream, read_end_of_body
from k2compat.gateway.options import Options
from k2compat.gateway.record import Record
from k2compat.gateway.settings import Settings
from k2compat.gateway.thought_memory import Recall, ThoughtMemory


class Chat:
    """Serves chat requests."""

    def __init__(self, settings: Settings, upstream: Upstream) -> None:
        """Take what all requests share."""
        self._body_timeout = settings.body_timeout
        self._body_limit = settings.body_limit
        self._upstream = upstream
        kept = settings.remember_thoughts
        self._memory = ThoughtMemory(kept) if kept else None

    async def serve(
        self, request: web.BaseRequest, record: Record, pacing: Pacing, options: Options
    ) -> web.StreamResponse:
        """Serve one request.

        Args:
            request: the client's request.
            record: takes what is known of it.
            pacing: its time limits.
            options: how the exchange is treated.
        """
        try:
            body = await self._body(request)
        except TimeoutError:
            return refuse_and_close(record, "request-timeout", "The body did not arrive.", 408)
        except web.HTTPRequestEntityTooLarge:
            return refuse_and_close(record, "request-too-large", "The body is too large.", 413)
        try:
            exchange = Exchange(
                body,
                options,
                answer_id=f"chatcmpl-{record.request_id}",
                created=int(time.time()),
                recall=self._recall(request),
            )
        except RequestRefusedError as error:
            return refuse(record, error.code, error.message, error.status)
        record.take_notes(exchange.prepared.notes)
        record.streams = exchange.prepared.streams
        try:
            return await self._relay(request, record, pacing, exchange)
        finally:
            record.problems = dict(exchange.problems)
            record.error = exchange.error
            record.calls = exchange.calls
            record.take_usage(exchange.usage)

    async def _body(self, request: web.BaseRequest) -> bytes:
        content = request.content
        if content.is_eof():  # it came with the headers
            body = content.read_nowait()
            if len(body) > self._body_limit:
                raise web.HTTPRequestEntityTooLarge(self._body_limit)
            return body
        async with asyncio.timeout(self._body_timeout):
            return await request.read()

    async def _relay(
        self, request: web.BaseRequest, record: Record, pacing: Pacing, exchange: Exchange
    ) -> web.StreamResponse:
        answer = ClientAnswer(request, record, exchange, pacing)
        upstream: aiohttp.ClientResponse | None = None
        try:
            with pacing:
                if exchange.prepared.streams:
                    _get_ready_meanwhile(exchange)
                upstream = await self._upstream.post(
                    request.headers, record.request_id, exchange.upstream_body
                )
                await _pass_on(upstream, answer, exchange, pacing)
        except (aiohttp.ClientError, TimeoutError) as error:
            if answer.is_blocked:  # it does not read, or it is gone
                raise ConnectionResetError("the client takes no bytes") from None
            await answer.send(_failed(exchange, pacing, error))
        else:
            response = await answer.end()
            await read_end_of_body(upstream)
            return response
        finally:
            if upstream is not None and not upstream.content.at_eof():
                upstream.close()
        return await answer.end()

    def _recall(self, request: web.BaseRequest) -> Recall | None:
        if self._memory is None:
            return None
        client = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return Recall(self._memory, client, time.monotonic())


def _get_ready_meanwhile(exchange: Exchange) -> None:
    """Prepare the reading of the answer once the request is on its way.

    aiohttp writes it in a task of its own, which runs in the loop's next round; this runs in the
    round behind that. What goes wrong here goes wrong again where the answer is read.
    """

    def get_ready() -> None:
        with contextlib.suppress(Exception):
            exchange.get_ready()

    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, get_ready)


async def _pass_on(
    upstream: aiohttp.ClientResponse, answer: ClientAnswer, exchange: Exchange, pacing: Pacing
) -> None:
    answer.headers = client_headers(upstream.headers, answer.headers["X-Request-Id"])
    content_type = upstream.headers.get("Content-Type", "")
    written = exchange.begin(upstream.status, content_type)
    # What came with the head goes on with the head, in one packet.
    try:
        data = upstream.content.read_nowait()
    except aiohttp.ClientError:
        await answer.send(written)  # the head, so that the client sees its answer break off
        raise
    if data:
        pacing.received()
        written += exchange.receive(data)
    await answer.send(written)
    if exchange.head is not None and exchange.head.streams:
        pacing.beat(answer.beat)
    while not exchange.done and (data := await upstream.content.readany()):
        pacing.received()
        if written := exchange.receive(data):
            await answer.send(written)
    await answer.send(exchange.finish())


def _failed(exchange: Exchange, pacing: Pacing, error: Exception) -> bytes:
    """End an exchange whose upstream failed."""
    match error:
        case aiohttp.ServerTimeoutError():
            message = "The connection to the upstream took too long."
            return exchange.fail("upstream-connect-timeout", message, 504)
        case aiohttp.ClientConnectorError():
            return exchange.fail("upstream-unreachable", "The upstream takes no connections.")
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError():
            return exchange.finish(complete=False)
        case aiohttp.ClientError():
            return exchange.fail("upstream-invalid", "The upstream's answer is not valid HTTP.")
        case _:
            return exchange.fail(*pacing.reason)
