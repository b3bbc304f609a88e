"""The log's lines of requests, written together a few times a second."""

import asyncio
import logging
from typing import Final

from k2compat.gateway.record import LOGGER, Record, line_of, log_lines

_DELAY: Final = 0.1
"""Seconds that a line waits for others."""


class RequestLog:
    """Collects the lines of requests that have ended.

    A line of its own costs a request about 30 µs: a logging record, the walk through the handlers,
    and a system call. Lines that are written together share them.
    """

    def __init__(self) -> None:
        """Begin without lines."""
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, record: Record) -> None:
        """Add a request's line, where the logger takes such lines."""
        if not LOGGER.isEnabledFor(logging.INFO):
            return
        self._lines.append(line_of("request", "info", record.members()))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            log_lines(lines)
