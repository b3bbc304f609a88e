"""Measure the gateway against a bare aiohttp pass-through, in the same run.

    python scripts/bench_gateway.py [--rounds N] [--soak SECONDS]

Upstream, pass-through and gateway are processes of their own on loopback; what counts is the CPU
time of the process in the middle, because wall time on a shared machine says little. The pass-
through is what everybody writes first: aiohttp on both sides, bytes in, bytes out.

The same two processes are measured in turns, with the same requests, and the order changes from
round to round. A ratio is the median of the rounds' ratios: a CPU that others keep busy makes both
sides of a round slower.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
import psutil
from aiohttp import web

CHAT = "/v1/chat/completions"
CPU_A_CHUNK_MAX = 2.0
CPU_A_REQUEST_MAX = 1.6
SECOND_HALF_MAX = 1.2
IDLE_MIB_MAX = 200
FIRST_BYTE_MS_MAX = 1.0

TEXT = "The weather in Paris is "
_WORDS = TEXT.split(" ")
# The field of each kind of chunk, its beginning and its end; the words come in between.
_CALL_BEGIN = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0"
    '<|tool_call_argument_begin|>{"text": "'
)
KINDS = {
    "content": ("content", "", ""),
    "thought": ("reasoning_content", "", ""),
    "call": ("content", _CALL_BEGIN, '"}<|tool_call_end|><|tool_calls_section_end|>'),
}


def event(delta: Any, reason: str | None = None) -> bytes:
    """One chunk as vLLM writes it."""
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": None,
        "finish_reason": reason,
        "token_ids": None,
    }
    chunk = {
        "id": "chatcmpl-8f3c2f6a7f0e4e0c9f3a",
        "object": "chat.completion.chunk",
        "created": 1764500000,
        "model": "moonshotai/Kimi-K2-Instruct",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


async def upstream_chat(request: web.Request) -> web.StreamResponse:
    """Answer as the request's metadata asks: how many chunks, how far apart, silent at the end."""
    body = await request.json()
    wanted = body["metadata"]
    if not body.get("stream"):
        message = {"role": "assistant", "content": TEXT * 20}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "x", "created": 1, "model": "m", "choices": [choice]})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    field, begin, end = KINDS[wanted["kind"]]
    if begin:
        await response.write(event({field: begin}))
    piece = event({field: _WORDS[0] + " "})
    for _ in range(wanted["chunks"]):
        await response.write(piece)
        await asyncio.sleep(wanted["pause"])
    if wanted.get("idle"):
        await asyncio.Event().wait()
    await response.write(
        (event({field: end}) if end else b"") + event({}, "stop") + b"data: [DONE]\n\n"
    )
    return response


async def models(_request: web.Request) -> web.StreamResponse:
    """An upstream of no known engine."""
    return web.json_response({"data": [{"id": "k", "owned_by": "bench"}]})


def pass_through(upstream: str) -> web.Application:
    """The bare proxy."""

    async def session(application: web.Application) -> Any:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made:
            application["session"] = made
            yield

    async def chat(request: web.Request) -> web.StreamResponse:
        async with request.app["session"].post(
            upstream + "/chat/completions",
            data=await request.read(),
            headers={"Content-Type": "application/json"},
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    application = web.Application(client_max_size=1 << 25)
    application.cleanup_ctx.append(session)
    application.router.add_post(CHAT, chat)
    return application


def run_server(role: str, upstream: str) -> None:
    """Be one of the servers; the first line on stdout is the URL."""

    async def serve() -> None:
        if role == "upstream":
            application = web.Application(client_max_size=1 << 25)
            application.router.add_post(CHAT, upstream_chat)
            application.router.add_get("/v1/models", models)
        else:
            application = pass_through(upstream)
        runner = web.AppRunner(application, handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def server(role: str, upstream: str = "") -> Iterator[tuple[str, psutil.Process]]:
    """A server in a process of its own: its URL and the process."""
    if role == "gateway":
        command = [sys.executable, "-m", "k2compat", "serve", "--upstream", upstream]
        command += ["--listen", "127.0.0.1:0", "--max-streams", "5000"]
    else:
        command = [sys.executable, __file__, "--role", role, "--upstream", upstream]
    log = subprocess.PIPE if role == "gateway" else None
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        if role == "gateway":
            assert process.stderr is not None
            first = json.loads(process.stderr.readline())
            url = "http://" + first["address"]
            drain = [sys.executable, "-c", "import sys\nfor _ in sys.stdin: pass"]
            with subprocess.Popen(drain, stdin=process.stderr) as reader:
                yield url, psutil.Process(process.pid)
                process.terminate()
                reader.wait()
        else:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def cpu(process: psutil.Process) -> float:
    """The seconds of CPU that a process has used.

    The counters in /proc, which psutil reads, go on in steps of 10 ms: 500 chunks.
    """
    return time.clock_gettime(~process.pid << 3 | 2)  # what clock_getcpuclockid(3) returns


def body(
    *,
    stream: bool = True,
    chunks: int = 1,
    pause: float = 0,
    idle: bool = False,
    kind: str = "content",
) -> Any:
    """A request of an ordinary conversation."""
    return {
        "model": "moonshotai/Kimi-K2-Instruct",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 10},
            {"role": "user", "content": "What is the weather in Paris? " * 5},
        ],
        "stream": stream,
        "metadata": {"chunks": chunks, "pause": pause, "idle": idle, "kind": kind},
    }


