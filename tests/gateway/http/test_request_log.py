"""The lines of requests, written together."""

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from k2compat.gateway.http.request_log import RequestLog
from k2compat.gateway.record import LOGGER, Record


def test_lines_that_come_together_are_one_record_of_the_logger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def session() -> None:
        log = RequestLog()
        for number in range(3):
            log.add(Record(str(number), "chat", 0.0))
        assert not caplog.records
        await asyncio.sleep(0.2)
        log.flush()  # nothing is left

    asyncio.run(session())
    (record,) = [each for each in caplog.records if each.name == LOGGER.name]
    lines = [json.loads(line) for line in record.getMessage().splitlines()]
    assert [line["id"] for line in lines] == ["0", "1", "2"]
    assert {line["event"] for line in lines} == {"request"}


def test_a_line_has_the_time_at_which_its_request_ended(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.now(UTC)

    async def session() -> None:
        log = RequestLog()
        log.add(Record("earlier", "chat", time.monotonic() - 5, seconds=2))
        log.flush()

    asyncio.run(session())
    written = datetime.fromisoformat(json.loads(caplog.messages[0])["time"])
    assert abs(written - (now - timedelta(seconds=3))) < timedelta(seconds=1)


def test_a_gateway_that_stops_writes_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def session() -> None:
        log = RequestLog()
        log.add(Record("last", "chat", 0.0))
        log.flush()
        assert "last" in caplog.text

    asyncio.run(session())


def test_a_logger_that_is_off_gets_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER.name)
    log = RequestLog()
    log.add(Record("unseen", "chat", 0.0))
    log.flush()
    assert not caplog.records
