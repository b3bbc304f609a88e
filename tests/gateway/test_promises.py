"""What the gateway promises an operator, each on real sockets."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from tests.gateway.servers import (
    DONE,
    Upstream,
    both,
    chunk,
    deltas,
    event,
    gateway,
    streamed,
    whole,
)
from tests.gateway.support import USER, request

CHAT = "/v1/chat/completions"
MIB = 1 << 20


async def error_code(response: aiohttp.ClientResponse) -> str:
    code: str = (await response.json())["error"]["code"]
    return code


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def sockets() -> int:
    return len(psutil.Process().net_connections("tcp"))


# The client leaves.


async def never(_request: web.Request) -> web.StreamResponse:
    """Before the headers."""
    await asyncio.Event().wait()
    raise AssertionError


def stuck_after(*pieces: bytes) -> Any:
    """After the headers and these pieces."""

    async def answer(request: web.Request) -> web.StreamResponse:
        is_stream = b"true" in (await request.read())
        kind = "text/event-stream" if is_stream else "application/json"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await asyncio.Event().wait()
        return response

    return answer


STAGES = {
    "before the headers": never,
    "before the first byte": stuck_after(),
    "in mid-stream": stuck_after(event(chunk({"content": "x"}))),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_aborts_the_upstream(stage: str, stream: bool) -> None:
    async def session() -> None:
        upstream = Upstream(STAGES[stage])
        async with both(upstream) as (served, client):
            task = asyncio.create_task(client.post(CHAT, json=request(stream=stream)))
            await until(lambda: upstream.opened == 1 and len(upstream.bodies) == 1)
            await asyncio.sleep(0.05)
            started = asyncio.get_running_loop().time()
            if task.done():
                (await task).close()
            task.cancel()
            await until(upstream.aborted.is_set, 0.5)
            assert asyncio.get_running_loop().time() - started <= 0.5
            await until(lambda: served.streams == 0)

    asyncio.run(session())


def test_two_hundred_clients_that_leave_leave_no_socket() -> None:
    async def session() -> None:
        upstream = Upstream(STAGES["in mid-stream"])
        async with both(upstream) as (served, client):
            before = sockets()
            for number in range(200):
                task = asyncio.create_task(client.post(CHAT, json=request(stream=bool(number % 2))))
                await until(lambda number=number: len(upstream.bodies) == number + 1)  # type: ignore[misc]
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await task).close()
            await until(lambda: upstream.closed == 200 and served.streams == 0)
            await until(lambda: sockets() <= before)

    asyncio.run(session())


# Backpressure.


@pytest.mark.parametrize("size", [256, 64 * 1024])
def test_a_client_that_does_not_read_stops_the_upstream(size: int) -> None:
    """400 MiB for a client that reads nothing: the sockets' buffers fill, and no more."""
    piece = event(chunk({"content": "x" * size}))

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while upstream.written < 400 * MIB:
            await response.write(piece)
            upstream.written += len(piece)
        return response

    async def session() -> None:
        async with both(upstream) as (_, _client):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            raw.setblocking(False)
            host, port = _.url.removeprefix("http://").split(":")
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, (host, int(port)))
            body = json.dumps(request(stream=True)).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            await loop.sock_sendall(raw, head.encode() + body)
            await until(lambda: upstream.written > MIB)
            process = psutil.Process()
            before = process.memory_info().rss
            written = -1
            while written != upstream.written:  # until it stands still for half a second
                written = upstream.written
                await asyncio.sleep(0.5)
            assert process.memory_info().rss - before <= 8 * MIB
            assert upstream.written <= 32 * MIB
            raw.close()
            await until(upstream.aborted.is_set)

    upstream = Upstream(flood)
    asyncio.run(session())


# Nothing is sent twice.


