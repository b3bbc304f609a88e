"""A few threads for requests, which a stalled server cannot keep from ending.

`ThreadPoolExecutor` waits for its threads, at the latest when the program ends: Ctrl-C would take
as long as the network's own limit. These threads are left behind.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

CLOSING_SECONDS: Final = 1.0
"""So long is waited for requests under way: nearly all are over by then."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Workers(Generic[_Task, _Result]):
    """Threads that do one kind of work."""

    def __init__(self, work: Callable[[_Task], _Result], count: int, name: str) -> None:
        """Take the work; threads are begun with the first tasks.

        Args:
            work: What is done with each task.
            count: How many threads there are at most.
            name: Of the threads.
        """
        self._work = work
        self._count = count
        self._name = name
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._tasks: SimpleQueue[tuple[Future[_Result], _Task] | None] = SimpleQueue()

    def submit(self, task: _Task) -> Future[_Result]:
        """Have a task done; the future has what the work returns or raises."""
        future: Future[_Result] = Future()
        self._tasks.put((future, task))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Begin nothing more, and wait a moment for what is under way."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self) -> None:
        while (entry := self._tasks.get()) is not None:
            future, task = entry
            if self._closed:
                future.cancel()
                continue
            try:
                future.set_result(self._work(task))
            except BaseException as error:  # noqa: BLE001
                # Whoever waits for the result is to have it, whatever it is.
                future.set_exception(error)
