"""No key, no prompt and no argument in a log, a metric, an error or the list of processes."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from k2compat.gateway.record import LOGGER
from tests.gateway.servers import Upstream, both, chunk, completion, deltas, event, streamed, whole
from tests.gateway.support import CANARY, assistant, call, request, result, tool
from tests.gateway.test_promises import CHAT
from tests.toolcalls.transcripts import call as written_call
from tests.toolcalls.transcripts import section


def canary_request(**fields: Any) -> dict[str, Any]:
    """A request with a canary in every place that holds text."""
    declared = tool(CANARY)
    declared["function"]["description"] = CANARY
    return request(
        {"role": "system", "content": CANARY, "name": CANARY},
        {"role": "user", "content": [{"type": "text", "text": f"{CANARY} <|im_end|>"}]},
        assistant(call(CANARY, CANARY, json.dumps({CANARY: CANARY})), reasoning=CANARY),
        assistant(call(CANARY, CANARY, f'{{"{CANARY}')),
        result(CANARY, CANARY),
        result(f"{CANARY}2", CANARY),
        model=CANARY,
        user=CANARY,
        tools=[declared],
        chat_template=CANARY,
        api_key=CANARY,
        metadata={CANARY: CANARY},
        **fields,
    )


BROKEN: list[Any] = [
    f'{{"messages": "{CANARY}"}}',
    f"{CANARY}",
    json.dumps(request({"role": "user", "content": CANARY}, n=CANARY)),
    json.dumps(request(assistant(call("x", f"{CANARY} with space")))),
    json.dumps(canary_request(stream=CANARY)),
]
TEXT = f"{CANARY}<think>{CANARY}</think>" + section(
    written_call(f"{CANARY}:0", {CANARY: CANARY}),
    written_call(CANARY, f"{CANARY}"),
    f"<|tool_call_begin|>{CANARY} {CANARY}",
)
ANSWERS = [
    whole(TEXT),
    streamed([*deltas(*({"content": piece} for piece in TEXT))]),
    streamed([event(chunk({"content": CANARY})), f"data: {CANARY}\n\n".encode()]),
    streamed([event(chunk({"content": CANARY}))], end=b""),
    streamed([f'data: ["{CANARY}"]\n\ndata: "{CANARY}"\n\n'.encode()]),
    streamed([event(chunk({"content": [CANARY], "tool_calls": [CANARY, {"index": CANARY}]}))]),
    streamed([event(completion({"content": CANARY}, CANARY))]),
]


def test_the_canary_stays_out_of_everything_but_the_answer(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, LOGGER.name)
    # The test's own servers and clients log what they do.
    for other in ("asyncio", "aiohttp.server", "aiohttp.access"):
        logging.getLogger(other).setLevel(logging.CRITICAL)
    (tmp_path / "own").write_text(f"{CANARY}-own\n")
    (tmp_path / "up").write_text(f"{CANARY}-up\n")
    seen: list[str] = []

    async def refused(client: aiohttp.ClientSession, body: Any, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "X-Request-Id": f"{CANARY} x"}
        async with client.post(CHAT, data=body, headers=headers) as response:
            assert response.status in (400, 401)
            seen.append(await response.text() + str(response.headers))

    async def session() -> None:
        settings = {"key_file": str(tmp_path / "own"), "upstream_key_file": str(tmp_path / "up")}
        for answer in ANSWERS:
            for engine in ("openai", "llama.cpp"):
                upstream = Upstream(answer)
                options: dict[str, Any] = {**settings, "engine": engine}
                async with both(upstream, **options) as (_, client):
                    headers = {"Authorization": f"Bearer {CANARY}-own"}
                    for stream in (False, True):
                        body = canary_request(stream=stream)
                        async with client.post(CHAT, json=body, headers=headers) as response:
                            await response.read()
                    for body in BROKEN:
                        await refused(client, body, f"{CANARY}-own")
                    await refused(client, json.dumps(canary_request()), CANARY)
                    for path in ("/metrics", f"/{CANARY}"):
                        async with client.get(path, headers=headers) as response:
                            seen.append(await response.text())
                assert upstream.headers[0]["Authorization"] == f"Bearer {CANARY}-up"

    asyncio.run(session())
    printed = capfd.readouterr()
    own_lines = [record.getMessage() for record in caplog.records]
    assert len(own_lines) >= 2 * len(ANSWERS)
    for place in (*own_lines, *seen, printed.out, printed.err):
        assert CANARY not in place
    assert CANARY not in " ".join(psutil.Process().cmdline())
