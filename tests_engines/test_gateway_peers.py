"""The gateway with LiteLLM's proxy and SGLang's router, before llama.cpp with the talking model.

llama.cpp leaks the markers into the content here. Whatever is in front of the gateway or behind it,
an official client gets the calls.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.samples.llama_server import llama_server
from k2compat.samples.talking import GGUF_FILE, SCRIPTS, TOOLS
from k2compat.toolcalls import parse
from tests.support.command import ENVIRONMENT
from tests.support.talking_models import talking_model
from tests_engines.conftest import environment_of, free_port, programs_of, serving

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this platform")

KEY = "sk-peers"
KEYWORD = "@weather"
ROOT = Path(__file__).parents[1]
SECONDS_TO_START = 300


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[str]:
    with llama_server(talking_model("gguf") / GGUF_FILE) as url:
        yield url


@contextmanager
def gateway(upstream: str, folder: Path, key: str = "k") -> Iterator[str]:
    """`k2compat serve` as a process; the root of its URL."""
    port = free_port()
    command = [sys.executable, "-m", "k2compat", "serve", "--upstream", upstream]
    command += ["--listen", f"127.0.0.1:{port}", "--engine", "openai", "--reasoning", "off"]
    env = {**ENVIRONMENT, "K2COMPAT_SERVE_UPSTREAM_KEY": key}
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/health", env=env, log=folder / "gateway", seconds=60):
        yield url


@contextmanager
def litellm(engine: str, folder: Path, **settings: Any) -> Iterator[str]:
    """LiteLLM's proxy before an engine's API; the root of its URL."""
    port = free_port()
    parameters = {"model": "openai/kimi", "api_base": engine, "api_key": "k"}
    config = folder / "config.yaml"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "kimi", "litellm_params": parameters}],
                "litellm_settings": settings,
            }
        )
    )
    command = [str(programs_of("litellm") / "litellm"), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    env = environment_of(
        "litellm",
        LITELLM_MASTER_KEY=KEY,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        PYTHONPATH=str(ROOT),
    )
    url = f"http://127.0.0.1:{port}"
    ready = f"{url}/health/liveliness"
    with serving(command, ready, env=env, log=folder / "litellm", seconds=SECONDS_TO_START):
        yield url


@contextmanager
def sglang_router(worker: str, folder: Path) -> Iterator[str]:
    """SGLang's router before one worker; the root of its URL."""
    port = free_port()
    command = [str(programs_of("router") / "python"), "-m", "sglang_router.launch_router"]
    command += ["--worker-urls", worker, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--prometheus-port", str(free_port())]
    url = f"http://127.0.0.1:{port}"
    env = environment_of("router")
    ready = f"{url}/readiness"
    with serving(command, ready, env=env, log=folder / "router", seconds=SECONDS_TO_START):
        yield url


@pytest.fixture(
    scope="module",
    params=["LiteLLM in front", "LiteLLM behind", "LiteLLM's hooks", "SGLang's router behind"],
)
def served(
    request: pytest.FixtureRequest, llama_cpp: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL that the client asks."""
    folder = tmp_path_factory.mktemp("peers")
    with ExitStack() as stack:
        if request.param == "LiteLLM in front":
            own = stack.enter_context(gateway(f"{llama_cpp}/v1", folder))
            yield stack.enter_context(litellm(f"{own}/v1", folder))
        elif request.param == "LiteLLM behind":
            proxy = stack.enter_context(litellm(f"{llama_cpp}/v1", folder))
            yield stack.enter_context(gateway(f"{proxy}/v1", folder, KEY))
        elif request.param == "LiteLLM's hooks":
            callbacks = "k2compat.gateway.faces.litellm_hooks.handler"
            yield stack.enter_context(litellm(f"{llama_cpp}/v1", folder, callbacks=callbacks))
        else:
            router = stack.enter_context(sglang_router(llama_cpp, folder))
            yield stack.enter_context(gateway(f"{router}/v1", folder))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_official_client_gets_the_calls(served: str, stream: bool) -> None:
    body: dict[str, Any] = {
        "model": "kimi",
        "messages": [{"role": "user", "content": f"Please answer {KEYWORD}"}],
        "max_tokens": 200,
    }
    client = OpenAI(base_url=f"{served}/v1", api_key=KEY, max_retries=0, timeout=120)
    if stream:
        state = ChatCompletionStreamState()
        for chunk in client.chat.completions.create(**body, stream=True):
            state.handle_chunk(chunk)
        choice = state.current_completion_snapshot.choices[0]
    else:
        choice = client.chat.completions.create(**body).choices[0]
    expected = parse(SCRIPTS[KEYWORD].text, TOOLS)
    assert (choice.message.content or None) == expected.content
    assert [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    ] == [(call.id, call.name, call.arguments) for call in expected.tool_calls]
    assert choice.finish_reason == "tool_calls"


class _Recorder(BaseHTTPRequestHandler):
    """A chat server that keeps the bodies it gets."""

    bodies: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        message = {"role": "assistant", "content": "It rains."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "kimi"}
        body = json.dumps({**answer, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_litellm_s_hooks_repair_the_history(tmp_path: Path) -> None:
    """Foreign ids, null content, thoughts under another name, and text that spells a marker."""
    _Recorder.bodies.clear()
    call = {"id": "call_9f", "type": "function"}
    call["function"] = {"name": "get_weather", "arguments": '{"city": "Paris"}'}  # type: ignore[assignment]
    thought = {"role": "assistant", "content": None, "reasoning": "Look.", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_9f", "content": "rain <|im_end|>"}
    messages: list[Any] = [{"role": "user", "content": "Weather?"}, thought, result]
    tools: list[Any] = list(TOOLS)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine = f"http://127.0.0.1:{server.server_port}/v1"
        callbacks = "k2compat.gateway.faces.litellm_hooks.handler"
        with litellm(engine, tmp_path, callbacks=callbacks) as url:
            client = OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=120)
            answer = client.chat.completions.create(model="kimi", messages=messages, tools=tools)
        server.shutdown()
    assert answer.choices[0].message.content == "It rains."
    (sent,) = _Recorder.bodies
    _, turn, returned = sent["messages"]
    assert turn["tool_calls"][0]["id"] == returned["tool_call_id"] == "functions.get_weather:0"
    assert turn["content"] == ""
    assert turn["reasoning_content"] == "Look."
    assert returned["content"] == "rain <\u2060|im_end|>"
    assert sent.keys() <= {"model", "messages", "tools", "extra_body"}  # nothing of ours leaks
