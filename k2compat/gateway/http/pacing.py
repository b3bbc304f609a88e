"""How long one exchange may wait: for the first byte, between two pieces, and at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from k2compat.gateway.settings import Settings

Beat = Callable[[], Awaitable[None]]

_TICK_MIN: Final = 0.01
_TICK_MAX: Final = 0.25
_TICKS_A_LIMIT: Final = 10

_NO_FIRST_BYTE: Final = (
    "upstream-first-byte-timeout",
    "The upstream did not begin its answer in time.",
    504,
)
_GAP: Final = ("upstream-gap-timeout", "The upstream's answer stopped.", 504)


class Pace:
    """The time limits of all exchanges, and the one timer that checks them.

    A timer for each exchange costs its request about 20 µs. One timer that looks at all of them a
    few times a second costs a stream less than 1 µs each time. A limit is late by one tick at most,
    which is a tenth of the shortest limit and not more than 0.25 s.

    Attributes:
        exchanges: the exchanges that are being served.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the limits from the settings."""
        self.first_byte: Final = settings.first_byte_timeout
        self.gap: Final = settings.gap_timeout
        self.heartbeat: Final = settings.heartbeat
        self.exchanges: set[Pacing] = set()
        limits = [limit for limit in (self.first_byte, self.gap, self.heartbeat) if limit]
        wanted = min(limits, default=_TICK_MAX) / _TICKS_A_LIMIT
        self._tick: Final = max(_TICK_MIN, min(wanted, _TICK_MAX))
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> "Pacing":
        """Begin to pace an exchange; `end` must follow."""
        loop = asyncio.get_running_loop()
        pacing = Pacing(self, loop)
        self.exchanges.add(pacing)
        if self._timer is None:
            self._timer = loop.call_later(self._tick, self._look, loop)
        return pacing

    def end(self, pacing: "Pacing") -> None:
        """Forget an exchange."""
        self.exchanges.discard(pacing)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for pacing in self.exchanges:
            pacing.look(now)
        # Without exchanges the timer rests; the next one starts it again.
        self._timer = loop.call_later(self._tick, self._look, loop) if self.exchanges else None


class Pacing:
    """The time limits of one exchange; a block within it raises TimeoutError.

    Attributes:
        reason: code, message and status of the error that the client gets then.
    """

    __slots__ = (
        *("_beat", "_beating", "_began", "_cancelling", "_gap", "_heartbeat", "_is_expired"),
        *("_is_stopped", "_limit", "_loop", "_received", "_sent", "_task", "reason"),
    )

    def __init__(self, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        """Take the limits; `Pace.begin` calls this."""
        self.reason = _NO_FIRST_BYTE
        self._loop = loop
        self._limit = pace.first_byte
        self._gap = pace.gap
        self._heartbeat = pace.heartbeat
        self._received = self._sent = 0.0
        self._began = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_stopped = False
        self._is_expired = False
        self._beat: Beat | None = None
        self._beating: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        """Begin to wait for the first byte.

        Raises:
            TimeoutError: `stop` was called before.
        """
        if self._is_stopped:
            raise TimeoutError
        task = asyncio.current_task(self._loop)
        assert task is not None, "a handler runs in a task"  # noqa: S101
        self._task, self._cancelling = task, task.cancelling()
        self._received = self._sent = self._loop.time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop waiting.

        As in `asyncio.timeout`, a cancellation from elsewhere is passed on.
        """
        task, self._task = self._task, None
        if not self._is_expired or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def received(self) -> None:
        """A piece of the upstream's body arrived."""
        self._received = self._loop.time()
        if not self._began:
            self._began = True
            self._limit = self._gap
            self.reason = _GAP

    def sent(self) -> None:
        """Something was sent to the client."""
        self._sent = self._received

    def beat(self, beat: Beat) -> None:
        """Call this whenever nothing was sent for as long as the settings' heartbeat."""
        if self._heartbeat:
            self._beat = beat

    def stop(self, code: str, message: str, status: int) -> None:
        """End the exchange now."""
        self.reason = (code, message, status)
        self._is_stopped = True
        self._expire()

    def look(self, now: float) -> None:
        """Act on the limits that have expired.

        Args:
            now: the loop's time.
        """
        if self._task is None:
            return
        if now >= self._received + self._limit:
            self._expire()
        elif self._beat is not None and now >= self._sent + self._heartbeat:
            self._sent = now
            self._beating = asyncio.ensure_future(self._beat())

    def _expire(self) -> None:
        if self._task is not None and not self._is_expired:
            self._is_expired = True
            self._task.cancel()
