"""Every test of the gateway is a test of its secrets too."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from k2compat.gateway import answers
from k2compat.gateway.record import LOGGER
from tests.gateway.servers import SERVED
from tests.gateway.support import CANARIES

# The modules that write errors for clients.
_WRITERS = (
    "k2compat.gateway.exchange",
    "k2compat.gateway.http.replies",
    "k2compat.gateway.faces.asgi",
)


@pytest.fixture(autouse=True)
def nothing_secret_is_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test after which a canary is in the log, the metrics or an error of the gateway."""
    caplog.set_level(logging.INFO, LOGGER.name)
    shown: list[str] = []

    def error_body(*arguments: Any) -> Any:
        body = answers.error_body(*arguments)
        shown.append(str(body))
        return body

    for writer in _WRITERS:
        monkeypatch.setattr(f"{writer}.error_body", error_body)
    SERVED.clear()
    yield
    shown += [record.getMessage() for record in caplog.get_records("call") if is_ours(record)]
    shown += [served._metrics.text().decode() for served in SERVED]
    assert [canary for canary in CANARIES if any(canary in text for text in shown)] == []


def is_ours(record: logging.LogRecord) -> bool:
    """Whether the gateway wrote a record; asyncio writes for it, about tasks that failed."""
    return record.name.startswith(("k2compat", "asyncio"))
