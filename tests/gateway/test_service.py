"""The gateway as a service: start, engine, log, metrics, stop."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web

from k2compat.errors import RefusedError
from k2compat.gateway import service
from k2compat.gateway.record import LOGGER, log
from k2compat.gateway.service import make_gateway, serve
from k2compat.gateway.settings import Settings
from tests.gateway.servers import Upstream, both, chunk, deltas, event, streamed, whole
from tests.gateway.support import assistant, call, request, result
from tests.gateway.test_promises import CHAT, STAGES, until
from tests.toolcalls.transcripts import call as written_call
from tests.toolcalls.transcripts import section


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[tuple[Any, str, asyncio.Task[None]]]:
    """`serve` in a task: the gateway, its URL and the task."""
    values = Settings(upstream=url, listen="127.0.0.1:0", **settings)
    made = make_gateway(values)
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(made, values, listening.set_result))
    try:
        yield made, f"http://{await listening}", task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await task


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The log's lines, decoded."""
    caplog.set_level(logging.INFO, LOGGER.name)
    return lambda: [
        json.loads(line)
        for each in caplog.records
        if each.name == LOGGER.name
        for line in each.getMessage().splitlines()
    ]


class TestTheEngine:
    @pytest.mark.parametrize(
        ("owner", "option", "engine"),
        [
            ("vllm", "auto", "vllm"),
            ("llamacpp", "auto", "llama.cpp"),
            ("moonshot", "auto", "openai"),
            ("vllm", "sglang", "sglang"),
        ],
    )
    def test_it_is_learnt_from_the_upstream_once(
        self, owner: str, option: Any, engine: str, lines: Any
    ) -> None:
        async def session() -> None:
            upstream = Upstream(owner=owner)
            async with upstream.serve() as url, serving(url, engine=option) as (made, _, _task):
                await until(lambda: any(line["event"] == "ready" for line in lines()))
                assert made.options.engine == engine
                assert len(upstream.headers) == 1

        asyncio.run(session())
        assert {"engine": engine}.items() <= next(
            line.items() for line in lines() if line["event"] == "ready"
        )

    def test_an_upstream_that_is_not_there_yet_is_a_warning(
        self, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "_ASK_AGAIN", 0.05)

        async def session() -> None:
            upstream = Upstream(owner="vllm")
            async with upstream.serve() as url:
                port = int(url.split(":")[2].split("/")[0])
            async with serving(url) as (made, own, _):
                async with aiohttp.ClientSession(own) as client, client.get("/ready") as response:
                    assert response.status == 503
                await asyncio.sleep(0.2)
                assert made.options.engine == "openai"
                async with upstream.serve(port):
                    await until(lambda: made.options.engine == "vllm")

        asyncio.run(session())
        assert [line["event"] for line in lines()].count("waiting") == 1

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"data": 1}'])
    def test_models_of_any_form_are_read(self, body: bytes) -> None:
        async def session() -> None:
            async def models(_request: web.Request) -> web.StreamResponse:
                return web.Response(body=body)

            async with both(Upstream(models=models)) as (made, _):
                reason = await made.readiness.ask()
                assert ("not a JSON text" in reason) == (body == b"{")
                assert made.readiness.engine == (None if reason else "openai")

        asyncio.run(session())

    @pytest.mark.parametrize(
        ("status", "settings", "reason", "settled"),
        [
            (401, {}, "", True),
            (403, {}, "", True),
            (429, {}, "", False),
            (401, {"upstream_key": "k"}, "refuses the gateway's key", True),
            (403, {"upstream_key": "k"}, "", True),
            (401, {"key_file": True}, "--upstream-key-file", True),
            (404, {}, "answers 404 to /v1/models", False),
            (503, {}, "answers 503 to /v1/models", False),
        ],
    )
    def test_a_refusal_of_models_tells_whether_the_upstream_can_serve(
        self, status: int, settings: Any, reason: str, settled: bool, tmp_path: Path
    ) -> None:
        if "key_file" in settings:
            (tmp_path / "keys").write_text("own\n")
            settings = {"key_file": str(tmp_path / "keys")}

        async def models(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status)

        async def session() -> None:
            async with both(Upstream(models=models), **settings) as (made, client):
                async with client.get("/ready") as response:
                    shown = (await response.json())["status"]
                    assert response.status == (503 if reason else 200)
                assert reason in shown
                assert (shown == "ready") == (not reason)
                assert made.readiness.settled == settled

        asyncio.run(session())

    def test_what_changes_is_logged_until_the_engine_is_known(
        self, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "_ASK_AGAIN", 0)
        statuses = iter([503, 503, 404, 429, 200])

        async def models(_request: web.Request) -> web.StreamResponse:
            body = {"data": [{"id": "k", "owned_by": "sglang"}]}
            return web.json_response(body, status=next(statuses))

        async def session() -> None:
            async with both(Upstream(models=models)) as (made, _):
                await service._wait_until_ready(made, made._settings)
                assert made.options.engine == "sglang"

        asyncio.run(session())
        shown = [(line["event"], line.get("reason")) for line in lines()]
        assert shown == [
            ("waiting", "the upstream answers 503 to /v1/models"),
            ("waiting", "the upstream answers 404 to /v1/models"),
            ("ready", None),
        ]


