"""The demo's last part: a server that leaks markers, the gateway, and a client's answer."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WHY = "A server leaks the call into the content; the same question through the gateway."
ARGUMENTS = ("serve", "--upstream", "URL", "--folder", "FOLDER", "--listen", "127.0.0.1:0")

QUESTION = "Weather in Paris? Please answer @weather"
"""The last word chooses the script of the talking model."""

_SECONDS = 30


def ask_through_gateway(model: Path, gguf: Path) -> tuple[tuple[str, ...], int, str, str]:
    """Run the server, the gateway and the client.

    Args:
        model: The talking model's folder, from which the gateway has the ids of its markers.
        gguf: The same model, which llama.cpp serves where it is installed.

    Returns:
        The words after `k2compat` on the gateway's command line, its exit status, the client's
        answers without it and with it, and the gateway's log.
    """
    with _leaking_upstream(gguf) as upstream:
        filled_in = {"URL": upstream, "FOLDER": model.name}
        arguments = tuple(filled_in.get(word, word) for word in ARGUMENTS)
        with subprocess.Popen(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "k2compat", *arguments],
            cwd=model.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stderr is not None  # noqa: S101 - a pipe, by the line above
            first = process.stderr.readline()
            shown = ""
            try:
                address = json.loads(first)["address"]
                shown = f"without: {_asked(upstream)}\nthrough: {_asked(f'http://{address}/v1')}\n"
            except (ValueError, KeyError, OSError):
                pass  # the log, which follows, holds the reason
            if first.startswith("{"):  # it serves; otherwise it has ended, or is about to
                process.terminate()
            _, rest = process.communicate(timeout=_SECONDS)
    return arguments, process.returncode, shown, first if not shown else first + rest


@contextmanager
def _leaking_upstream(gguf: Path) -> Iterator[str]:
    """The base URL of a server that leaks: llama.cpp asked without tools, or a stand-in."""
    from k2compat.samples.leaking_server import leaking_server
    from k2compat.samples.llama_server import llama_cpp_is_installed, llama_server

    if llama_cpp_is_installed():
        with llama_server(gguf) as address:
            yield f"{address}/v1"
    else:
        with leaking_server() as url:
            yield url


def _asked(url: str) -> str:
    """The message that a client gets, as JSON."""
    body = {"model": "kimi-k2", "messages": [{"role": "user", "content": QUESTION}]}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
        answer: Any = json.load(response)
    return json.dumps(answer["choices"][0]["message"], ensure_ascii=False)
