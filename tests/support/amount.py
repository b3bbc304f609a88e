"""How much the tests try: a sample in the daily run, everything under `make test-all`."""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

Case = TypeVar("Case")

EVERYTHING = os.environ.get("K2COMPAT_TESTS") == "all"


def sampled(cases: Iterable[Case], every: int) -> Iterator[Case]:
    """All cases under `make test-all`, else each `every`-th one, the first included.

    `every` should have no factor in common with the lengths of the loops that make the cases, so
    that each value of each loop is still tried.
    """
    for number, case in enumerate(cases):
        if EVERYTHING or number % every == 0:
            yield case
