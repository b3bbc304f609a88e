"""The gateway's HTTP server and its client: the sockets around `Exchange`."""

import asyncio
import contextlib
import errno
import io
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Final

import aiohttp
from aiohttp import web

from k2compat.gateway.answers import error_body
from k2compat.gateway.dialects import Engine, engine_of_models
from k2compat.gateway.draft import RequestRefusedError
from k2compat.gateway.exchange import Exchange
from k2compat.gateway.headers import (
    client_headers,
    is_admitted,
    request_id_of,
    upstream_headers,
)
from k2compat.gateway.json_text import encode
from k2compat.gateway.metrics import CONTENT_TYPE, Metrics
from k2compat.gateway.options import Options
from k2compat.gateway.pacing import Pacing
from k2compat.gateway.record import Record, log
from k2compat.gateway.settings import Settings, base_url
from k2compat.gateway.thought_memory import Recall, ThoughtMemory

Handler = Callable[[web.Request, Record], Awaitable[web.StreamResponse]]

_HINTS: Final = {
    "/v1/messages": "The gateway has no Anthropic Messages API yet; vLLM, SGLang and llama.cpp "
    "serve /v1/messages themselves.",
    "/v1/responses": "The gateway has no Responses API yet; vLLM, SGLang and llama.cpp serve "
    "/v1/responses themselves.",
}
_NO_PATH: Final = "The gateway serves /v1/chat/completions, /v1/models, /health, /ready, /metrics."
HEADERS_LIMIT: Final = 32 * 1024
_BIG: Final = 1 << 20  # aiohttp warns where a larger body is given as bytes
_READY_TIMEOUT: Final = 5.0
# uvicorn, which vLLM and SGLang run on, closes an idle connection after 5 s. One that is reused at
# that moment fails after the request went out, and such a request is not sent again.
_IDLE_CONNECTION: Final = 4.0
# The end of the chunked encoding follows [DONE] in a packet of its own.
_LAST_CHUNK_TIMEOUT: Final = 0.05
_STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Gateway:
    """The handlers and what they share.

    Attributes:
        options: the options of every exchange; `learn_engine` may change them.
        draining: whether new work is refused.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        *,
        keys: tuple[bytes, ...] = (),
        upstream_key: bytes | None = None,
    ) -> None:
        """Take the settings, which have been checked.

        Args:
            settings: the settings.
            options: the options of every exchange.
            keys: the keys that clients may use; none lets every client in.
            upstream_key: the key for the upstream, in place of the client's.
        """
        self.options = options
        self.draining = False
        self.metrics: Final = Metrics()
        self._settings = settings
        self._keys = keys
        self._upstream_key = upstream_key
        self._base = base_url(settings.upstream)
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[Pacing] = set()
        kept = settings.remember_thoughts
        self._memory = ThoughtMemory(kept) if kept else None

    def application(self) -> web.Application:
        """The application for aiohttp's runner, which needs `handler_cancellation=True`."""
        application = web.Application(client_max_size=self._settings.body_limit)
        routes: tuple[tuple[str, str, str, Handler], ...] = (
            ("POST", "/v1/chat/completions", "chat", self._chat),
            ("GET", "/v1/models", "models", self._models),
            ("GET", "/health", "health", self._health),
            ("GET", "/ready", "ready", self._ready),
            ("GET", "/metrics", "metrics", self._metrics),
            ("*", "/{path:.*}", "other", self._unknown),
        )
        for method, path, route, handler in routes:
            application.router.add_route(method, path, self._recorded(route, handler))
        application.cleanup_ctx.append(self._with_session)
        return application

    async def engine(self) -> Engine | None:
        """The upstream's engine by its /v1/models, or None while it does not answer."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with self._get("/models") as upstream:
                if upstream.status == 200:
                    return engine_of_models(await upstream.json(content_type=None))
        return None

    @property
    def streams(self) -> int:
        """How many chat requests are being served."""
        return len(self._streams)

    def stop_streams(self) -> None:
        """End every chat request with an error."""
        for pacing in self._streams:
            pacing.stop("gateway-stopping", "The gateway is stopping.", 503)

    async def _with_session(self, _application: web.Application) -> Any:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._settings.connect_timeout, connect=None
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
        ) as self._session:
            yield

    def _recorded(self, route: str, handler: Handler) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            request_id = request_id_of(request.headers, secrets.token_hex(12))
            record = Record(request_id, route, time.monotonic())
            try:
                if sum(map(len, chain.from_iterable(request.raw_headers))) > HEADERS_LIMIT:
                    response: web.StreamResponse = self._closing(
                        record, "request-headers-too-large", "The headers are too large.", 431
                    )
                else:
                    response = await handler(request, record)
                record.status = response.status
            except ConnectionError:  # the client is gone
                raise
            except Exception as error:  # noqa: BLE001 - a traceback would show the request's text
                log("gateway-failed", logging.ERROR, id=request_id, type=type(error).__name__)
                response = self._error(record, "gateway-failed", "The gateway failed.", 500)
            finally:
                record.seconds = time.monotonic() - record.started
                self.metrics.count(record)
                if route == "chat" or record.status >= 400:
                    record.log()
            return response

        return handle

    # /v1/chat/completions

    async def _chat(self, request: web.Request, record: Record) -> web.StreamResponse:
        if refusal := self._refusal(request, record):
            return refusal
        pacing = Pacing(self._settings)
        self._streams.add(pacing)
        self.metrics.active.inc()
        try:
            return await self._exchange(request, record, pacing)
        finally:
            self._streams.discard(pacing)
            self.metrics.active.dec()

    def _refusal(self, request: web.Request, record: Record) -> web.Response | None:
        if self._keys and not is_admitted(request.headers.get("Authorization"), self._keys):
            return self._error(record, "key-invalid", "The key is missing or not valid.", 401)
        if self.draining:
            return self._busy(record, "gateway-stopping", "The gateway is stopping.")
        if record.route == "chat" and len(self._streams) >= self._settings.max_streams:
            return self._busy(record, "gateway-busy", "The gateway serves as much as it may.")
        return None

    async def _exchange(
        self, request: web.Request, record: Record, pacing: Pacing
    ) -> web.StreamResponse:
        try:
            if request.content.is_eof():  # it came with the headers
                body = await request.read()
            else:
                async with asyncio.timeout(self._settings.body_timeout):
                    body = await request.read()
        except TimeoutError:
            return self._closing(record, "request-timeout", "The body did not arrive.", 408)
        except web.HTTPRequestEntityTooLarge:
            return self._closing(record, "request-too-large", "The body is too large.", 413)
        try:
            exchange = Exchange(
                body,
                self.options,
                answer_id=f"chatcmpl-{record.request_id}",
                created=int(time.time()),
                recall=self._recall(request),
            )
        except RequestRefusedError as error:
            return self._error(record, error.code, error.message, error.status)
        record.take_notes(exchange.prepared.notes)
        record.streams = exchange.prepared.streams
        try:
            return await self._relay(request, record, pacing, exchange)
        finally:
            record.problems = dict(exchange.problems)
            record.error = exchange.error
            record.calls = exchange.calls
            record.take_usage(exchange.usage)

    async def _relay(
        self, request: web.Request, record: Record, pacing: Pacing, exchange: Exchange
    ) -> web.StreamResponse:
        answer = _Answer(request, record, exchange, pacing)
        upstream: aiohttp.ClientResponse | None = None
        try:
            async with pacing:
                upstream = await self._post(request, record, exchange.upstream_body)
                await self._pass_on(upstream, answer, exchange, pacing)
        except (aiohttp.ClientError, TimeoutError) as error:
            if answer.is_blocked:  # it does not read, or it is gone
                raise ConnectionResetError("the client takes no bytes") from None
            await answer.send(_failed(exchange, pacing, error))
        else:
            response = await answer.end()
            await _end_of_body(upstream)
            return response
        finally:
            if upstream is not None and not upstream.content.at_eof():
                upstream.close()
        return await answer.end()

    @staticmethod
    async def _pass_on(
        upstream: aiohttp.ClientResponse, answer: "_Answer", exchange: Exchange, pacing: Pacing
    ) -> None:
        answer.headers = client_headers(upstream.headers, answer.headers["X-Request-Id"])
        content_type = upstream.headers.get("Content-Type", "")
        await answer.send(exchange.begin(upstream.status, content_type))
        if exchange.head is not None and exchange.head.streams:
            pacing.beat(answer.beat)
        while not exchange.done and (data := await upstream.content.readany()):
            pacing.received()
            if written := exchange.receive(data):
                await answer.send(written)
        await answer.send(exchange.finish())

    async def _post(
        self, request: web.Request, record: Record, body: bytes
    ) -> aiohttp.ClientResponse:
        """Send the request; once more only if the connection was refused, before any byte."""
        for attempt in (1, 2):
            try:
                return await self._client.post(
                    f"{self._base}/chat/completions",
                    data=body if len(body) < _BIG else io.BytesIO(body),
                    headers={
                        **self._headers(request, record.request_id),
                        "Content-Type": "application/json",
                    },
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectorError as error:
                if attempt == 2 or error.os_error.errno != errno.ECONNREFUSED:
                    raise
        raise AssertionError("unreachable")

    def _recall(self, request: web.Request) -> Recall | None:
        if self._memory is None:
            return None
        client = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return Recall(self._memory, client, time.monotonic())

    # The other routes

    async def _models(self, request: web.Request, record: Record) -> web.StreamResponse:
        if refusal := self._refusal(request, record):
            return refusal
        try:
            async with self._get("/models", self._headers(request, record.request_id)) as upstream:
                if 300 <= upstream.status < 400:
                    message = "The upstream answered with a redirect."
                    return self._error(record, "upstream-redirected", message, 502)
                body = await upstream.content.read(self._settings.event_limit)
                headers = client_headers(upstream.headers, record.request_id)
                headers["Content-Type"] = upstream.headers.get("Content-Type", "application/json")
                return web.Response(status=upstream.status, body=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError):
            return self._error(record, "upstream-unreachable", "The upstream does not answer.", 502)

    async def _health(self, _request: web.Request, _record: Record) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request, _record: Record) -> web.StreamResponse:
        if self.draining:
            return web.json_response({"status": "stopping"}, status=503)
        answers = await self.engine() is not None
        status = "ready" if answers else "the upstream does not answer"
        return web.json_response({"status": status}, status=200 if answers else 503)

    async def _metrics(self, _request: web.Request, _record: Record) -> web.StreamResponse:
        return web.Response(body=self.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _unknown(self, request: web.Request, record: Record) -> web.StreamResponse:
        if request.path in ("/v1/chat/completions", "/v1/models", "/health", "/ready", "/metrics"):
            message = f"{request.path} takes another method."
            return self._error(record, "method-unknown", message, 405)
        hint = next((hint for path, hint in _HINTS.items() if request.path.startswith(path)), "")
        return self._error(record, "path-unknown", hint or _NO_PATH, 404)

    # What they share

    @property
    def _client(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the application has not started"  # noqa: S101
        return self._session

    def _get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        own = {} if headers is None else headers
        if headers is None and self._upstream_key is not None:
            own = {"Authorization": f"Bearer {self._upstream_key.decode()}"}
        timeout = aiohttp.ClientTimeout(total=_READY_TIMEOUT)
        url = self._base + path
        return self._client.get(url, headers=own, timeout=timeout, allow_redirects=False)

    def _headers(self, request: web.Request, request_id: str) -> dict[str, str]:
        authorization: str | None = None
        if self._upstream_key is not None:
            authorization = f"Bearer {self._upstream_key.decode()}"
        elif not self._keys:  # with keys of the gateway's own, the client's is one of them
            authorization = request.headers.get("Authorization")
        return upstream_headers(request.headers, request_id=request_id, authorization=authorization)

    @staticmethod
    def _error(record: Record, code: str, message: str, status: int) -> web.Response:
        record.error = code
        record.status = status
        return web.Response(
            body=encode(error_body(code, message, status)),
            status=status,
            content_type="application/json",
            headers={"X-Request-Id": record.request_id},
        )

    def _busy(self, record: Record, code: str, message: str) -> web.Response:
        response = self._error(record, code, message, 503)
        response.headers["Retry-After"] = "1"
        return response

    def _closing(self, record: Record, code: str, message: str, status: int) -> web.Response:
        """An error to a request whose body was not read: the connection cannot go on."""
        response = self._error(record, code, message, status)
        response.force_close()
        return response


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


class _Answer:
    """The client's side of an exchange.

    Attributes:
        headers: the headers that come from the upstream's answer.
        is_blocked: whether the client does not read what was written.
    """

    def __init__(
        self, request: web.Request, record: Record, exchange: Exchange, pacing: Pacing
    ) -> None:
        self.headers = {"X-Request-Id": record.request_id}
        self.is_blocked = False
        self._request = request
        self._record = record
        self._exchange = exchange
        self._pacing = pacing
        self._response: web.StreamResponse | None = None
        self._is_upstreams = False

    async def send(self, data: bytes) -> None:
        """Send bytes, after the head where that is not sent yet."""
        head = self._exchange.head
        if head is None:
            return
        if self._response is None:
            extra = _STREAM_HEADERS if head.streams else {}
            headers = {**self.headers, **extra, "Content-Type": head.content_type}
            if self._exchange.done:  # all in one packet
                self._response = web.Response(status=head.status, headers=headers, body=data)
                self._record.first_byte = time.monotonic() - self._record.started
                return
            self._is_upstreams = not head.streams
            self._response = web.StreamResponse(status=head.status, headers=headers)
            self.is_blocked = True
            await self._response.prepare(self._request)
        if data:
            if self._record.first_byte is None:
                self._record.first_byte = time.monotonic() - self._record.started
            self.is_blocked = True
            await self._response.write(data)
            self._pacing.sent()
        self.is_blocked = False

    async def beat(self) -> None:
        """Send a comment, so that nothing on the way takes a silent stream for a dead one."""
        if not self.is_blocked:
            with contextlib.suppress(ConnectionError):  # the handler's own write reports that
                await self.send(b": keep-alive\n\n")

    async def end(self) -> web.StreamResponse:
        """End the answer; one of the upstream's own that broke off is broken off too."""
        response = self._response
        assert response is not None, "every exchange ends with a head"  # noqa: S101
        if self._exchange.error is not None and self._is_upstreams:
            raise ConnectionResetError("the upstream's answer broke off")
        if response.prepared:
            await response.write_eof()
        return response


async def _end_of_body(upstream: aiohttp.ClientResponse) -> None:
    """Read the end of the chunked encoding, so that the connection can be used again."""
    if not upstream.content.at_eof():
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_LAST_CHUNK_TIMEOUT):
                await upstream.content.readany()
