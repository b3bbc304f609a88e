"""The gateway's HTTP server: routes, keys, and the record of each request."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import chain
from typing import Final

import aiohttp
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web import RequestHandler

from k2compat.gateway.dialects import Engine
from k2compat.gateway.http.chat import Chat
from k2compat.gateway.http.headers import client_headers, is_admitted, request_id_of
from k2compat.gateway.http.metrics import CONTENT_TYPE, Metrics
from k2compat.gateway.http.pacing import Pace
from k2compat.gateway.http.readiness import Readiness
from k2compat.gateway.http.replies import refuse, refuse_and_close, refuse_for_now
from k2compat.gateway.http.request_log import RequestLog
from k2compat.gateway.http.upstream import Upstream, read_body
from k2compat.gateway.options import Options
from k2compat.gateway.record import Record, log
from k2compat.gateway.settings import Settings

Handler = Callable[[web.BaseRequest, Record], Awaitable[web.StreamResponse]]

_HINTS: Final = {
    "/v1/messages": "The gateway has no Anthropic Messages API yet; vLLM, SGLang and llama.cpp "
    "serve /v1/messages themselves.",
    "/v1/responses": "The gateway has no Responses API yet; vLLM, SGLang and llama.cpp serve "
    "/v1/responses themselves.",
}
_NO_PATH: Final = "The gateway serves /v1/chat/completions, /v1/models, /health, /ready, /metrics."
_ANY: Final = "*"
HEADERS_LIMIT: Final = 32 * 1024


class Gateway:
    """The handlers and what they share.

    Attributes:
        options: the options of every exchange; with `--engine auto` the engine changes once it is
            known.
        draining: whether new work is refused.
        readiness: what is known of the upstream.
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
        self._settings = settings
        self._keys = keys
        # If the gateway has its own keys, the client's key is one of them and is not passed on.
        self._upstream = Upstream(settings, key=upstream_key, passes_keys=not keys)
        self.readiness = Readiness(self._upstream, self._learn)
        self._chats = Chat(settings, self._upstream)
        self._pace = Pace(settings)
        self._metrics = Metrics(lambda: self.streams)
        self._log = RequestLog()
        # An id tells requests apart and protects nothing; the operating system's randomness costs a
        # system call.
        self._random_bits = random.Random().getrandbits  # noqa: S311
        self._routes: dict[str, tuple[str, str, Handler]] = {
            "/v1/chat/completions": ("POST", "chat", self._chat),
            "/v1/models": ("GET", "models", self._models),
            "/health": ("GET", "health", self._health),
            "/ready": ("GET", "ready", self._ready),
            "/metrics": ("GET", "metrics", self._metric_text),
        }
        self._other = (_ANY, "other", self._unknown)

    def runner(self, *, header_timeout: float) -> "GatewayRunner":
        """The runner that listens for the gateway, once it is set up and has a site.

        Args:
            header_timeout: seconds in which a client sends its request's headers.
        """
        silent = logging.getLogger("k2compat.gateway.http")
        silent.propagate = False  # aiohttp's messages quote requests
        server = web.Server(
            self._serve,  # type: ignore[arg-type,unused-ignore]
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            logger=silent,
            # The limit for the headers of a connection's first request, and of each that follows.
            keepalive_timeout=header_timeout,
            # How long the rest of a body is read after the answer.
            lingering_time=1.0,
        )
        return GatewayRunner(server, self)

    @property
    def streams(self) -> int:
        """How many chat requests are being served."""
        return len(self._pace.exchanges)

    def stop_streams(self) -> None:
        """End every chat request with an error."""
        for pacing in self._pace.exchanges:
            pacing.stop("gateway-stopping", "The gateway is stopping.", 503)

    def flush_log(self) -> None:
        """Write the lines of requests that wait for others."""
        self._log.flush()

    async def open(self) -> None:
        """Be ready to serve."""
        await self._upstream.open()

    async def close(self) -> None:
        """Close what `open` opened; nothing is served any more."""
        await self._upstream.close()
        self._pace.close()
        self.flush_log()

    def _learn(self, engine: Engine) -> None:
        if self._settings.engine == "auto":
            self.options = replace(self.options, engine=engine)
        if self.readiness.awaits_key:  # the line "ready" was written before
            log("engine", engine=self.options.engine, found=engine)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop, size = asyncio.get_running_loop(), self._settings.body_limit
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=size)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request.

        A `web.Application` would take the routes as well, and a tenth of a request's time for it.
        """
        method, route, handler = self._routes.get(request.rel_url.raw_path, self._other)
        if method not in (request.method, _ANY):
            handler = self._wrong_method
        request_id = request_id_of(request.headers, f"{self._random_bits(96):024x}")
        record = Record(request_id, route, time.monotonic())
        try:
            response = await self._answer(request, record, handler)
            record.status = response.status
        except ConnectionError:  # the client is gone
            raise
        except Exception as error:  # noqa: BLE001 - a traceback would show the request's text
            log("gateway-failed", logging.ERROR, id=request_id, type=type(error).__name__)
            response = refuse(record, "gateway-failed", "The gateway failed.", 500)
        finally:
            record.seconds = time.monotonic() - record.started
            self._metrics.count(record)
            if route == "chat" or record.status >= 400:
                self._log.add(record)
        return response

    async def _answer(
        self, request: web.BaseRequest, record: Record, handler: Handler
    ) -> web.StreamResponse:
        if sum(map(len, chain.from_iterable(request.raw_headers))) > HEADERS_LIMIT:
            message = "The headers are too large."
            return refuse_and_close(record, "request-headers-too-large", message, 431)
        expects = request.headers.get("Expect", "").lower()
        if expects == "100-continue" and request.version >= HttpVersion11:
            # curl waits for this before it sends a large body.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # nothing of the answer was written yet
        return await handler(request, record)

    def _refusal(self, request: web.BaseRequest, record: Record) -> web.Response | None:
        if self._keys and not is_admitted(request.headers.get("Authorization"), self._keys):
            return refuse(record, "key-invalid", "The key is missing or not valid.", 401)
        if self.draining:
            return refuse_for_now(record, "gateway-stopping", "The gateway is stopping.")
        if record.route == "chat" and self.streams >= self._settings.max_streams:
            return refuse_for_now(record, "gateway-busy", "The gateway serves as much as it may.")
        return None

    async def _chat(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        if refusal := self._refusal(request, record):
            return refusal
        pacing = self._pace.begin()
        try:
            if self.readiness.awaits_key:
                await self.readiness.ask_for(request.headers, record.request_id)
            return await self._chats.serve(request, record, pacing, self.options)
        finally:
            self._pace.end(pacing)

    async def _models(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        if refusal := self._refusal(request, record):
            return refusal
        try:
            async with self._upstream.models(request.headers, record.request_id) as upstream:
                if 300 <= upstream.status < 400:
                    message = "The upstream answered with a redirect."
                    return refuse(record, "upstream-redirected", message, 502)
                body = await read_body(upstream, self._settings.event_limit)
                if body is None:
                    message = "The upstream's list of models is too large."
                    return refuse(record, "upstream-answer-too-large", message, 502)
                if self.readiness.awaits_key and upstream.status == 200:
                    self.readiness.take(body)
                headers = client_headers(upstream.headers, record.request_id)
                headers["Content-Type"] = upstream.headers.get("Content-Type", "application/json")
                return web.Response(status=upstream.status, body=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError):
            return refuse(record, "upstream-unreachable", "The upstream does not answer.", 502)

    async def _health(self, _request: web.BaseRequest, _record: Record) -> web.StreamResponse:
        status = "stopping" if self.draining else "ok"
        return web.json_response({"status": status, "active_requests": self.streams})

    async def _ready(self, _request: web.BaseRequest, _record: Record) -> web.StreamResponse:
        if self.draining:
            return web.json_response({"status": "stopping"}, status=503)
        reason = await self.readiness.ask()
        return web.json_response({"status": reason or "ready"}, status=503 if reason else 200)

    async def _metric_text(self, _request: web.BaseRequest, _record: Record) -> web.StreamResponse:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _wrong_method(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        return refuse(record, "method-unknown", f"{request.path} takes another method.", 405)

    async def _unknown(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        hint = next((hint for path, hint in _HINTS.items() if request.path.startswith(path)), "")
        return refuse(record, "path-unknown", hint or _NO_PATH, 404)


class GatewayRunner(web.ServerRunner):
    """Runs a gateway's server, and opens and closes its connections with it."""

    def __init__(self, server: web.Server, gateway: Gateway) -> None:
        """Take the server and the gateway behind it."""
        super().__init__(server, handle_signals=False, shutdown_timeout=1.0)
        self._gateway = gateway

    async def setup(self) -> None:
        """Be ready for a site."""
        await self._gateway.open()
        await super().setup()

    async def cleanup(self) -> None:
        """End all connections."""
        await super().cleanup()
        await self._gateway.close()
