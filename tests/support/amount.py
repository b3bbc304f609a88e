"""How much the tests try: a sample in the daily run, everything under `make test-all`.

    @pytest.mark.sample(5)    of the test's cases each fifth: tests/conftest.py deselects others
    @only_in_test_all         the whole test
    sampled(cases, every=5)   of a loop's cases each fifth
    examples(100)             of hypothesis

The step of a sample has no factor in common with the lengths of the loops that make the cases: a
test with several times as many cases tries each value of each loop. One with few cases tries some
of them here, and all under `make test-all`.
"""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytest

Case = TypeVar("Case")

EVERYTHING = os.environ.get("K2COMPAT_TESTS") == "all"

only_in_test_all = pytest.mark.skipif(not EVERYTHING, reason="long: only make test-all runs it")
"""Of a test whose promise a shorter one keeps in the daily run."""


def sampled(cases: Iterable[Case], every: int) -> Iterator[Case]:
    """All cases under `make test-all`, else each `every`-th one, the first included."""
    for number, case in enumerate(cases):
        if EVERYTHING or number % every == 0:
            yield case


def examples(count: int) -> int:
    """How many examples hypothesis tries: `count` under `make test-all`, else a fifth of them.

    Of few examples ten remain: hypothesis tries the simplest values first.
    """
    return count if EVERYTHING else min(count, max(10, count // 5))
