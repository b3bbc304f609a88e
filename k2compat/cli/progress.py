"""A progress bar on stderr: only on a terminal, and only when the work takes long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from k2compat.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

# Short work needs no bar.
PATIENCE_SECONDS = 1.0


@contextmanager
def progress_bar(what: str, output: Output) -> Iterator[Callable[[int], None]]:
    """Show bytes done while the block runs.

    Args:
        what: The name of the work.
        output: The sink; with --json or --quiet, and where stderr is no terminal, nothing is shown.

    Yields:
        A function to be called with the bytes that were done since the last call.
    """
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        bar.show(done, None)

    with _bar(what, _byte_columns, output) as bar:
        yield advance


@contextmanager
def byte_bar(what: str, output: Output) -> Iterator[Callable[[int, int], None]]:
    """Show how many bytes of how many are done while the block runs, how fast and until when.

    Args:
        what: The name of the work.
        output: As of `progress_bar`.

    Yields:
        A function to be called with the bytes that are done, and with all.
    """
    with _bar(what, _byte_total_columns, output) as bar:
        yield bar.show


@contextmanager
def counting_bar(what: str, things: str, output: Output) -> Iterator[Callable[[int, int], None]]:
    """Show how many things of how many are done while the block runs.

    Args:
        what: The name of the work.
        things: What is counted, in the plural.
        output: As of `progress_bar`.

    Yields:
        A function to be called with how many are done, and of how many.
    """
    with _bar(what, lambda: _count_columns(things), output) as bar:
        yield bar.show


@contextmanager
def _bar(
    what: str, columns: "Callable[[], list[ProgressColumn | str]]", output: Output
) -> Iterator["_Bar"]:
    bar = _Bar(what, columns if output.shows_progress else None)
    try:
        yield bar
    finally:
        bar.stop()


class _Bar:
    """Drawn from the first step after PATIENCE_SECONDS on; loads rich only then."""

    def __init__(
        self, what: str, columns: "Callable[[], list[ProgressColumn | str]] | None"
    ) -> None:
        self._what = what
        self._columns = columns
        self._begin = time.monotonic()
        self._progress: Progress | None = None

    def show(self, done: int, total: int | None) -> None:
        if self._columns is None:
            return
        if self._progress is None and time.monotonic() - self._begin > PATIENCE_SECONDS:
            self._progress = self._draw(self._columns())
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def _draw(self, columns: "list[ProgressColumn | str]") -> "Progress":
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn

        progress = Progress(
            SpinnerColumn(),
            "{task.description}",
            *columns,
            console=Console(stderr=True),
            transient=True,
        )
        progress.add_task(self._what, total=None)
        progress.start()
        return progress

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _byte_columns() -> "list[ProgressColumn | str]":
    from rich.progress import FileSizeColumn, TransferSpeedColumn

    return [FileSizeColumn(), TransferSpeedColumn()]


def _byte_total_columns() -> "list[ProgressColumn | str]":
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return [BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]


def _count_columns(things: str) -> "list[ProgressColumn | str]":
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    return [BarColumn(), MofNCompleteColumn(), things, TimeRemainingColumn()]