class TestAnUpstreamThatNeedsTheClientsKey:
    """As `vllm serve --api-key`: every path answers 401 without the key."""

    RIGHT: ClassVar = {"Authorization": "Bearer right"}

    @staticmethod
    async def models(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer right":
            return web.json_response({"error": "Unauthorized"}, status=401)
        return web.json_response({"data": [{"id": "k", "owned_by": "vllm"}]})

    @asynccontextmanager
    async def served(self, **settings: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
        upstream = Upstream(models=self.models)
        async with both(upstream, **settings) as (made, client):
            await service._wait_until_ready(made, made._settings)
            yield made, client, upstream

    def test_the_first_chat_request_with_a_right_key_tells_the_engine(self, lines: Any) -> None:
        async def session() -> None:
            async with self.served() as (made, client, upstream):
                async with client.get("/ready") as response:
                    assert response.status == 200
                for _ in range(2):
                    async with client.post(CHAT, json=request(), headers=self.RIGHT) as response:
                        assert response.status == 200
                assert made.options.engine == "vllm"
                # Already the first one is written in the engine's dialect.
                assert [body["skip_special_tokens"] for body in upstream.bodies] == [False, False]
                assert upstream.paths.count("/v1/models") == 3

        asyncio.run(session())
        ready, engine, *_ = lines()
        assert (ready["event"], ready["found"], ready["awaits_key"]) == ("ready", None, True)
        assert (engine["event"], engine["found"]) == ("engine", "vllm")
        assert [line["event"] for line in lines()].count("engine") == 1

    def test_a_client_that_lists_models_tells_it_too(self) -> None:
        async def session() -> None:
            async with self.served() as (made, client, _):
                async with client.get("/v1/models") as response:
                    assert response.status == 401
                assert made.readiness.awaits_key
                async with client.get("/v1/models", headers=self.RIGHT) as response:
                    assert response.status == 200
                assert made.options.engine == "vllm"

        asyncio.run(session())

    def test_wrong_keys_do_not_double_the_requests(self) -> None:
        async def session() -> None:
            async with self.served() as (made, client, upstream):
                asked = len(upstream.paths)
                wrong = {"Authorization": "Bearer wrong"}
                for headers in (wrong, wrong, wrong, {}):
                    async with client.post(CHAT, json=request(), headers=headers) as response:
                        assert response.status == 200
                assert upstream.paths[asked:].count("/v1/models") == 1
                made.readiness._next_question = 0.0
                async with client.post(CHAT, json=request(), headers=self.RIGHT) as response:
                    assert response.status == 200
                assert made.options.engine == "vllm"

        asyncio.run(session())

    def test_requests_that_come_together_ask_once(self) -> None:
        async def session() -> None:
            async with self.served() as (_, client, upstream):
                asked = len(upstream.paths)
                posts = [client.post(CHAT, json=request(), headers=self.RIGHT) for _ in range(8)]
                for response in await asyncio.gather(*posts):
                    response.close()
                assert upstream.paths[asked:].count("/v1/models") == 1
                assert all("skip_special_tokens" in body for body in upstream.bodies)

        asyncio.run(session())

    def test_an_engine_that_the_operator_named_stays(self) -> None:
        async def session() -> None:
            async with self.served(engine="sglang") as (made, client, _):
                async with client.post(CHAT, json=request(), headers=self.RIGHT) as response:
                    assert response.status == 200
                assert (made.options.engine, made.readiness.engine) == ("sglang", "vllm")

        asyncio.run(session())


class TestTheLog:
    def test_a_request_is_one_line(self, lines: Any) -> None:
        text = section(written_call("weather:1", {"city": "Paris"}))
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "other": "x"}
        pieces = [*deltas({"content": text}), event({**chunk(), "choices": [], "usage": usage})]

        async def session() -> None:
            body = request(assistant(call("call_1"), content="x"), result("call_1"), stream=True)
            headers = {"X-Request-Id": "mine"}
            async with (
                both(Upstream(streamed(pieces))) as (_, client),
                client.post(CHAT, json=body, headers=headers) as response,
            ):
                await response.read()

        asyncio.run(session())
        (line,) = lines()
        assert line["first_byte_ms"] <= line["total_ms"]
        del line["time"], line["first_byte_ms"], line["total_ms"]
        assert line == {
            "level": "info",
            "event": "request",
            "id": "mine",
            "route": "chat",
            "status": 200,
            "stream": True,
            "steps": {"history-ids-renamed": 2},
            "problems": {"call-id-repaired": 1},
            "error": None,
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "calls": 1,
        }

    def test_a_client_that_left_is_status_499(self, lines: Any) -> None:
        async def session() -> None:
            upstream = Upstream(STAGES["before the headers"])
            async with both(upstream) as (served, client):
                task = asyncio.create_task(client.post(CHAT, json=request()))
                await until(lambda: len(upstream.bodies) == 1)
                task.cancel()
                await until(lambda: served.streams == 0)

        asyncio.run(session())
        (line,) = lines()
        assert (line["status"], line["first_byte_ms"]) == (499, None)

    def test_health_and_metrics_are_not_logged(self, lines: Any) -> None:
        async def session() -> None:
            async with both(Upstream()) as (_, client):
                for path in ("/health", "/metrics", "/ready"):
                    async with client.get(path) as response:
                        assert response.status == 200

        asyncio.run(session())
        assert lines() == []

    def test_a_logger_that_is_off_costs_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.ERROR, LOGGER.name)
        log("request", value=object())
        assert not caplog.records


