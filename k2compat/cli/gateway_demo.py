"""The demo's last part: a server that leaks, the gateway before it, and a client's answer."""

import json
import subprocess
import sys
import urllib.request
from typing import Any

WHY = "A server leaks the call into the content; the same question through the gateway."
ARGUMENTS = ("serve", "--upstream", "URL", "--listen", "127.0.0.1:0")

_SECONDS = 30


def ask_through_gateway() -> tuple[tuple[str, ...], int, str, str]:
    """Run the server, the gateway and the client.

    Returns:
        What follows `k2compat` on the gateway's command line, its exit status, what the client
        got without it and with it, and the gateway's log.
    """
    from k2compat.samples.leaking_server import leaking_server

    with leaking_server() as upstream:
        arguments = tuple(upstream if word == "URL" else word for word in ARGUMENTS)
        with subprocess.Popen(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "k2compat", *arguments],
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


def _asked(url: str) -> str:
    """The message that a client gets, as JSON."""
    body = {"model": "kimi-k2", "messages": [{"role": "user", "content": "Weather in Beijing?"}]}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
        answer: Any = json.load(response)
    return json.dumps(answer["choices"][0]["message"], ensure_ascii=False)
