"""Requests are counted together, and none is missing in the text."""

import pytest

from k2compat.gateway.http.metrics import Metrics
from k2compat.gateway.record import Record


@pytest.mark.parametrize("count", [1, 63, 64, 200])
def test_every_request_is_in_the_text(count: int) -> None:
    metrics = Metrics(lambda: 0)
    for number in range(1, count + 1):
        metrics.count(Record(str(number), "chat", 0.0, status=200, calls=2))
    text = metrics.text().decode()
    assert f'k2compat_requests_total{{route="chat",status="200"}} {float(count)}' in text
    assert f"k2compat_tool_calls_total {float(2 * count)}" in text
    assert metrics.text().decode() == text
