"""The gateway around an ASGI application, such as vLLM's own server: no second process, no socket.

vllm serve MODEL --middleware k2compat.gateway.faces.asgi.GatewayMiddleware
"""

import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from k2compat.gateway.answers import error_body
from k2compat.gateway.draft import RequestRefusedError
from k2compat.gateway.exchange import Exchange
from k2compat.gateway.json_text import encode
from k2compat.gateway.options import Options

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT: Final = 32 * 1024 * 1024
# The middleware sets the answer's length and encoding; it cannot read a compressed answer.
_OF_REQUEST: Final = (b"content-length", b"accept-encoding", b"transfer-encoding")
_OF_ANSWER: Final = (b"content-length", b"content-type")


class GatewayMiddleware:
    """Repairs requests to an application's chat endpoint, and reads its answers."""

    def __init__(
        self,
        app: Application,
        options: Options | None = None,
        *,
        path: str = "/v1/chat/completions",
        body_limit: int = BODY_LIMIT,
    ) -> None:
        """Put the gateway around an application.

        Args:
            app: the application.
            options: how exchanges are treated; the defaults where it is None.
            path: the path of the chat endpoint; all others pass unchanged.
            body_limit: the largest request, in bytes.
        """
        self._app = app
        self._options = options or Options()
        self._path = path
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server."""
        is_chat = scope["type"] == "http" and scope["method"] == "POST"
        if not is_chat or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        body = await self._body(receive)
        if body is None:
            return
        try:
            exchange = self._exchange(body)
        except RequestRefusedError as error:
            await _refuse(send, error)
            return
        kept = [(name, value) for name, value in scope["headers"] if name not in _OF_REQUEST]
        length = str(len(exchange.upstream_body)).encode()
        changed = {**scope, "headers": [*kept, (b"content-length", length)]}
        await self._app(changed, _Replay(exchange.upstream_body, receive), _Answer(exchange, send))

    def _exchange(self, body: bytes) -> Exchange:
        if len(body) > self._body_limit:
            raise RequestRefusedError("request-too-large", "The body is too large.", status=413)
        return Exchange(
            body,
            self._options,
            answer_id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
        )

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or a little more than the limit of it; None if the client is gone."""
        pieces: list[bytes] = []
        while sum(map(len, pieces)) <= self._body_limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        return b"".join(pieces)


class VLLMMiddleware(GatewayMiddleware):
    """The gateway for `vllm serve --middleware`, which passes no options to a middleware."""

    def __init__(self, app: Application) -> None:
        """Put the gateway around vLLM's application."""
        super().__init__(app, Options(engine="vllm"))


class _Replay:
    """What the application receives: the changed body, then what the server sends."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """Passes what the application sends through an exchange."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._start: Message = {}
        self._is_started = False
        self._is_ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            headers = dict(message.get("headers", ()))
            content_type = headers.get(b"content-type", b"").decode("latin-1")
            await self._pass_on(self._exchange.begin(message["status"], content_type))
        elif message["type"] == "http.response.body":
            written = self._exchange.receive(message.get("body", b""))
            is_last = not message.get("more_body", False)
            if is_last:
                written += self._exchange.finish()
            await self._pass_on(written, is_last=is_last)
        else:
            await self._send(message)

    async def _pass_on(self, body: bytes, *, is_last: bool = False) -> None:
        head = self._exchange.head
        if head is None or self._is_ended:
            return
        if not self._is_started:
            self._is_started = True
            headers = [pair for pair in self._start["headers"] if pair[0] not in _OF_ANSWER]
            headers.append((b"content-type", head.content_type.encode("latin-1")))
            start = {**self._start, "status": head.status, "headers": headers}
            await self._send(start)
        self._is_ended = is_last or self._exchange.done
        more = not self._is_ended
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


async def _refuse(send: Send, error: RequestRefusedError) -> None:
    body = encode(error_body(error.code, error.message, error.status))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
