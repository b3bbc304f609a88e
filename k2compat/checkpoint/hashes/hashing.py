"""Hashing of one file, in pieces, until it is done or the run stops."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from k2compat.checkpoint.hashes.record import FileState
from k2compat.files import open_regular, real_path
from k2compat.hub import Digest

PIECE_BYTES: Final = 1 << 20
"""Bytes of a piece: it fits into a core's cache, and a stop waits for one piece at most."""


class StoppedError(Exception):
    """The run ends before this file is hashed."""


@dataclass(frozen=True, slots=True)
class HashResult:
    """The hashes of one file.

    Attributes:
        state: The file's state before it was read.
        digests: Kind → hash in hexadecimal digits.
        is_stable: Whether the file's state and size were the same before and after.
    """

    state: FileState
    digests: dict[str, str]
    is_stable: bool


def state_of(path: Path) -> FileState:
    """The state of a regular file; links are followed.

    Raises:
        OSError: There is none, or it cannot be opened.
    """
    with open_regular(real_path(path)) as descriptor:
        return FileState.of(os.fstat(descriptor))


def hash_file(
    path: Path, digests: Iterable[Digest], advance: Callable[[int], object], stop: Event
) -> HashResult:
    """Hash a regular file; links are followed.

    Args:
        path: The file.
        digests: One digest of each wanted kind; their values are ignored.
        advance: Called with the bytes that were read since the last call.
        stop: Ends the work after the piece under way.

    Raises:
        OSError: The file cannot be opened or read.
        StoppedError: `stop` was set.
    """
    with open_regular(real_path(path)) as descriptor:
        state = FileState.of(os.fstat(descriptor))
        begun = {digest.kind: digest.begin(state.size) for digest in digests}
        feeds = [feed for feed, _ in begun.values()]
        read = _read_through(descriptor, state.size, feeds, advance, stop)
        after = FileState.of(os.fstat(descriptor))
    return HashResult(
        state,
        {kind: result() for kind, (_, result) in begun.items()},
        is_stable=after == state and read == state.size,
    )


def _read_through(
    descriptor: int,
    size: int,
    feeds: list[Callable[[bytes | memoryview], None]],
    advance: Callable[[int], object],
    stop: Event,
) -> int:
    """Feed all bytes up to `size` and a little more; returns how many there were."""
    piece = memoryview(bytearray(PIECE_BYTES))
    total = 0
    # Reading into one piece of memory, and hashing it, both let other threads run. A file that
    # another program still writes may grow for ever.
    while total <= size and (count := os.readv(descriptor, [piece])):
        if stop.is_set():
            raise StoppedError
        for feed in feeds:
            feed(piece[:count])
        total += count
        advance(count)
    return total
