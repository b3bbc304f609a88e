"""k2compat check-endpoint, and serve --check, as their users run them."""

import asyncio
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k2compat.cli.output import Output
from tests.endpoint.faulty.prompts import MarkersAct
from tests.endpoint.faulty.texts import NoParser
from tests.endpoint.serving import serving
from tests.endpoint.standin import Server
from tests.endpoint.test_client import KEY, Keyed
from tests.support.command import Result
from tests.support.talking_models import talking_model

Command = Callable[..., Result]


@contextmanager
def running(server: Server) -> Iterator[str]:
    """A stand-in server in a thread of its own; its base URL."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(server) as url:
            started.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def test_a_sound_server_ends_with_0(command: Command) -> None:
    with running(Server()) as url:
        done = command("check-endpoint", url)
    assert (done.code, done.words) == (0, "")
    assert b"40 requests, " in done.out
    assert done.out.endswith(b"Right: every check passed.\n")


def test_a_faulty_server_ends_with_1_and_its_cause(command: Command) -> None:
    with running(NoParser()) as url:
        done = command("check-endpoint", url.removesuffix("/v1"))
    assert done.code == 1
    first, *rest = done.words.splitlines()
    assert first.startswith("error: ")
    assert first.endswith("[markers-leaked]")
    assert "  because: markers-leaked" in rest


def test_the_document_holds_causes_and_what_follows(command: Command) -> None:
    with running(NoParser()) as url:
        document = command("check-endpoint", url, "--json", "--format", "markdown").document
    assert document["schema"] == "k2compat.check-endpoint/1"
    assert document["calls_asked"] == 19
    cause, *others = document["findings"]
    assert "because" not in cause
    assert {other["because"] for other in others} == {"markers-leaked"}


def test_the_table_is_the_whole_answer(command: Command) -> None:
    with running(NoParser()) as url:
        done = command("check-endpoint", url, "--format", "markdown")
    assert (done.code, done.words) == (1, "")
    assert "| error | `markers-leaked` |" in done.out.decode()


def test_the_gateways_part_is_named(command: Command) -> None:
    with running(MarkersAct()) as url:
        plain = command("check-endpoint", url, "--through-gateway")
        served = command("serve", "--upstream", url, "--check")
        skipping = command("serve", "--upstream", url, "--check", "--marker-text", "pass")
    line = b"Through k2compat serve: marker-text-acts is gone (step marker-text).\n"
    assert line in plain.out
    assert line in served.out
    assert b"marker-text-acts stays" in skipping.out


def test_a_key_comes_from_a_file(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    with running(Keyed()) as url:
        assert command("check-endpoint", url, "--key-file", path).code == 0
        refused = command("check-endpoint", url)
        served = command("serve", "--upstream", url, "--check", "--upstream-key-file", path)
    assert refused.code == 2
    assert "[endpoint-key-refused]" in refused.words
    assert served.code == 0


def test_a_folder_counts_prompts_exactly(command: Command) -> None:
    folder = talking_model(tokenizer="tiktoken")
    with running(Server()) as url:
        document = command("check-endpoint", url, "--folder", folder, "--json").document
    (finding,) = document["findings"]
    assert finding["code"] == "prompt-tokens-differ"


def test_schemas_and_deep_checks_are_more_requests(command: Command) -> None:
    with running(Server()) as url:
        arguments = ("--deep", "--schemas", "--budget", 10**7, "--json")
        document = command("check-endpoint", url, *arguments).document
    assert document["findings"] == []
    assert document["requests"] > 180
    assert document["schema_cases"]["value"] == 1.0


def test_samples_give_moonshots_figures(command: Command, tmp_path: Path) -> None:
    samples, baseline = tmp_path / "samples.jsonl", tmp_path / "results.jsonl"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    lines: list[Any] = [
        {
            "messages": [{"role": "user", "content": content}],
            "tools": [tool],
            "max_tokens": 99,
        }
        for content in ("f {}", "no call", "f {}")
    ]
    samples.write_text("\n".join(map(json.dumps, lines)))
    official = [
        {"data_index": number, "finish_reason": "tool_calls", "status": "success"}
        for number in (1, 2, 3)
    ]
    baseline.write_text("\n".join(map(json.dumps, official)))
    with running(Server()) as url:
        done = command("check-endpoint", url, "--samples", samples, "--baseline", baseline)
        alone = command("check-endpoint", url, "--samples", samples)
    assert done.code == 0
    assert b"Samples answered: 3.\nTrigger similarity: 80.0%" in done.out
    assert b"Schema accuracy: 100.0%" in done.out
    assert alone.code == 2
    assert "go together" in alone.words


def test_a_dry_run_sends_nothing(command: Command) -> None:
    done = command("check-endpoint", "http://127.0.0.1:9", "--dry-run")
    assert done.code == 0
    assert b"none was sent" in done.out
    document = command("check-endpoint", "http://127.0.0.1:9", "--dry-run", "--json").document
    assert document["requests"][0]["body"]["temperature"] == 0


@pytest.mark.parametrize("columns", [40, 80])
def test_a_dry_run_fits_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(Output, "width", columns)
    done = command("check-endpoint", "http://127.0.0.1:9", "--dry-run")
    *lines, _total = done.out.decode().splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("plain.whole ")


def test_a_dry_run_in_markdown_is_a_table(command: Command) -> None:
    done = command("check-endpoint", "http://127.0.0.1:9", "--dry-run", "--format", "markdown")
    head, line, first, *_ = done.out.decode().splitlines()
    assert head == "| request | tokens | purpose |"
    assert line == "| --- | ---: | --- |"
    assert first.startswith("| `plain.whole` | ")
    assert b"\n\n40 requests to" in done.out


def test_where_nothing_listens_it_ends_with_2(command: Command) -> None:
    done = command("check-endpoint", "http://127.0.0.1:9")
    assert done.code == 2
    assert "[endpoint-unreachable]" in done.words


def test_without_the_extra_it_says_what_to_install(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    done = command("check-endpoint", "http://127.0.0.1:9")
    assert done.code == 2
    assert "pip install 'k2compat[serve]'" in done.words
