"""The settings of `k2compat serve`: flags override variables, and variables override a file."""

import difflib
import importlib.util
import ipaddress
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from k2compat.errors import RefusedError
from k2compat.gateway.dialects import Engine
from k2compat.gateway.options import (
    MarkerTextOption,
    ReasoningOption,
    TokenIdsOption,
)
from k2compat.gateway.request import STEP_NAMES
from k2compat.toolcalls.chat import ReasoningField

PREFIX: Final = "K2COMPAT_SERVE_"
"""The prefix of the names of environment variables."""

_NEEDED: Final = ("aiohttp", "prometheus_client")
_MIB: Final = 1024 * 1024
_UNITS: Final = {"": 1, "kib": 1024, "mib": _MIB, "gib": 1024 * _MIB}
_SIZE: Final = re.compile(r"([0-9]{1,12})\s*([KMG]iB)?", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings. The names are those of the flags, with `_` for `-`.

    Attributes:
        upstream: the base URL of the upstream's API, such as http://node7:8000/v1.
        model: the model's name upstream; None keeps the client's.
        listen: address and port to listen on.
        engine: the upstream's dialect; "auto" asks GET /v1/models.
        reasoning: how the model writes its thoughts.
        folder: a model folder, for the markers' token ids and the model's version.
        skip: request steps that are not taken.
        marker_text: what happens to text that spells a marker.
        recover_stripped: whether calls without markers at the end of the content are calls.
        token_ids: whether the server is asked for token ids.
        reasoning_field: the field of the answer that holds the thoughts.
        remember_thoughts: bytes of thoughts that are kept for clients that drop them; 0 is none.
        key_file: a file with the keys that clients may use, one a line.
        upstream_key_file: a file with the key for the upstream.
        upstream_key: the same key from a variable; never a flag and never in a file.
        open: whether a listener that other machines reach may go without keys.
        connect_timeout: seconds to connect to the upstream.
        header_timeout: seconds in which a client sends its request's headers.
        body_timeout: seconds in which a client sends its request's body.
        first_byte_timeout: seconds until the upstream sends the answer's first byte.
        gap_timeout: seconds between two pieces of the upstream's answer.
        heartbeat: seconds between comments in a stream that is silent; 0 sends none.
        grace: seconds that streams have to finish after SIGTERM.
        body_limit: the largest request body, in bytes.
        event_limit: the largest server-sent event from the upstream, in bytes.
        answer_limit: the largest answer from the upstream, in bytes.
        max_streams: how many requests are served at the same time.
    """

    upstream: str
    model: str | None = None
    listen: str = "127.0.0.1:8100"
    engine: Engine | Literal["auto"] = "auto"
    reasoning: ReasoningOption = "auto"
    folder: str | None = None
    skip: tuple[str, ...] = ()
    marker_text: MarkerTextOption = "escape"
    recover_stripped: bool = False
    token_ids: TokenIdsOption = "auto"
    reasoning_field: ReasoningField = "reasoning_content"
    remember_thoughts: int = 0
    key_file: str | None = None
    upstream_key_file: str | None = None
    upstream_key: str | None = None
    open: bool = False
    connect_timeout: float = 10.0
    header_timeout: float = 30.0
    body_timeout: float = 60.0
    first_byte_timeout: float = 600.0
    gap_timeout: float = 300.0
    heartbeat: float = 15.0
    grace: float = 300.0
    body_limit: int = 32 * _MIB
    event_limit: int = 8 * _MIB
    answer_limit: int = 256 * _MIB
    max_streams: int = 1000

    def shown(self) -> dict[str, Any]:
        """The settings without the key, for --check-config."""
        values = msgspec.to_builtins(self)
        values["upstream_key"] = None if self.upstream_key is None else "(set)"
        return dict(values)


SIZES: Final = ("remember_thoughts", "body_limit", "event_limit", "answer_limit")
_SECONDS: Final = (
    "connect_timeout",
    "header_timeout",
    "body_timeout",
    "first_byte_timeout",
    "gap_timeout",
    "heartbeat",
    "grace",
)
_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
_ONLY_A_VARIABLE: Final = "upstream_key"


def read_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None
) -> Settings:
    """Put the settings together.

    Args:
        flags: the values of the flags that were given.
        environment: the process's variables.
        config: a TOML file whose keys are the flags' names, or None.

    Returns:
        The settings, each checked.

    Raises:
        RefusedError: a value is wrong; the message names where it comes from.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for place, source in (
        (str(config), _of_file(config) if config else {}),
        ("the environment", _of_environment(environment)),
        ("the command line", flags),
    ):
        values |= source
        places |= dict.fromkeys(source, place)
    if "upstream" not in values:
        raise RefusedError(
            "wrong-usage",
            "--upstream is missing: the URL of the server that gets the repaired requests.",
            hint="k2compat serve --upstream http://127.0.0.1:8000/v1",
        )
    for name in SIZES:
        if name in values:
            values[name] = _size(name, values[name], places[name])
    return _checked(values, places)


def refuse_without_extra() -> None:
    """Check that what the server needs is installed.

    Raises:
        RefusedError: it is not; the hint installs it.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RefusedError(
            "serve-not-installed",
            f"k2compat serve needs {' and '.join(missing)}, which the extra serve brings.",
            hint="pip install 'k2compat[serve]'",
        )


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def listen_address(listen: str) -> tuple[str, int]:
    """Address and port of a --listen value.

    Raises:
        ValueError: it is no ADDRESS:PORT.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(listen)
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _of_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}.", _listed(path)) from None
    try:
        values = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise _refused(f"{path} is not a TOML file: {error}.") from None
    for key in values:
        name = key.replace("-", "_")
        if name not in _FIELDS or name == _ONLY_A_VARIABLE:
            near = _near(name).replace("_", "-")
            raise _refused(f"{path} has the key {key!r}, which is no setting{_or_else(near)}.")
    return {key.replace("-", "_"): value for key, value in values.items()}


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, text in environment.items():
        if not key.startswith(PREFIX) or not text:
            continue
        name = key.removeprefix(PREFIX).lower()
        if name == "config":
            continue
        if name not in _FIELDS:
            near = _near(name)
            near = near and PREFIX + near.upper()
            raise _refused(f"The variable {key} names no setting{_or_else(near)}.")
        values[name] = text.replace(",", " ").split() if name == "skip" else text
    return values


