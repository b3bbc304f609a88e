"""Threads for requests: what comes back, and how it ends."""

import threading
from concurrent.futures import CancelledError

import pytest

from k2compat.hub import workers
from k2compat.hub.workers import Workers


def test_results_and_errors_come_back() -> None:
    pool: Workers[int, float] = Workers(lambda number: 1 / number, 2, "test")
    futures = [pool.submit(number) for number in (1, 0, 2, 4)]
    assert [future.exception() is None for future in futures] == [True, False, True, True]
    assert [futures[at].result() for at in (0, 2, 3)] == [1.0, 0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        futures[1].result()
    pool.close()


def test_no_more_threads_than_wanted_and_none_for_nothing() -> None:
    seen: set[str] = set()
    pool: Workers[int, None] = Workers(
        lambda _: seen.add(str(threading.get_ident())), 3, "test-workers"
    )
    pool.close()
    pool = Workers(lambda _: seen.add(str(threading.get_ident())), 3, "test-workers")
    for future in [pool.submit(number) for number in range(50)]:
        future.result()
    pool.close()
    assert 1 <= len(seen) <= 3
    assert not any(thread.name == "test-workers" for thread in threading.enumerate())


def test_what_was_not_begun_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CLOSING_SECONDS", 0.0)
    begun, over = threading.Event(), threading.Event()

    def work(_: int) -> bool:
        begun.set()
        return over.wait(60)

    pool: Workers[int, bool] = Workers(work, 1, "test")
    first, second = pool.submit(1), pool.submit(2)
    assert begun.wait(60)
    pool.close()
    over.set()
    assert first.result()
    with pytest.raises(CancelledError):
        second.result()
