"""Where faulty servers are listed, and what several of them share."""

from collections.abc import Callable
from dataclasses import replace

from tests.endpoint.standin import Json, Reply, Server

ZOO: dict[str, tuple[type[Server], str]] = {}
"""By name: the server, and the code of its only cause."""


def fault(code: str) -> Callable[[type[Server]], type[Server]]:
    """List a server with the code of its fault."""

    def add(server: type[Server]) -> type[Server]:
        ZOO[server.__name__] = (server, code)
        return server

    return add


def as_content(reply: Reply, text: str) -> Reply:
    """A reply whose calls became text."""
    reason = "stop" if reply.reason == "tool_calls" else reply.reason
    return replace(reply, content=text, calls=(), reason=reason)


def forced(body: Json) -> bool:
    """Whether a request forces a call."""
    return body.get("tool_choice") == "required" or isinstance(body.get("tool_choice"), dict)