class TestMetrics:
    def test_they_count_requests_steps_problems_tokens_and_calls(self) -> None:
        text = section(written_call("weather:0", {"city": "Paris"}))
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        pieces = [*deltas({"content": text}), event({**chunk(), "choices": [], "usage": usage})]

        async def session() -> str:
            async with both(Upstream(streamed(pieces))) as (_, client):
                body = request({"role": "developer", "content": "x"}, stream=True)
                for _ in range(2):
                    async with client.post(CHAT, json=body) as response:
                        await response.read()
                async with client.post(CHAT, data=b"x") as response:
                    assert response.status == 400
                async with client.get("/metrics") as response:
                    assert response.headers["Content-Type"].startswith("text/plain")
                    return str(await response.text())

        text = asyncio.run(session())
        for line in (
            'k2compat_requests_total{route="chat",status="200"} 2.0',
            'k2compat_requests_total{route="chat",status="400"} 1.0',
            'k2compat_errors_total{code="request-invalid"} 1.0',
            'k2compat_steps_total{code="history-roles-renamed"} 2.0',
            'k2compat_problems_total{code="call-id-repaired"} 2.0',
            'k2compat_tokens_total{kind="prompt_tokens"} 6.0',
            "k2compat_tool_calls_total 2.0",
            "k2compat_first_byte_seconds_count 2.0",
            "k2compat_request_seconds_count 3.0",
            "k2compat_active_requests 0.0",
        ):
            assert line in text.splitlines(), line

    def test_an_answer_in_kimi_k3_s_markup_is_counted_and_logged(self, lines: Any) -> None:
        async def session() -> str:
            async with both(Upstream(whole("<|open|>x<|sep|>y<|close|>"))) as (_, client):
                async with client.post(CHAT, json=request()) as response:
                    await response.read()
                async with client.get("/metrics") as response:
                    return str(await response.text())

        text = asyncio.run(session())
        assert 'k2compat_problems_total{code="other-format"} 1.0' in text.splitlines()
        assert [line["problems"] for line in lines()] == [{"other-format": 1}]


