"""The target of requests (the base URL, the key, the model), and the recorded run."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from k2compat.endpoint.reading.answer import Recording
from k2compat.endpoint.reading.whole import objects
from k2compat.errors import RefusedError
from k2compat.printable import counted
from k2compat.shell_line import shell_line

MODELS: Final = "/models"
_EXTRA: Final = "aiohttp"
_HOST_AND_PORT: Final = r"[\w.-]+:[0-9]+(/[\w./-]*)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where and how requests are sent.

    Attributes:
        base: the base URL, as `base_url` returns it.
        model: the model's name; None asks the endpoint.
        key: the key to send, or None.
        timeout: seconds for one answer.
        parallel: how many requests are open at the same time.
        budget: how many tokens may be used.
    """

    base: str
    model: str | None = None
    key: str | None = None
    timeout: float = 180.0
    parallel: int = 4
    budget: int = 100_000


@dataclass(frozen=True, slots=True)
class Run:
    """The recorded run.

    Attributes:
        model: the model's name.
        models: the decoded answer to GET /models; None where it is no JSON.
        recordings: by the requests' names.
        skipped: the requests that the budget left out.
        sent: how many HTTP requests were sent.
        seconds: how long it took.
    """

    model: str
    models: Any
    recordings: Mapping[str, Recording]
    skipped: tuple[str, ...]
    sent: int
    seconds: float


def refuse_without_extra() -> None:
    """Check that aiohttp is installed.

    Raises:
        RefusedError: endpoint-not-installed; the hint installs it.
    """
    if importlib.util.find_spec(_EXTRA) is None:
        raise RefusedError(
            "endpoint-not-installed",
            "k2compat check-endpoint needs aiohttp, which the extra serve brings.",
            hint="pip install 'k2compat[serve]'",
        )


def base_url(url: str) -> str:
    """The URL to which the API's paths are appended; a URL without a path gets /v1.

    Raises:
        RefusedError: endpoint-url, it is no plain URL over HTTP.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused(url) from None
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not host or not is_plain:
        raise _refused(url)
    trimmed = url.rstrip("/")
    return trimmed if urlsplit(trimmed).path else f"{trimmed}/v1"


def _refused(url: str) -> RefusedError:
    # A URL may hold a password, so the message does not quote it.
    shown = "URL" if "@" in url else repr(url)
    is_host = re.fullmatch(_HOST_AND_PORT, url)
    example = f"http://{url}" if is_host else "http://127.0.0.1:8000/v1"
    return RefusedError(
        "endpoint-url",
        f"{shown} is not the base URL of an API over HTTP.",
        hint=shell_line("k2compat", "check-endpoint", example),
    )


def read_key(path: Path) -> str:
    """The key in a file: its first line that is neither empty nor a comment.

    Raises:
        RefusedError: endpoint-key-refused, the file cannot be read or holds no key.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII text"
        raise _no_key(f"The key file {path} cannot be read: {reason}.") from None
    keys = [key for line in lines if (key := line.strip()) and not key.startswith("#")]
    if not keys or not keys[0].isprintable() or " " in keys[0]:
        raise _no_key(f"The key file {path} holds no key that a header can hold.")
    return keys[0]


def _no_key(message: str) -> RefusedError:
    return RefusedError("endpoint-key-refused", message, hint="Write one key into the file.")


def model_of(models: Any, base: str) -> str:
    """The only model that an endpoint serves.

    Args:
        models: the decoded answer to GET /models, of any shape.
        base: the endpoint's base URL, for the message.

    Raises:
        RefusedError: endpoint-model-unknown, there are none or several.
    """
    data = objects(models.get("data")) if isinstance(models, dict) else []
    names = [model["id"] for model in data if isinstance(model.get("id"), str)]
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise RefusedError(
            "endpoint-model-unknown",
            f"{base}{MODELS} names no model.",
            hint="If URL is right, name the model: --model NAME",
        )
    listed = ", ".join(names[:10])
    raise RefusedError(
        "endpoint-model-unknown",
        f"{base} serves {counted(len(names), 'model')}: {listed}.",
        hint=f"Name one: {shell_line('--model', names[0])}",
    )
