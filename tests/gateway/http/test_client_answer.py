"""When the head of an answer goes out: with what came with the upstream's head, or alone."""

import asyncio
import json
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from typing import Any

import pytest

from tests.gateway.servers import DONE, chunk, event, gateway
from tests.gateway.support import request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST = event(chunk({"content": "hi"}))
LAST = event(chunk(None, "stop")) + DONE


def piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def first_packet(*packets: bytes) -> tuple[bytes, bytes]:
    """What a client reads at once, and in all, of an upstream that writes these packets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-l"))
        await reader.readexactly(int(size.split(b":")[1]))
        for packet in packets:
            writer.write(packet)
            await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()
        served_all.set()

    served_all = asyncio.Event()
    body = json.dumps(request(stream=True)).encode()
    asked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with gateway(url) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url[17:]))
            writer.write(asked % (len(body), body))
            first = rest = await reader.read(1 << 16)
            while not rest.endswith(DONE + b"\r\n0\r\n\r\n"):
                rest += await reader.read(1 << 16)
            writer.close()
            await writer.wait_closed()
            await served_all.wait()
            return first, rest


CASES: Any = {
    "the first event comes with the head": ([HEAD + piece(FIRST), piece(LAST)], True),
    "the head comes alone": ([HEAD, piece(FIRST), piece(LAST)], False),
    "a part of an event comes with the head": (
        [HEAD + piece(FIRST[:9]), piece(FIRST[9:20]), piece(FIRST[20:]), piece(LAST)],
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_head_waits_for_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(transport: Any, data: bytes) -> None:
        written.append(bytes(data))
        real(transport, data)

    real = _SelectorSocketTransport.write
    monkeypatch.setattr(_SelectorSocketTransport, "write", write)
    packets, has_event = CASES[name]
    first, rest = asyncio.run(first_packet(*packets, b"0\r\n\r\n"))
    (head,) = [data for data in written if b"X-Accel-Buffering" in data]
    assert (b'"content":"hi"' in head) is has_event
    assert first.startswith(b"HTTP/1.1 200")
    assert b"\r\n\r\n" in first
    assert (b'"content":"hi"' in first) is has_event
    assert b'"content":"hi"' in rest
