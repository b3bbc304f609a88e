"""The client's side of an exchange: a head when it is certain, bytes, comments and an end."""

import contextlib
import time
from typing import Final

from aiohttp import web

from k2compat.gateway.exchange import Exchange
from k2compat.gateway.http.pacing import Pacing
from k2compat.gateway.record import Record

_STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class _Streamed(web.StreamResponse):
    """An answer whose head may wait for the first bytes of its body: one packet holds both then.

    `web.Response` asks aiohttp for this in the same way; other releases send the head at once.
    """

    def __init__(self, *, status: int, headers: dict[str, str], waits: bool) -> None:
        super().__init__(status=status, headers=headers)
        self._send_headers_immediately = not waits


class ClientAnswer:
    """Sends an exchange's bytes to the client.

    Attributes:
        headers: the headers that come from the upstream's answer.
        is_blocked: whether the client does not read what was written.
    """

    def __init__(
        self, request: web.BaseRequest, record: Record, exchange: Exchange, pacing: Pacing
    ) -> None:
        """Begin without a head."""
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
                self._note_first_byte()
                return
            self._is_upstreams = not head.streams
            self._response = _Streamed(status=head.status, headers=headers, waits=bool(data))
            self.is_blocked = True
            await self._response.prepare(self._request)
        if data:
            if self._record.first_byte is None:
                self._note_first_byte()
            self.is_blocked = True
            await self._response.write(data)
            self._pacing.sent()
        self.is_blocked = False

    async def beat(self) -> None:
        """Send a comment, so that no proxy closes a silent stream as dead."""
        if not self.is_blocked:
            with contextlib.suppress(ConnectionError):  # the handler's own write reports that
                await self.send(b": keep-alive\n\n")

    async def end(self) -> web.StreamResponse:
        """End the answer; if the upstream's own body broke off, break the answer off, too."""
        response = self._response
        assert response is not None, "every exchange ends with a head"  # noqa: S101
        if self._exchange.error is not None and self._is_upstreams:
            raise ConnectionResetError("the upstream's answer broke off")
        if response.prepared:
            await response.write_eof()
        return response

    def _note_first_byte(self) -> None:
        self._record.first_byte = time.monotonic() - self._record.started