def _near(name: str) -> str:
    """The setting whose name is most like this one, or an empty string."""
    known = [field for field in _FIELDS if field != _ONLY_A_VARIABLE]
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


def _or_else(near: str) -> str:
    return f"; {near} is one" if near else ""


def _listed(path: Path | str) -> str:
    return f"ls -l {shlex.quote(str(path))}"


def _size(name: str, value: Any, place: str) -> int:
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise _refused(f"{flag_of(name)} from {place} must be a size such as 32MiB.")
    return int(match[1]) * _UNITS[(match[2] or "").lower()]


def _checked(values: dict[str, Any], places: Mapping[str, str]) -> Settings:
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = re.split(r"\W", path)[0]
        place = places.get(name, "the settings")
        raise _refused(f"{flag_of(name)} from {place}: {reason}.") from None
    for name, problem in _problems(settings):
        place = places.get(name, "the defaults")
        raise _refused(f"{flag_of(name)} from {place} {problem}.")
    return settings


def _problems(settings: Settings) -> list[tuple[str, str]]:
    """The settings whose values have the right type but are not allowed."""
    found = [("upstream", problem) for problem in _url_problems(settings.upstream)]
    found += [
        ("skip", f"names the step {name!r}; the steps are {', '.join(STEP_NAMES)}")
        for name in settings.skip
        if name not in STEP_NAMES
    ]
    found += [
        (name, "must be a number of seconds that is not negative")
        for name in _SECONDS
        if not 0 <= getattr(settings, name) < float("inf")
    ]
    found += [
        (name, "must be at least 1")
        for name in ("max_streams", "body_limit", "event_limit", "answer_limit")
        if getattr(settings, name) < 1
    ]
    try:
        host, _ = listen_address(settings.listen)
    except ValueError:
        return [*found, ("listen", "must be ADDRESS:PORT, such as 127.0.0.1:8100")]
    if not is_loopback(host) and not settings.open and settings.key_file is None:
        found.append(("listen", "lets other machines in without a key: give --key-file, or --open"))
    return found


def _url_problems(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return ["is not a URL"]
    if not valid:
        return ["must be a URL such as http://127.0.0.1:8000/v1"]
    if parts.username is not None or parts.password is not None:
        return ["must not hold a key: other users see the command line. Use --upstream-key-file"]
    if parts.query or parts.fragment:
        return ["must have no query and no fragment"]
    return []


def base_url(upstream: str) -> str:
    """The URL to which the API's paths are appended; a URL without a path gets /v1."""
    trimmed = upstream.rstrip("/")
    return trimmed if urlsplit(trimmed).path else f"{trimmed}/v1"


def _refused(message: str, hint: str = "k2compat serve --help") -> RefusedError:
    return RefusedError("serve-settings", message, hint=hint)


def read_keys(path: str) -> tuple[bytes, ...]:
    """The keys in a file, one a line; lines that begin with # are comments.

    Raises:
        RefusedError: the file cannot be read or holds no key.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise _refused(
            f"The key file {path} cannot be read: {error.strerror}.", _listed(path)
        ) from None
    keys = tuple(key for line in lines if (key := line.strip()) and not key.startswith(b"#"))
    if not keys:
        raise _refused(f"The key file {path} holds no key.", "Write one key a line.")
    if any(not 0x21 <= byte <= 0x7E for key in keys for byte in key):
        raise _refused(f"The key file {path} holds a key with a character that no header can hold.")
    return keys
