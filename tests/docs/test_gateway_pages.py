"""The gateway's pages: their servers asked by OpenAI's own client, their files read."""

import asyncio
import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import yaml
from openai import AsyncOpenAI, BadRequestError
from openai.lib.streaming.chat import ChatCompletionStreamState

from k2compat.gateway import STEPS
from k2compat.gateway.settings import PREFIX, read_settings
from tests.support.documentation import ROOT, examples_of, run_python

DOCS = ROOT / "docs"


async def ask(app: Any, *, stream: bool, messages: Any = ()) -> Any:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport) as http:
        client = AsyncOpenAI(base_url="http://x/v1", api_key="k", http_client=http, max_retries=0)
        if not stream:
            made = await client.chat.completions.create(model="k", messages=messages)
            return made.choices[0]
        state = ChatCompletionStreamState()
        chunks = await client.chat.completions.create(model="k", messages=messages, stream=True)
        async for chunk in chunks:
            state.handle_chunk(chunk)
        return state.current_completion_snapshot.choices[0]


@pytest.mark.parametrize("stream", [False, True])
def test_the_library_s_server_answers_with_the_call(stream: bool) -> None:
    app = run_python(DOCS / "gateway-library.md")["app"]
    choice = asyncio.run(ask(app, stream=stream, messages=[]))
    assert choice.message.content == "Let me look."
    assert choice.message.tool_calls[0].id == "functions.weather:0"
    with pytest.raises(BadRequestError, match="messages must be a list"):
        asyncio.run(ask(app, stream=stream, messages=1))


@pytest.mark.parametrize("stream", [False, True])
def test_the_middleware_s_application_answers_with_the_call(stream: bool) -> None:
    app = run_python(DOCS / "gateway-asgi.md")["asgi_app"]
    choice = asyncio.run(ask(app, stream=stream, messages=[]))
    assert choice.message.tool_calls[0].id == "functions.weather:0"
    assert choice.finish_reason == "tool_calls"


def test_every_step_is_explained_in_its_order() -> None:
    page = (DOCS / "gateway-changes.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert rows == [step.name for step in STEPS]


def test_the_compose_file_s_variables_are_settings() -> None:
    (example,) = examples_of(DOCS / "gateway.md", "yaml")
    service = yaml.safe_load(example.text)["services"]["gateway"]
    settings = read_settings({}, service["environment"], None)
    assert settings.upstream == "http://engine:8000/v1"
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.grace


def test_the_compose_file_is_valid() -> None:
    """By the Compose Specification's schema, which refuses unknown members."""
    schema = ROOT / "tests" / "launch" / "render" / "schemas" / "compose.json"
    validator = jsonschema_rs.Draft202012Validator(json.loads(schema.read_text("utf-8")))
    (example,) = examples_of(DOCS / "gateway.md", "yaml")
    validator.validate(yaml.safe_load(example.text))
    assert not validator.is_valid(yaml.safe_load(example.text.replace("ports:", "port:")))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    (example,) = examples_of(DOCS / "gateway.md", "ini")
    program = shutil.which("true")
    # systemd looks whether the program is there.
    text = example.text.replace("/opt/k2compat/bin/k2compat", str(program))

    def verify(unit: str) -> "subprocess.CompletedProcess[str]":
        path = tmp_path / "k2compat-serve.service"
        path.write_text(unit)
        command = ["systemd-analyze", "verify", "--man=no", str(path)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    done = verify(text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Unknown key" in verify(text.replace("TimeoutStopSec", "TimeoutStop")).stderr


def test_the_unit_gives_streams_their_time() -> None:
    (example,) = examples_of(DOCS / "gateway.md", "ini")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string(example.text)
    name, _, _ = unit["Service"]["Environment"].partition("=")
    environment = {f"{PREFIX}UPSTREAM": "http://a/v1", name: "x"}
    settings = read_settings({}, environment, None)
    assert settings.upstream_key_file == "x"
    assert int(unit["Service"]["TimeoutStopSec"]) > settings.grace
