"""The client for the upstream: its connections, its keys, and nothing sent twice."""

import asyncio
import contextlib
import errno
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from k2compat.gateway.http.headers import upstream_headers
from k2compat.gateway.settings import Settings, base_url

_BIG: Final = 1 << 20  # aiohttp warns where a larger body is given as bytes
_ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
# uvicorn, which vLLM and SGLang run on, closes an idle connection after 5 s. One that is reused at
# that moment fails after the request went out, and such a request is not sent again.
_IDLE_CONNECTION: Final = 4.0
# These servers close a connection after a streamed answer without a header that announces it: in
# llama.cpp the provider of the chunks returns false, which its HTTP library takes for an error.
_CLOSING_SERVERS: Final = frozenset({"llama.cpp"})
# The end of the chunked encoding follows [DONE] in a packet of its own.
_LAST_CHUNK_TIMEOUT: Final = 0.05


class _Request(aiohttp.ClientRequest):
    """A request to which aiohttp adds the header Accept alone.

    aiohttp's own method adds User-Agent and Accept-Encoding, too, and copies all headers where the
    session names headers to skip.
    """

    def update_auto_headers(self, _skipped: Iterable[str] | None) -> None:
        """Add Accept."""
        self.headers.setdefault(hdrs.ACCEPT, "*/*")


class Upstream:
    """The server that gets the repaired requests.

    Attributes:
        has_key: whether the gateway has a key of its own for it.
        passes_keys: whether it gets the clients' keys.
    """

    def __init__(
        self, settings: Settings, *, key: bytes | None = None, passes_keys: bool = True
    ) -> None:
        """Take the address; `open` makes the connections possible.

        Args:
            settings: the settings.
            key: the key for the upstream, in place of the client's.
            passes_keys: whether a client's own key is sent where there is no `key`.
        """
        base = base_url(settings.upstream)
        self._chat: Final = URL(f"{base}/chat/completions")
        self._models: Final = URL(f"{base}/models")
        self._authorization = None if key is None else f"Bearer {key.decode()}"
        self.has_key: Final = key is not None
        self.passes_keys: Final = passes_keys and key is None
        self._models_limit = settings.event_limit
        self._connect_timeout = settings.connect_timeout
        self._session: aiohttp.ClientSession | None = None
        self._keeps_connections = True

    async def open(self) -> None:
        """Be ready for requests."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout, connect=None
            ),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def post(
        self, client_headers: Mapping[str, str], request_id: str, body: bytes
    ) -> aiohttp.ClientResponse:
        """Send a chat request; once more only if the connection was refused, before any byte."""
        headers = self._headers(client_headers, request_id)
        headers[hdrs.CONTENT_TYPE] = "application/json"
        if not self._keeps_connections:
            headers["Connection"] = "close"
        for attempt in (1, 2):
            try:
                return self._learn(
                    await self._client.post(
                        self._chat,
                        data=_payload(body),
                        headers=headers,
                        allow_redirects=False,
                    )
                )
            except aiohttp.ClientConnectorError as error:
                if attempt == 2 or error.os_error.errno != errno.ECONNREFUSED:
                    raise
        raise AssertionError("unreachable")

    def models(self, client_headers: Mapping[str, str], request_id: str) -> Any:
        """Ask for /v1/models in a client's name; a context that gives the response."""
        return self._get(self._headers(client_headers, request_id))

    async def ask_models(
        self, client_headers: Mapping[str, str] | None = None, request_id: str = ""
    ) -> tuple[int | None, bytes]:
        """Ask for /v1/models in the gateway's own name, or with a client's headers.

        Returns:
            Status and body; None and nothing where no answer comes.
        """
        own = {"Accept-Encoding": "identity"}
        if self._authorization is not None:
            own["Authorization"] = self._authorization
        headers = own if client_headers is None else self._headers(client_headers, request_id)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._get(headers) as upstream:
                self._learn(upstream)
                return upstream.status, await read_body(upstream, self._models_limit) or b""
        return None, b""

    def _get(self, headers: dict[str, str]) -> Any:
        return self._client.get(
            self._models, headers=headers, timeout=_ASK_TIMEOUT, allow_redirects=False
        )

    def _learn(self, answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        self._keeps_connections = answer.headers.get("Server") not in _CLOSING_SERVERS
        if not self._keeps_connections:
            self._leave_connection(answer)
        return answer

    @staticmethod
    def _leave_connection(answer: aiohttp.ClientResponse) -> None:
        """Take a connection for no further request; the answer did not announce its end."""
        connection = answer.connection
        protocol = connection and connection.protocol
        if protocol is not None:  # else the whole answer is there already
            protocol.force_close()

    def _headers(self, client_headers: Mapping[str, str], request_id: str) -> dict[str, str]:
        authorization = self._authorization
        if self.passes_keys:
            authorization = client_headers.get("Authorization")
        return upstream_headers(client_headers, request_id=request_id, authorization=authorization)

    @property
    def _client(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the application has not started"  # noqa: S101
        return self._session


def _payload(body: bytes) -> Any:
    if len(body) >= _BIG:
        return io.BytesIO(body)
    # aiohttp makes the same of bytes, after a search for what they might be.
    return aiohttp.BytesPayload(body)


async def read_body(upstream: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The whole body; None where it is larger than the limit, in bytes."""
    pieces: list[bytes] = []
    size = 0
    # `content.read(limit)` returns what has arrived so far.
    while size <= limit and (piece := await upstream.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces) if size <= limit else None


async def read_end_of_body(upstream: aiohttp.ClientResponse) -> None:
    """Read the end of the chunked encoding, so that the connection can be used again."""
    if not upstream.content.at_eof():
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_LAST_CHUNK_TIMEOUT):
                await upstream.content.readany()
