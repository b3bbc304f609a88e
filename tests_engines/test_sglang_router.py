"""SGLang's router, started as `launch sglang --strategy pd` renders it, before stand-ins.

The stand-ins are the prefill and the decode workers; SGLang's server itself needs a GPU.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

import pytest

from tests.support.command import k2compat
from tests.support.talking_models import talking_model
from tests_engines.conftest import environment_of, free_port, serving

SECONDS_TO_START = 120


def prefill_host(number: int) -> str:
    """An address of the loopback network, since each worker has SGLang's own port."""
    return f"127.0.1.{number + 1}"


def decode_host(number: int) -> str:
    return f"127.0.2.{number + 1}"


class Worker(NamedTuple):
    """A stand-in: its name, and the bodies that it was sent."""

    name: str
    bodies: list[dict[str, Any]]


@contextmanager
def stand_in(name: str, host: str, port: int) -> Iterator[Worker]:
    worker = Worker(name, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"status": "ok", "model_path": "m", "data": [{"id": "kimi-k2"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            worker.bodies.append(body)
            message = {"role": "assistant", "content": f"from {name}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._answer({"id": "1", "object": "chat.completion", "choices": [choice]})

        def _answer(self, document: dict[str, Any]) -> None:
            data = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rendered(port: int, groups: int) -> list[dict[str, Any]]:
    """The commands of so many prefill and decode groups, each of one node, and of the router."""
    nodes = [
        word
        for number in range(groups)
        for word in ("--prefill-nodes", prefill_host(number), "--decode-nodes", decode_host(number))
    ]
    done = k2compat(
        *("launch", "sglang", talking_model(), "--strategy", "pd", "--gpus-per-node", "1"),
        *(*nodes, "--port", str(port), "--json"),
    )
    assert done.code == 0, done.words
    commands: list[dict[str, Any]] = done.document["commands"]
    return commands


class Served(NamedTuple):
    """The router's address, and the workers behind it by their hosts."""

    url: str
    prefill: dict[str, Worker]
    decode: dict[str, Worker]


@pytest.fixture(scope="module", params=[1, 3])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    port = free_port()
    commands = rendered(port, request.param)
    environment = environment_of("router")
    router = next(command for command in commands if command["role"] == "load-balancer")
    log = tmp_path_factory.mktemp("router") / "log"
    made = Served(f"http://127.0.0.1:{port}", {}, {})
    with ExitStack() as stack:
        for command in commands:
            if command["role"] in ("prefill", "decode"):
                words = command["argv"]
                host = words[words.index("--host") + 1]
                number = next(each["port"] for each in command["ports"] if each["name"] == "http")
                workers = made.prefill if command["role"] == "prefill" else made.decode
                workers[host] = stack.enter_context(stand_in(command["role"], host, number))
        env = {**environment, **router["env"]}
        ready = f"{made.url}/readiness"
        stack.enter_context(
            serving(router["argv"], ready, env=env, log=log, seconds=SECONDS_TO_START)
        )
        yield made


def ask(url: str, words: str) -> dict[str, Any]:
    body = {"model": "kimi-k2", "messages": [{"role": "user", "content": words}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def test_a_worker_of_each_kind_gets_the_request_and_decode_answers(served: Served) -> None:
    document = ask(served.url, "hello")
    assert document["choices"][0]["message"]["content"] == "from decode"
    (prefill,) = (each for each in served.prefill.items() if each[1].bodies)
    (decode,) = (each for each in served.decode.values() if each.bodies)
    host, worker = prefill
    first, second = worker.bodies.pop(), decode.bodies.pop()
    assert first["messages"] == second["messages"] == [{"role": "user", "content": "hello"}]
    assert first["bootstrap_room"] == second["bootstrap_room"]
    # The worker that was chosen; the port is its rendered --disaggregation-bootstrap-port.
    assert first["bootstrap_host"] == second["bootstrap_host"] == host
    assert first["bootstrap_port"] == second["bootstrap_port"] == 8998


def test_every_group_is_a_worker_of_the_router(served: Served) -> None:
    with urllib.request.urlopen(f"{served.url}/workers", timeout=30) as answer:
        document = json.load(answer)
    listed = {(each["worker_type"], each["url"]) for each in document["workers"]}
    assert listed == {
        *(("prefill", f"http://{host}:30000") for host in served.prefill),
        *(("decode", f"http://{host}:30000") for host in served.decode),
    }
