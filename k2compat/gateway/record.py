"""What is known of one request: the line in the log, and what the metrics count.

It holds codes, counts and times. It has no place for a key, a prompt or an argument.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from k2compat.gateway.draft import Note
from k2compat.gateway.json_text import encode

LOGGER: Final = logging.getLogger("k2compat.gateway")

_TOKENS: Final = ("prompt_tokens", "completion_tokens")


@dataclass(slots=True)
class Record:
    """One request.

    Attributes:
        request_id: its X-Request-Id.
        route: which route it took: chat, models, ready, health, metrics or other.
        started: when it began, in seconds of a monotonic clock.
        status: the status of the answer; 499 where the client left before.
        streams: whether the client wants a stream.
        steps: what the request steps did, by code.
        problems: what was found in the answer, by code.
        error: the code of the error that ended it.
        tokens: the upstream's token counts.
        calls: how many calls the answer holds.
        first_byte: seconds until the answer's first byte, or None.
        seconds: seconds until its end.
    """

    request_id: str
    route: str
    started: float
    status: int = 499
    streams: bool = False
    steps: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    first_byte: float | None = None
    seconds: float = 0.0

    def take_notes(self, notes: tuple[Note, ...]) -> None:
        """Take what the request steps did."""
        self.steps = {note.code: note.count for note in notes}

    def take_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Take the token counts, and nothing else of the usage object."""
        if usage is None:
            return
        counts = {kind: usage.get(kind) for kind in _TOKENS}
        self.tokens = {
            kind: count for kind, count in counts.items() if type(count) is int and count >= 0
        }

    def members(self) -> dict[str, object]:
        """The members of its line."""
        return {
            "id": self.request_id,
            "route": self.route,
            "status": self.status,
            "stream": self.streams,
            "steps": self.steps,
            "problems": self.problems,
            "error": self.error,
            **self.tokens,
            "calls": self.calls,
            "first_byte_ms": None if self.first_byte is None else round(self.first_byte * 1000, 1),
            "total_ms": round(self.seconds * 1000, 1),
        }


def log(event: str, level: int = logging.INFO, /, **members: object) -> None:
    """Write one line of JSON.

    Args:
        event: what happened.
        level: a level of `logging`.
        **members: codes, counts, times and names from the settings; never text of a request.
    """
    if LOGGER.isEnabledFor(level):
        line = line_of(event, logging.getLevelName(level).lower(), members, time.time())
        log_lines([line], level)


def line_of(event: str, level: str, members: dict[str, object], at: float) -> bytes:
    """One line of JSON.

    Args:
        event: what happened.
        level: the level in small letters.
        members: as for `log`.
        at: when it happened, in seconds since 1970.
    """
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return encode({"time": moment, "level": level, "event": event, **members})


def log_lines(lines: list[bytes], level: int = logging.INFO) -> None:
    """Write lines of JSON as one record of `logging`; the caller has checked the level."""
    text = b"\n".join(lines).decode()
    # Made here, the record costs half: `log` walks the stack to find its caller.
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, level, __name__, 0, text, (), None))