def client(url: str) -> aiohttp.ClientSession:
    """A client without a limit of connections."""
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))


async def ask(session: aiohttp.ClientSession, wanted: Any) -> bytes:
    """The whole answer to one request."""
    async with session.post(CHAT, json=wanted) as response:
        if response.status != 200:
            raise RuntimeError(f"status {response.status}")
        return await response.read()


async def chunk_cost(
    url: str, process: psutil.Process, *, streams: int, chunks: int, kind: str
) -> float:
    """Microseconds of CPU a chunk, each in a packet of its own."""
    async with client(url) as session:
        await ask(session, body(chunks=10))
        before = cpu(process)
        wanted = body(chunks=chunks, pause=0.002, kind=kind)
        await asyncio.gather(*(ask(session, wanted) for _ in range(streams)))
        return (cpu(process) - before) / (streams * chunks) * 1e6


async def request_cost(url: str, process: psutil.Process, count: int) -> float:
    """Microseconds of CPU a request without streaming, eight at a time."""
    async with client(url) as session:
        await ask(session, body(stream=False))
        before = cpu(process)

        async def worker() -> None:
            for _ in range(count // 8):
                await ask(session, body(stream=False))

        await asyncio.gather(*(worker() for _ in range(8)))
        return (cpu(process) - before) / count * 1e6


async def halves(url: str, process: psutil.Process, chunks: int) -> float:
    """CPU of the second half of a long stream, as a multiple of the first's."""
    marks = [cpu(process)]
    async with (
        client(url) as session,
        session.post(CHAT, json=body(chunks=chunks, pause=0.0005)) as response,
    ):
        seen = 0
        async for line in response.content:
            seen += line.startswith(b"data: {")
            if len(marks) == 1 and seen >= chunks // 2:
                marks.append(cpu(process))
    marks.append(cpu(process))
    return (marks[2] - marks[1]) / (marks[1] - marks[0])


async def idle_memory(url: str, process: psutil.Process, streams: int) -> float:
    """MiB of the whole process while so many streams are silent."""
    async with client(url) as session:
        responses = []
        for _ in range(streams):
            responses.append(await session.post(CHAT, json=body(idle=True)))
            await responses[-1].content.readany()
        size = process.memory_info().rss / 2**20
        for response in responses:
            response.close()
    await asyncio.sleep(1)
    return float(size)


async def first_bytes(direct: str, through: str, streams: int, count: int) -> tuple[float, float]:
    """The median milliseconds to a stream's first event, direct and through, in turns."""
    times: dict[str, list[float]] = {direct: [], through: []}
    async with client(direct) as near, client(through) as far:
        load = [
            asyncio.create_task(ask(far, body(chunks=100_000, pause=0.05))) for _ in range(streams)
        ]
        await asyncio.sleep(1)
        for _ in range(count):
            for url, session in ((direct, near), (through, far)):
                started = time.perf_counter()
                async with session.post(CHAT, json=body(chunks=1)) as response:
                    await response.content.readany()
                    times[url].append((time.perf_counter() - started) * 1e3)
                    await response.read()
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
    return statistics.median(times[direct]), statistics.median(times[through])


async def soak(url: str, process: psutil.Process, seconds: float) -> None:
    """Full load for a while: memory and errors."""
    sizes: list[float] = []
    done = errors = 0
    end = time.monotonic() + seconds

    async def worker(number: int) -> None:
        nonlocal done, errors
        async with client(url) as session:
            while time.monotonic() < end:
                try:
                    await ask(session, body(stream=number % 2 == 0, chunks=50))
                    done += 1
                except (aiohttp.ClientError, RuntimeError):
                    errors += 1

    async def watch() -> None:
        while time.monotonic() < end:
            await asyncio.sleep(seconds / 20)
            sizes.append(process.memory_info().rss / 2**20)

    await asyncio.gather(watch(), *(worker(number) for number in range(16)))
    print(f"soak of {seconds:.0f} s: {done} requests, {errors} errors")
    tenths = ", ".join(f"{size:.1f}" for size in sizes[1::2])
    print(f"  MiB of memory after each tenth: {tenths}")


def show(name: str, value: float, bar: float, words: str) -> None:
    """One line: the figure and its bar."""
    print(
        f"{'ok  ' if value <= bar else 'MISS'} {name}: {value:.2f} (bar {bar}) {words}", flush=True
    )


async def ratio(
    name: str,
    bar: float,
    rounds: int,
    cost: Callable[[str, psutil.Process], Awaitable[float]],
    servers: tuple[tuple[str, psutil.Process], ...],
) -> None:
    """Measure pass-through and gateway in turns, and show the ratio of their costs."""
    costs: list[list[float]] = []
    for number in range(rounds):
        turns = reversed(servers) if number % 2 else servers
        pair = [await cost(*server) for server in turns]
        costs.append(pair[::-1] if number % 2 else pair)
    ratios = [ours / plain for plain, ours in costs]
    plain, ours = map(statistics.median, zip(*costs, strict=True))
    words = f"{min(ratios):.2f} to {max(ratios):.2f}; "
    words += f"gateway {ours:.1f} µs, pass-through {plain:.1f} µs"
    show(f"CPU a {name}, ratio", statistics.median(ratios), bar, words)


async def measure(upstream: str, rounds: int) -> None:
    """All figures."""
    with (
        server("pass-through", f"{upstream}/v1") as plain,
        server("gateway", f"{upstream}/v1") as ours,
    ):
        for kind in KINDS:
            chunk = partial(chunk_cost, streams=16, chunks=500, kind=kind)
            await ratio(f"chunk ({kind})", CPU_A_CHUNK_MAX, rounds, chunk, (plain, ours))
        # Many short rounds: other work on the machine disturbs a few of them, not the median.
        request = partial(request_cost, count=400)
        await ratio("request", CPU_A_REQUEST_MAX, 4 * rounds, request, (plain, ours))
        second_half = await halves(*ours, 20_000)
        show("20,000 chunks, second half by first", second_half, SECOND_HALF_MAX, "")
        near, far = await first_bytes(upstream, ours[0], 50, 300)
        words = f"direct {near:.2f} ms, through {far:.2f} ms (medians)"
        show("first byte, ms added under 50 streams", far - near, FIRST_BYTE_MS_MAX, words)
        near_plain, far_plain = await first_bytes(upstream, plain[0], 50, 300)
        print(f"     the pass-through adds {far_plain - near_plain:.2f} ms")
    with server("gateway", f"{upstream}/v1") as (url, process):
        size = await idle_memory(url, process, 1000)
        show("1,000 idle streams, MiB", size, IDLE_MIB_MAX, "")


def main() -> None:
    """Measure, or be one of the servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--upstream", default="", help=argparse.SUPPRESS)
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="only load the gateway")
    parser.add_argument("--rounds", type=int, default=7, help="of chunks; of requests, four times")
    given = parser.parse_args()
    if given.role:
        run_server(given.role, given.upstream)
        return
    with server("upstream") as (upstream, _):
        if given.soak:
            with server("gateway", f"{upstream}/v1") as (url, process):
                asyncio.run(soak(url, process, given.soak))
        else:
            asyncio.run(measure(upstream, given.rounds))


if __name__ == "__main__":
    main()
