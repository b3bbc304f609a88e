"""k2compat serve as a process, and what it refuses before a socket opens."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k2compat.samples.leaking_server import leaking_server
from k2compat.samples.model_output import raw_output
from k2compat.toolcalls import parse
from tests.support.command import ENVIRONMENT, PROGRAM, Result

URL = "http://127.0.0.1:9/v1"
Command = Callable[..., Result]


@pytest.fixture
def upstream() -> Iterator[str]:
    with leaking_server() as url:
        yield url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_with_0(upstream: str, number: int) -> None:
    command = [PROGRAM, "serve", "--upstream", upstream, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    ) as process:
        assert process.stderr is not None
        lines = [json.loads(process.stderr.readline()) for _ in range(2)]
        assert [line["event"] for line in lines] == ["listening", "ready"]
        request = urllib.request.Request(
            f"http://{lines[0]['address']}/v1/chat/completions",
            json.dumps({"model": "k", "messages": []}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            (choice,) = json.load(response)["choices"]
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    written = parse(raw_output())
    assert choice["message"]["content"] == written.content
    assert [call["id"] for call in choice["message"]["tool_calls"]] == [
        call.id for call in written.tool_calls
    ]
    assert (process.returncode, out) == (0, "")
    lines += [json.loads(line) for line in err.splitlines()]
    assert {"request", "stopping", "stopped"} <= {line["event"] for line in lines}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--upstream is missing"),
        (("--upstream", "x"), "--upstream from the command line must be a URL"),
        (("--upstream", URL, "--listen", "0.0.0.0:0"), "lets other machines in without a key"),
        (("--upstream", URL, "--key-file", "no-such-file"), "cannot be read"),
        (("--upstream", URL, "--folder", "no-such-folder"), "is no folder"),
        (("--upstream", URL, "--config", "no-such-file"), "cannot be read"),
        (("--upstream", URL, "--skip", "nothing"), "is not one of"),
        (("--upstream", URL, "--gap-timeout", "soon"), "is not a valid float"),
    ],
)
def test_what_is_wrong_ends_with_2_before_a_socket_opens(
    command: Command, arguments: tuple[str, ...], words: str
) -> None:
    done = command("serve", *arguments)
    assert (done.code, done.out) == (2, b"")
    assert words in done.words


def test_the_settings_can_be_checked_and_kept(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('grace = 7\nskip = ["roles"]\n')
    flags = ("serve", "--upstream", URL, "--check-config")
    shown = command(*flags, "--config", config)
    assert shown.code == 0
    assert b"\ngrace = 7.0\n" in shown.out
    kept = tmp_path / "kept.toml"
    kept.write_bytes(shown.out)
    assert command("serve", "--check-config", "--config", kept).out == shown.out
    document = command(*flags, "--json").document
    assert document["settings"]["upstream"] == URL


def test_a_variable_names_the_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serve.toml").write_text(f'upstream = "{URL}"\n')
    monkeypatch.setenv("K2COMPAT_SERVE_CONFIG", str(tmp_path / "serve.toml"))
    monkeypatch.setenv("K2COMPAT_SERVE_UPSTREAM_KEY", "secret")
    shown = command("serve", "--check-config")
    assert re.search(rb"^# upstream_key \(set\)$", shown.out, re.MULTILINE)
    assert b"secret" not in shown.out


def test_without_the_extra_it_says_what_to_install(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> Any:
        return None if name == "prometheus_client" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    done = command("serve", "--upstream", URL)
    assert done.code == 2
    assert "needs prometheus_client" in done.words
    assert "pip install 'k2compat[serve]'" in done.words


def test_the_environment_of_the_tests_sets_nothing() -> None:
    assert not [name for name in os.environ if name.startswith("K2COMPAT_SERVE_")]
