"""What the gateway counts, in Prometheus's text format.

Labels hold codes, routes and statuses only: nothing that a client or a model wrote, so that their
number is bounded and no secret can be in them. A request adds to plain numbers, and prometheus-
client sees them when it is asked: its own counters take a lock and look up labels each time.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from k2compat.gateway.record import Record

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

_TOGETHER: Final = 64
"""So many requests are counted together; they are kept until then."""


class _Counts:
    """A counter with labels."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._name = name
        self._text = text
        self._labels = labels

    def family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self.values.items():
            family.add_metric(labels, count)
        return family


class _Times:
    """A histogram of seconds."""

    def __init__(self, name: str, text: str) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0
        self._name = name
        self._text = text

    def observe(self, seconds: float) -> None:
        # A bucket holds what is not larger than its bound.
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self._name, self._text)
        bounds = [*(str(float(bound)) for bound in _SECONDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        family.add_metric([], buckets, self._sum)
        return family


class Metrics(Collector):
    """The counters of one gateway."""

    def __init__(self, active: Callable[[], int]) -> None:
        """Begin at zero, in a registry of its own.

        Args:
            active: how many chat requests are being served.
        """
        self._active = active
        self._requests = _Counts(
            "k2compat_requests", "Requests by route and status.", "route", "status"
        )
        self._errors = _Counts(
            "k2compat_errors", "Requests that ended in an error of the gateway.", "code"
        )
        self._steps = _Counts("k2compat_steps", "What the request steps found and changed.", "code")
        self._problems = _Counts("k2compat_problems", "Problems found in answers.", "code")
        self._tokens = _Counts("k2compat_tokens", "The upstream's token counts.", "kind")
        self._calls = _Counts("k2compat_tool_calls", "Tool calls in answers.")
        self._calls.values[()] = 0
        self._first_byte = _Times(
            "k2compat_first_byte_seconds",
            "Seconds from the request to the first byte of its answer.",
        )
        self._duration = _Times(
            "k2compat_request_seconds", "Seconds from the request to the end of its answer."
        )
        self._ended: list[Record] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, record: Record) -> None:
        """Count a request that has ended.

        It is done for many requests together, or when the text is asked for: the code is in the
        processor's cache for all but the first then.
        """
        self._ended.append(record)
        if len(self._ended) >= _TOGETHER:
            self._count_ended()

    def _count_ended(self) -> None:
        ended, self._ended = self._ended, []
        for record in ended:
            self._count(record)

    def _count(self, record: Record) -> None:
        self._requests.values[record.route, str(record.status)] += 1
        if record.error is not None:
            self._errors.values[(record.error,)] += 1
        for counts, by_name in (
            (self._steps, record.steps),
            (self._problems, record.problems),
            (self._tokens, record.tokens),
        ):
            for name, count in by_name.items():
                counts.values[(name,)] += count
        self._calls.values[()] += record.calls
        if record.route == "chat":
            self._duration.observe(record.seconds)
            if record.first_byte is not None:
                self._first_byte.observe(record.first_byte)

    def collect(self) -> Iterator[Metric]:
        """The families, as prometheus-client takes them."""
        self._count_ended()
        for counts in (
            self._requests,
            self._errors,
            self._steps,
            self._problems,
            self._tokens,
            self._calls,
        ):
            yield counts.family()
        yield self._first_byte.family()
        yield self._duration.family()
        yield GaugeMetricFamily(
            "k2compat_active_requests", "Chat requests being served.", self._active()
        )

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)
