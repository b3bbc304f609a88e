"""What the gateway counts, in Prometheus's text format.

Labels hold codes, routes and statuses only: nothing that a client or a model wrote, so that their
number is bounded and no secret can be in them.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from k2compat.gateway.record import Record

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        """Begin at zero, in a registry of its own."""
        self._registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter(
            "k2compat_requests", "Requests by route and status.", ("route", "status"), **make
        )
        self._errors = Counter(
            "k2compat_errors", "Requests that ended in an error of the gateway.", ("code",), **make
        )
        self._steps = Counter(
            "k2compat_steps", "What the request steps found and changed.", ("code",), **make
        )
        self._problems = Counter(
            "k2compat_problems", "Problems found in answers.", ("code",), **make
        )
        self._tokens = Counter("k2compat_tokens", "The upstream's token counts.", ("kind",), **make)
        self._calls = Counter("k2compat_tool_calls", "Tool calls in answers.", **make)
        self._first_byte = Histogram(
            "k2compat_first_byte_seconds",
            "Seconds from the request to the first byte of its answer.",
            buckets=_SECONDS,
            **make,
        )
        self._duration = Histogram(
            "k2compat_request_seconds",
            "Seconds from the request to the end of its answer.",
            buckets=_SECONDS,
            **make,
        )
        self.active = Gauge("k2compat_active_requests", "Chat requests being served.", **make)

    def count(self, record: Record) -> None:
        """Count a request that has ended."""
        self._requests.labels(record.route, str(record.status)).inc()
        if record.error is not None:
            self._errors.labels(record.error).inc()
        for code, count in record.steps.items():
            self._steps.labels(code).inc(count)
        for code, count in record.problems.items():
            self._problems.labels(code).inc(count)
        for kind, count in record.tokens.items():
            self._tokens.labels(kind).inc(count)
        if record.calls:
            self._calls.inc(record.calls)
        if record.route == "chat":
            self._duration.observe(record.seconds)
            if record.first_byte is not None:
                self._first_byte.observe(record.first_byte)

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)
