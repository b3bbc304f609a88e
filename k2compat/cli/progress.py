"""A progress bar on stderr: only on a terminal, and only when the work takes long."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from k2compat.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress

# What is done before a person looks needs no bar.
PATIENCE_SECONDS = 1.0


@contextmanager
def progress_bar(what: str, output: Output) -> Iterator[Callable[[int], None]]:
    """Show bytes done while the block runs.

    Args:
        what: The name of the work.
        output: The sink; with --json, and where stderr is no terminal, nothing is shown.

    Yields:
        A function to be called with the bytes that were done since the last call.
    """
    if output.as_json or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done: None
        return
    bar = _Bar(what)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    """Drawn from the first step after PATIENCE_SECONDS on; loads rich only then."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begin = time.monotonic()
        self._done = 0
        self._progress: Progress | None = None

    def advance(self, done: int) -> None:
        self._done += done
        if self._progress is None and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._progress = self._draw()
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._done)

    def _draw(self) -> "Progress":
        from rich.console import Console
        from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TransferSpeedColumn

        progress = Progress(
            SpinnerColumn(),
            "{task.description}",
            FileSizeColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        progress.add_task(self._what, total=None)
        progress.start()
        return progress

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
