"""The package itself: its version, and names that are loaded when they are asked for."""

import signal
import subprocess
import sys

import pytest

import k2compat
from k2compat import toolcalls


def test_the_names_are_those_of_their_homes() -> None:
    assert k2compat.parse is toolcalls.parse
    assert all(getattr(k2compat, name) is not None for name in k2compat.__all__)


def test_other_names_are_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = k2compat.nonsense


INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Interrupting(MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from k2compat.cli.start import main
main()
"""


def test_an_early_interrupt_shows_no_traceback() -> None:
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING], capture_output=True, check=False
    )
    assert process.returncode == -signal.SIGINT
    assert process.stderr == b""
