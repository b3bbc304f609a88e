"""One timer for the time limits of all exchanges."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from k2compat.gateway.http.pacing import Pace, Pacing
from k2compat.gateway.settings import Settings


def pace(**settings: Any) -> Pace:
    return Pace(Settings(upstream="http://x", **settings))


def run(session: Coroutine[Any, Any, None]) -> None:
    asyncio.run(session)


async def wait_in(pacing: Pacing) -> str:
    """Wait for ever within the limits; why that ended."""
    with pytest.raises(TimeoutError), pacing:
        await asyncio.Event().wait()
    return pacing.reason[0]


def test_each_exchange_has_limits_of_its_own() -> None:
    async def session() -> None:
        both = pace(first_byte_timeout=0.1, gap_timeout=0.05)
        first, second = both.begin(), both.begin()
        waiting = asyncio.gather(wait_in(first), wait_in(second))
        await asyncio.sleep(0)
        second.received()
        assert tuple(await waiting) == ("upstream-first-byte-timeout", "upstream-gap-timeout")
        both.close()

    run(session())


def test_the_timer_rests_without_exchanges_and_starts_again() -> None:
    async def session() -> None:
        made = pace(gap_timeout=0.1)
        for _ in range(2):
            made.end(made.begin())
            assert made._timer is not None
            await asyncio.sleep(0.03)
            assert made._timer is None
        made.close()

    run(session())


def test_a_request_whose_body_is_still_read_is_not_ended() -> None:
    async def session() -> None:
        made = pace(first_byte_timeout=0.02)
        pacing = made.begin()
        await asyncio.sleep(0.05)
        with pacing:
            pass
        made.close()

    run(session())


def test_an_exchange_that_was_stopped_before_it_began_does_not_begin() -> None:
    async def session() -> None:
        made = pace()
        pacing = made.begin()
        pacing.stop("gateway-stopping", "The gateway is stopping.", 503)
        assert await wait_in(pacing) == "gateway-stopping"
        made.close()

    run(session())


def test_to_stop_twice_is_to_stop_once() -> None:
    async def session() -> None:
        made = pace()
        pacing = made.begin()
        task = asyncio.create_task(wait_in(pacing))
        await asyncio.sleep(0)
        for _ in range(2):
            pacing.stop("gateway-stopping", "The gateway is stopping.", 503)
        assert await task == "gateway-stopping"
        assert task.cancelling() == 0
        made.close()

    run(session())


def test_an_error_that_comes_at_the_same_time_is_not_hidden() -> None:
    async def session() -> None:
        made = pace()
        pacing = made.begin()

        async def exchange() -> None:
            with pacing:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise ConnectionResetError from None

        task = asyncio.create_task(exchange())
        await asyncio.sleep(0)
        pacing.stop("gateway-stopping", "The gateway is stopping.", 503)
        with pytest.raises(ConnectionResetError):
            await task
        made.close()

    run(session())


def test_a_client_that_leaves_is_no_time_limit() -> None:
    async def session() -> None:
        made = pace()
        pacing = made.begin()

        async def exchange() -> None:
            with pacing:
                await asyncio.Event().wait()

        task = asyncio.create_task(exchange())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made.close()

    run(session())


def test_it_looks_ten_times_in_the_shortest_limit_and_four_times_a_second_at_least() -> None:
    assert pace()._tick == 0.25
    assert pace(heartbeat=1)._tick == 0.1
    assert pace(gap_timeout=0.01)._tick == 0.01
    assert pace(first_byte_timeout=0, gap_timeout=0, heartbeat=0)._tick == 0.025