@contextlib.asynccontextmanager
async def raw_upstream(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of bytes: its URL, and the first bytes of every connection."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(b"")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", seen


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", HEAD, HEAD + event(chunk({"content": "x"}))])
@pytest.mark.parametrize("how", [reset, lambda writer: writer.close()])
def test_a_request_that_went_out_is_not_sent_again(sent: bytes, how: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        how(writer)

    async def session() -> None:
        async with (
            raw_upstream(answer) as (url, seen),
            gateway(url) as served,
            aiohttp.ClientSession(served.url) as client,
            client.post(CHAT, json=request(stream=True)) as response,
        ):
            body = await response.read()
            assert b"upstream-ended-early" in body or b"upstream-invalid" in body
            assert b"[DONE]" not in body
            assert response.status == (502 if len(sent) < len(HEAD) else 200)
            assert len(seen) == 1

    asyncio.run(session())


def test_a_refused_connection_is_tried_once_more() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with upstream.serve() as url:
            port = int(url.split(":")[2].split("/")[0])
        async with gateway(url) as served, aiohttp.ClientSession(served.url) as client:
            async with client.post(CHAT, json=request()) as response:
                assert response.status == 502
                assert await error_code(response) == "upstream-unreachable"
            # The server comes back between the two attempts.
            post, attempts = served._upstream._client.post, []

            async def post_later(*arguments: Any, **fields: Any) -> Any:
                attempts.append(1)
                if len(attempts) == 2:
                    await stack.enter_async_context(upstream.serve(port))
                return await post(*arguments, **fields)

            async with contextlib.AsyncExitStack() as stack:
                served._upstream._client.post = post_later
                async with client.post(CHAT, json=request()) as response:
                    assert response.status == 200
            assert (len(attempts), len(upstream.bodies)) == (2, 1)

    asyncio.run(session())


# Time limits.


@pytest.mark.sample(5)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stage", "setting", "code"),
    [
        ("before the headers", "first_byte_timeout", "upstream-first-byte-timeout"),
        ("before the first byte", "first_byte_timeout", "upstream-first-byte-timeout"),
        ("in mid-stream", "gap_timeout", "upstream-gap-timeout"),
    ],
)
def test_a_slow_upstream_is_given_up(stage: str, setting: str, code: str, stream: bool) -> None:
    async def session() -> None:
        upstream = Upstream(STAGES[stage])
        settings: Any = {setting: 0.2}
        async with (
            both(upstream, **settings) as (_, client),
            client.post(CHAT, json=request(stream=stream)) as response,
        ):
            body = await response.read()
            assert code.encode() in body
            assert b"[DONE]" not in body
            begun = stream and stage != "before the headers"
            assert response.status == (200 if begun else 504)
            await until(upstream.aborted.is_set)

    asyncio.run(session())


def test_an_upstream_that_takes_no_connection_in_time_is_given_up() -> None:
    async def session() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            async with (
                gateway(f"http://127.0.0.1:{port}/v1", connect_timeout=0.2) as served,
                aiohttp.ClientSession(served.url) as client,
                client.post(CHAT, json=request()) as response,
            ):
                assert response.status == 504
                assert await error_code(response) == "upstream-connect-timeout"
            for each in waiting:
                each.close()

    asyncio.run(session())


async def raw_client(url: str, data: bytes) -> bytes:
    """Send bytes; the answer until the gateway closes the connection."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"POST /v1/chat/comp", b""),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n", b""),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            b"HTTP/1.1 408",
        ),
    ],
)
def test_a_slow_client_is_given_up(sent: bytes, answer: bytes) -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream, header_timeout=0.3, body_timeout=0.3) as (served, _):
            assert (await raw_client(served.url, sent)).startswith(answer)
        assert upstream.opened == 0

    asyncio.run(session())


def test_a_client_that_stops_reading_is_given_up() -> None:
    piece = event(chunk({"content": "x" * 65536}))

    async def session() -> None:
        upstream = Upstream(streamed([piece] * 1000))
        async with both(upstream, gap_timeout=0.3, heartbeat=0.05) as (served, client):
            response = await client.post(CHAT, json=request(stream=True))
            await until(lambda: served.streams == 1)
            await until(lambda: served.streams == 0)
            await until(upstream.aborted.is_set)
            response.close()

    asyncio.run(session())


def test_a_silent_stream_gets_comments() -> None:
    async def session() -> None:
        pieces = deltas({"content": "x"}, {"content": "y"})
        upstream = Upstream(streamed(pieces, pause=0.25))
        async with (
            both(upstream, heartbeat=0.1) as (_, client),
            client.post(CHAT, json=request(stream=True)) as response,
        ):
            body = await response.read()
            assert body.count(b": keep-alive\n\n") >= 4
            events = [part for part in body.split(b"\n\n") if part and not part.startswith(b":")]
            assert all(each.startswith(b"data: ") for each in events)
            assert body.endswith(DONE)

    asyncio.run(session())


def test_without_a_heartbeat_there_are_no_comments() -> None:
    async def session() -> None:
        upstream = Upstream(streamed(deltas({"content": "x"}), pause=0.05))
        async with (
            both(upstream, heartbeat=0) as (_, client),
            client.post(CHAT, json=request(stream=True)) as response,
        ):
            assert b"\n\n:" not in await response.read()

    asyncio.run(session())


@pytest.mark.parametrize("raw", [b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_http_is_an_error(raw: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)

    async def session() -> None:
        async with (
            raw_upstream(answer) as (url, _),
            gateway(url) as served,
            aiohttp.ClientSession(served.url) as client,
            client.post(CHAT, json=request()) as response,
        ):
            assert response.status == 502
            assert await error_code(response) == "upstream-invalid"

    asyncio.run(session())


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_broke_off_is_never_taken_for_a_whole_one(status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 99\r\n\r\n{" % status)
        await writer.drain()

    async def session() -> None:
        async with (
            raw_upstream(answer) as (url, _),
            gateway(url) as served,
            aiohttp.ClientSession(served.url) as client,
        ):
            if status == 200:
                async with client.post(CHAT, json=request()) as response:
                    assert await error_code(response) == "upstream-ended-early"
            else:
                with pytest.raises(aiohttp.ClientPayloadError):
                    async with client.post(CHAT, json=request()) as response:
                        await response.read()

    asyncio.run(session())


def test_an_upstream_that_goes_on_after_the_end_is_left() -> None:
    """The client has its whole answer at once."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"".join(deltas({"content": "x"})) + DONE)
        await asyncio.Event().wait()
        return response

    async def session() -> None:
        upstream = Upstream(endless)
        async with (
            both(upstream) as (_, client),
            client.post(CHAT, json=request(stream=True)) as response,
        ):
            assert (await response.read()).endswith(DONE)
            await until(upstream.aborted.is_set)

    asyncio.run(session())


# Limits.


def test_a_body_above_the_limit_is_refused() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream, body_limit=1000) as (_, client):
            fits = request(user="x" * (1000 - len(json.dumps(request(user="")))))
            async with client.post(CHAT, data=json.dumps(fits)) as response:
                assert response.status == 200
            async with client.post(CHAT, data=json.dumps(fits) + " ") as response:
                assert response.status == 413
                assert await error_code(response) == "request-too-large"
        assert upstream.opened == 1

    asyncio.run(session())


