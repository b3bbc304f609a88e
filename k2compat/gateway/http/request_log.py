"""The log's lines of requests, written together a few times a second."""

import asyncio
import logging
import time
from typing import Final

from k2compat.gateway.record import LOGGER, Record, line_of, log_lines

_DELAY: Final = 0.1
"""Seconds that a line waits for others."""


class RequestLog:
    """Collects the lines of requests that have ended.

    A line of its own costs a request about 30 µs: a logging record, the walk through the handlers,
    and a system call. Lines that are written together share them, and the code that makes the text
    of many is in the processor's cache for all but the first.
    """

    def __init__(self) -> None:
        """Begin without records."""
        self._records: list[Record] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, record: Record) -> None:
        """Add a request's line, where the logger takes such lines."""
        if not LOGGER.isEnabledFor(logging.INFO):
            return
        self._records.append(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._records = self._records, []
        if records:
            log_lines(_lines(records))


def _lines(records: list[Record]) -> list[bytes]:
    clock = time.time() - time.monotonic()
    return [
        line_of("request", "info", record.members(), clock + record.started + record.seconds)
        for record in records
    ]