class TestStopping:
    def test_streams_finish_and_new_work_is_refused(self) -> None:
        pieces = deltas(*[{"content": "x"}] * 10)

        async def session() -> None:
            upstream = Upstream(streamed(pieces, pause=0.05))
            async with (
                upstream.serve() as url,
                serving(url, grace=20) as (made, own, task),
                aiohttp.ClientSession(own) as client,
                aiohttp.ClientSession(own) as late,
            ):
                async with late.get("/health") as response:  # a connection that is open already
                    assert response.status == 200
                streams = [await client.post(CHAT, json=request(stream=True)) for _ in range(20)]
                os.kill(os.getpid(), signal.SIGTERM)
                await until(lambda: made.draining)
                async with late.post(CHAT, json=request()) as response:
                    assert (response.status, response.headers["Retry-After"]) == (503, "1")
                    assert (await response.json())["error"]["code"] == "gateway-stopping"
                bodies = [await each.read() for each in streams]
                assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies)
                await asyncio.wait_for(task, 10)
                with pytest.raises(aiohttp.ClientConnectorError):
                    await client.get("/health")

        asyncio.run(session())

    @pytest.mark.parametrize("stage", ["before the headers", "in mid-stream"])
    def test_those_that_do_not_finish_get_an_error(self, stage: str) -> None:
        async def session() -> None:
            upstream = Upstream(STAGES[stage])
            async with (
                upstream.serve() as url,
                serving(url, grace=0.2) as (_, own, task),
                aiohttp.ClientSession(own) as client,
            ):
                asked = [
                    asyncio.create_task(client.post(CHAT, json=request(stream=True)))
                    for _ in range(20)
                ]
                await until(lambda: len(upstream.bodies) == 20)
                await asyncio.sleep(0.05)
                os.kill(os.getpid(), signal.SIGTERM)
                answers = [await each for each in asked]
                bodies = [await each.read() for each in answers]
                assert all(b'"code":"gateway-stopping"' in body for body in bodies)
                assert {each.status for each in answers} == ({200} if "mid" in stage else {503})
                await asyncio.wait_for(task, 10)
                await until(lambda: upstream.closed == 20)

        asyncio.run(session())

    def test_a_request_whose_body_is_still_coming_gets_an_error(self) -> None:
        async def slow() -> AsyncIterator[bytes]:
            yield b'{"messages": ['
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.4)
            yield b"]}"

        async def session() -> None:
            upstream = Upstream()
            async with (
                upstream.serve() as url,
                serving(url, grace=0.1) as (_, own, task),
                aiohttp.ClientSession(own) as client,
                client.post(CHAT, data=slow()) as response,
            ):
                assert response.status == 503
                assert (await response.json())["error"]["code"] == "gateway-stopping"
                await asyncio.wait_for(task, 10)
            assert upstream.opened == 0

        asyncio.run(session())

    def test_health_checks_get_an_answer_until_the_end(self) -> None:
        async def session() -> None:
            upstream = Upstream(STAGES["in mid-stream"])
            async with (
                upstream.serve() as url,
                serving(url, grace=20) as (made, own, task),
                aiohttp.ClientSession(own) as client,
            ):
                open_stream = await client.post(CHAT, json=request(stream=True))
                os.kill(os.getpid(), signal.SIGTERM)
                await until(lambda: made.draining)
                async with aiohttp.ClientSession(own) as late:  # a new connection
                    async with late.get("/ready") as response:
                        assert (response.status, await response.json()) == (
                            503,
                            {"status": "stopping"},
                        )
                    async with late.get("/health") as response:
                        assert (response.status, await response.json()) == (
                            200,
                            {"status": "stopping", "active_requests": 1},
                        )
                    async with late.post(CHAT, json=request()) as response:
                        assert response.status == 503
                open_stream.close()
                await asyncio.wait_for(task, 10)

        asyncio.run(session())


def test_an_address_that_is_taken_is_refused() -> None:
    async def session() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            settings = Settings(upstream="http://127.0.0.1:1", listen=f"127.0.0.1:{port}")
            with pytest.raises(RefusedError, match="cannot be used: ") as caught:
                await serve(make_gateway(settings), settings)
            assert str(port) in caught.value.hint

    asyncio.run(session())
