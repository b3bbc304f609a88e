"""The start of the installed program, before any slow import."""

import gc
import signal
import sys

# Of new objects, before Python looks for garbage among them. At its own number, 700, it looks 40
# times while modules are imported, which leave none: 3 ms of a launch, one in thirty.
_OBJECTS_BEFORE_COLLECTION = 10_000


def main() -> None:
    """Run the program.

    While its modules are being imported, a Ctrl-C cannot interrupt any work, so the process ends
    without a traceback.
    """
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell's background job ignores it: so do we
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from k2compat.cli import main as program

    signal.signal(signal.SIGINT, handler)
    program.main(sys.argv[1:])
