"""What the engine tests share: environments that `install.py` made, and waiting for a server."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.command import ENVIRONMENT
from tests_engines.install import environment

SECONDS_TO_END = 30

Serve: TypeAlias = Callable[..., "Iterator[None]"]


def programs_of(engine: str) -> Path:
    """The folder with an engine's python and programs; the test is skipped where it is missing."""
    folder = environment(engine)
    if not (folder / "requirements.txt").is_file():
        pytest.skip(f"{engine} is not installed: python tests_engines/install.py {engine}")
    return folder / "bin"


def environment_of(engine: str, **variables: str) -> dict[str, str]:
    """The variables of a shell in which an engine's environment is active, without network."""
    path = f"{programs_of(engine)}:{os.environ['PATH']}"
    return {**ENVIRONMENT, "PATH": path, "HF_HUB_OFFLINE": "1", **variables}


@contextmanager
def serving(
    command: Sequence[str | Path],
    url: str,
    *,
    env: Mapping[str, str],
    log: Path,
    seconds: float,
) -> Iterator[None]:
    """Run a server until the block ends; it must answer 200 at the url within the time.

    The server leads a process group of its own, so that its workers end with it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, url, log, seconds)
            yield
        finally:
            _end(process)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, f"the server ended:\n{_tail(log)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    pytest.fail(f"{url} did not answer within {seconds} s:\n{_tail(log)}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