def test_headers_above_the_limit_are_refused() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream) as (_, client):
            for count, status in ((3, 200), (5, 431)):
                headers = {f"X-{number}": "x" * 7900 for number in range(count)}
                async with client.post(CHAT, json=request(), headers=headers) as response:
                    assert response.status == status
            async with client.post(CHAT, json=request(), headers={"X": "x" * 70_000}) as response:
                assert response.status == 400
        assert upstream.opened == 1

    asyncio.run(session())


def test_more_requests_than_the_limit_are_asked_to_come_again() -> None:
    async def session() -> None:
        upstream = Upstream(STAGES["in mid-stream"])
        async with both(upstream, max_streams=2) as (served, client):
            first = [await client.post(CHAT, json=request(stream=True)) for _ in range(2)]
            async with client.post(CHAT, json=request()) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "1")
                assert await error_code(response) == "gateway-busy"
            for each in first:
                each.close()
            await until(lambda: served.streams == 0)
            assert len(upstream.bodies) == 2

    asyncio.run(session())


# Malformed HTTP.

BODY = json.dumps(request()).encode()
LENGTH = str(len(BODY)).encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
MALFORMED = {
    "both lengths": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS,
    "two lengths": POST + b"Content-Length: " + LENGTH + b"\r\nContent-Length: 1\r\n\r\n" + BODY,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + IN_CHUNKS,
    "bare line feeds": (POST + b"Content-Length: " + LENGTH + b"\r\n\r\n").replace(b"\r", b"")
    + BODY,
    "a folded header": POST + b"X: a\r\n b\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY,
    "a NUL in a header": POST + b"X: a\0b\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY,
    "a length with a sign": POST + b"Content-Length: +" + LENGTH + b"\r\n\r\n" + BODY,
    "another encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + IN_CHUNKS,
    "a chunk's size that is no number": POST + CHUNKED + b"\r\nxyz\r\n" + BODY,
    "a header without a colon": POST + b"Broken\r\nContent-Length: " + LENGTH + b"\r\n\r\n" + BODY,
    "a request line without a version": b"POST /v1/chat/completions\r\nHost: x\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("form", MALFORMED)
def test_malformed_http_is_refused_and_never_forwarded(form: str) -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream, header_timeout=0.5, body_timeout=0.5) as (served, _):
            answer = await raw_client(served.url, MALFORMED[form])
            status = answer.split(b" ")[1][:3] if answer else b"closed"
            assert status.startswith(b"4") or status in (b"501", b"505", b"closed")
            assert answer.count(b"HTTP/1.1") <= 1
        assert upstream.opened == 0

    asyncio.run(session())


# The upstream is fixed, and only listed headers pass.


