"""Ask for the memory that numpy takes before a library imports it.

numpy brings OpenBLAS, which reserves memory for each processor when it is loaded. Without that
memory it does not raise: it ends the process with exit code 1, or sends it SIGINT, and no error
of ours would be printed.
"""

import mmap
import os
import sys
from typing import Final

_LIBRARIES: Final = 96 << 20
"""Of address space, for numpy 2.4 with one thread, and a rest for what is read afterwards."""

_THREAD: Final = 44 << 20
"""For each further thread of OpenBLAS: measured 40 MiB."""

_THREADS_MAX: Final = 64
"""OpenBLAS in numpy's wheels starts no more."""


def demand_memory_for_numpy() -> None:
    """Reserve the memory for a moment; nothing is written to it.

    Raises:
        MemoryError: There is not enough of it (`ulimit -v`, or a system that does not overcommit).
    """
    if "numpy" in sys.modules:
        return
    needed = _LIBRARIES + _THREAD * min(os.cpu_count() or 1, _THREADS_MAX)
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise MemoryError(f"{needed:,} B for numpy") from error
