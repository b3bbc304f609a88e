"""SGLang's router, started as `launch sglang --strategy pd` renders it, before two stand-ins.

The stand-ins are the prefill and the decode worker; SGLang's server itself needs a GPU.
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

# Addresses of the loopback network, since each worker has SGLang's own port.
PREFILL, DECODE = "127.0.0.2", "127.0.0.3"
SECONDS_TO_START = 120


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


def rendered(port: int) -> list[dict[str, Any]]:
    """The commands of a prefill node, a decode node and the router before them."""
    done = k2compat(
        *("launch", "sglang", talking_model(), "--strategy", "pd", "--gpus-per-node", "1"),
        *("--prefill-nodes", PREFILL, "--decode-nodes", DECODE, "--port", str(port), "--json"),
    )
    assert done.code == 0, done.words
    commands: list[dict[str, Any]] = done.document["commands"]
    return commands


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Worker, Worker]]:
    """The router's address and the workers behind it."""
    port = free_port()
    commands = rendered(port)
    environment = environment_of("router")
    router = next(command for command in commands if command["role"] == "load-balancer")
    http = {
        command["role"]: entry["port"]
        for command in commands
        for entry in command["ports"]
        if entry["name"] == "http"
    }
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("router") / "log"
    with ExitStack() as stack:
        prefill = stack.enter_context(stand_in("prefill", PREFILL, http["prefill"]))
        decode = stack.enter_context(stand_in("decode", DECODE, http["decode"]))
        env = {**environment, **router["env"]}
        ready = f"{url}/readiness"
        stack.enter_context(
            serving(router["argv"], ready, env=env, log=log, seconds=SECONDS_TO_START)
        )
        yield url, prefill, decode


def test_both_workers_get_the_request_and_decode_answers(
    served: tuple[str, Worker, Worker],
) -> None:
    url, prefill, decode = served
    body = {"model": "kimi-k2", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        document = json.load(answer)
    assert document["choices"][0]["message"]["content"] == "from decode"
    (first,), (second,) = prefill.bodies, decode.bodies
    assert first["messages"] == second["messages"] == body["messages"]
    assert first["bootstrap_room"] == second["bootstrap_room"]
    assert first["bootstrap_host"] == second["bootstrap_host"] == PREFILL
    # The port of the prefill node's rendered --disaggregation-bootstrap-port.
    assert first["bootstrap_port"] == second["bootstrap_port"] == 8998
