"""Where the installed program begins, before anything heavy is imported."""

import signal
import sys


def main() -> None:
    """Run the program.

    While its modules are being imported nothing was begun that a Ctrl-C could leave half done,
    so the process just ends, without a traceback.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell's background job ignores it: so do we
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from k2compat.cli import main as program

    signal.signal(signal.SIGINT, handler)
    program.main(sys.argv[1:])