def test_no_request_moves_the_upstream() -> None:
    async def session() -> None:
        other = Upstream()
        async with other.serve() as elsewhere:
            upstream = Upstream()
            async with both(upstream) as (_, client):
                fields = {"api_base": elsewhere, "base_url": elsewhere, "api_key": "k"}
                headers = {
                    "Host": elsewhere.removeprefix("http://"),
                    "X-Forwarded-Host": "evil",
                    "Forwarded": "host=evil",
                    "X-Upstream": elsewhere,
                    "Cookie": "a=b",
                    "Connection": "keep-alive, X-Hop",
                    "X-Hop": "1",
                    "traceparent": "00-1-1-00",
                    "tracestate": "s",
                    "baggage": "b",
                    "X-Request-Id": "mine-1",
                    "Authorization": "Bearer k",
                }
                async with client.post(CHAT, json=request(**fields), headers=headers) as response:
                    assert response.status == 200
                    assert response.headers["X-Request-Id"] == "mine-1"
            assert upstream.bodies == [request()]
            assert {name.lower() for name in upstream.headers[0]} == {
                "host",
                "accept",
                "accept-encoding",
                "content-type",
                "content-length",
                "authorization",
                "traceparent",
                "tracestate",
                "baggage",
                "x-request-id",
            }
            assert other.opened == 0

    asyncio.run(session())


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "läuft"])
def test_a_request_id_that_no_log_can_hold_is_replaced(given: str) -> None:
    async def session() -> None:
        async with (
            both(Upstream()) as (_, client),
            client.post(CHAT, json=request(), headers={"X-Request-Id": given}) as response,
        ):
            assert len(response.headers["X-Request-Id"]) == 24

    asyncio.run(session())


@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_a_redirect_is_not_followed(path: str) -> None:
    async def session() -> None:
        other = Upstream()
        async with other.serve() as elsewhere:

            async def redirect(_request: web.Request) -> web.StreamResponse:
                return web.Response(status=307, headers={"Location": f"{elsewhere}{path[3:]}"})

            upstream = Upstream(redirect, models=redirect)
            async with both(upstream) as (_, client):
                how = client.post(path, json=request()) if path == CHAT else client.get(path)
                async with how as response:
                    assert response.status == 502
                    assert await error_code(response) == "upstream-redirected"
            assert other.opened == 0

    asyncio.run(session())


def test_of_the_upstream_s_headers_the_listed_ones_come_down() -> None:
    async def limited(_request: web.Request) -> web.StreamResponse:
        headers = {
            "Retry-After": "7",
            "x-ratelimit-remaining-requests": "0",
            "RateLimit-Limit": "1",
            "Set-Cookie": "a=b",
            "Server": "secret/1",
            "X-Other": "1",
        }
        body = b'{"error": {"message": "slow down"}}'
        return web.Response(status=429, body=body, headers=headers, content_type="application/json")

    async def session() -> None:
        async with (
            both(Upstream(limited)) as (_, client),
            client.post(CHAT, json=request()) as response,
        ):
            assert response.status == 429
            assert await response.read() == b'{"error": {"message": "slow down"}}'
            assert response.headers["Retry-After"] == "7"
            assert response.headers["x-ratelimit-remaining-requests"] == "0"
            assert response.headers["RateLimit-Limit"] == "1"
            assert not {"Set-Cookie", "X-Other"} & set(response.headers)
            assert "secret" not in response.headers.get("Server", "")

    asyncio.run(session())


def test_a_compressed_answer_is_read() -> None:
    async def compressed(request: web.Request) -> web.StreamResponse:
        response = await whole("hi")(request)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def session() -> None:
        async with (
            both(Upstream(compressed)) as (_, client),
            client.post(CHAT, json=request()) as response,
        ):
            assert (await response.json())["choices"][0]["message"]["content"] == "hi"

    asyncio.run(session())


# Keys.


@pytest.mark.parametrize(
    ("own_keys", "upstream_key", "given", "status", "goes_up"),
    [
        (None, None, None, 200, None),
        (None, None, "Bearer client", 200, "Bearer client"),
        (None, b"up", "Bearer client", 200, "Bearer up"),
        (b"# keys\none\n\ntwo\n", None, None, 401, None),
        (b"one\n", None, "Bearer two", 401, None),
        (b"one\n", None, "Basic one", 401, None),
        (b"one\n", None, "one", 401, None),
        (b"one\ntwo\n", None, "Bearer two", 200, None),
        (b"one\n", b"up", "bearer one", 200, "Bearer up"),
    ],
)
def test_keys(
    tmp_path: Any,
    own_keys: bytes | None,
    upstream_key: bytes | None,
    given: str | None,
    status: int,
    goes_up: str | None,
) -> None:
    settings: dict[str, Any] = {}
    for name, content in (("key_file", own_keys), ("upstream_key_file", upstream_key)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
            settings[name] = str(tmp_path / name)

    async def session() -> None:
        upstream = Upstream()
        headers = {} if given is None else {"Authorization": given}
        async with both(upstream, **settings) as (_, client):
            async with client.post(CHAT, json=request(), headers=headers) as response:
                assert response.status == status
            async with client.get("/v1/models", headers=headers) as response:
                assert response.status == status
            for path in ("/health", "/ready", "/metrics"):
                async with client.get(path) as response:
                    assert response.status == 200
        assert len(upstream.bodies) == (status == 200)
        if status == 200:
            assert upstream.headers[0].get("Authorization") == goes_up

    asyncio.run(session())


def test_an_upstream_key_may_come_from_a_variable() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with (
            both(upstream, upstream_key="up") as (_, client),
            client.post(CHAT, json=request()) as response,
        ):
            assert response.status == 200
            assert upstream.headers[0]["Authorization"] == "Bearer up"

    asyncio.run(session())


# Paths.


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "/v1/chat/completions"),
        ("POST", "/v1/completions", 404, "/v1/chat/completions"),
        ("POST", "/v1/messages", 404, "vLLM, SGLang and llama.cpp"),
        ("POST", "/v1/messages/count_tokens", 404, "vLLM, SGLang and llama.cpp"),
        ("POST", "/v1/responses", 404, "vLLM, SGLang and llama.cpp"),
        ("GET", CHAT, 405, "another method"),
        ("POST", "/v1/models", 405, "another method"),
    ],
)
def test_other_paths_are_answered_with_a_hint(
    method: str, path: str, status: int, words: str
) -> None:
    async def session() -> None:
        async with both(Upstream()) as (_, client), client.request(method, path) as response:
            assert response.status == status
            assert words in (await response.json())["error"]["message"]

    asyncio.run(session())


def test_models_pass_and_ready_asks_the_upstream() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream) as (_, client):
            async with client.get("/v1/models") as response:
                assert (await response.json())["data"][0]["id"] == "k"
            async with client.get("/ready") as response:
                assert (response.status, await response.json()) == (200, {"status": "ready"})
        url = upstream.url
        async with gateway(url) as served, aiohttp.ClientSession(served.url) as client:
            for path, status in (("/ready", 503), ("/health", 200), ("/v1/models", 502)):
                async with client.get(path) as response:
                    assert response.status == status

    asyncio.run(session())


def test_a_list_of_models_that_comes_in_pieces_is_passed_on_whole() -> None:
    body = json.dumps({"data": [{"id": f"model-{number}" * 9} for number in range(3000)]}).encode()

    async def models(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for at in range(0, len(body), 50_000):
            await response.write(body[at : at + 50_000])
            await asyncio.sleep(0.01)
        return response

    async def session() -> None:
        async with both(Upstream(models=models)) as (_, client), client.get("/v1/models") as whole:
            assert await whole.read() == body
        async with both(Upstream(models=models), event_limit=100_000) as (_, client):
            async with client.get("/v1/models") as response:
                assert response.status == 502
                assert await error_code(response) == "upstream-answer-too-large"
            async with client.get("/ready") as response:
                assert response.status == 503

    asyncio.run(session())


def test_a_large_conversation_passes() -> None:
    async def session() -> None:
        upstream = Upstream()
        async with both(upstream) as (_, client):
            body = request({**USER, "content": "x" * (2 * MIB)})
            async with client.post(CHAT, data=io.BytesIO(json.dumps(body).encode())) as response:
                assert response.status == 200
            assert upstream.bodies == [body]

    asyncio.run(session())


def test_a_client_that_asks_first_may_send_its_body() -> None:
    async def session() -> None:
        upstream = Upstream()
        body = json.dumps(request()).encode()
        async with both(upstream) as (served, _):
            host, port = served.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert not upstream.bodies
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(session())


def test_a_failure_of_the_gateway_itself_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: Any, **_fields: Any) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr("k2compat.gateway.http.chat.Exchange", fail)

    async def session() -> None:
        async with both(Upstream()) as (_, client), client.post(CHAT, json=request()) as response:
            assert response.status == 500
            assert await error_code(response) == "gateway-failed"

    with caplog.at_level("INFO"):
        asyncio.run(session())
    assert '"type":"KeyError"' in caplog.text
    assert '"status":500' in caplog.text
    assert "secret" not in caplog.text
