"""What the engine tests share: environments that `install.py` made, and waiting for a server."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.command import ENVIRONMENT, PROGRAM
from tests.support.talking_models import talking_model
from tests_engines.install import environment

SECONDS_TO_END = 30
# vLLM starts in 40 s, and in ten times as long where ten other programs want the processor.
SECONDS_TO_START_VLLM = 800

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


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def launched_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of vLLM as `k2compat launch vllm … --run` starts it, with its own parsers."""
    with launched(talking_model(), tmp_path_factory.mktemp("vllm")) as url:
        yield url


@contextmanager
def launched(model: Path, folder: Path) -> Iterator[str]:
    """Run `k2compat launch vllm … --run`; the root of the server's URL.

    Args:
        model: The model's folder.
        folder: Where the server's log goes.
    """
    environment = environment_of("vllm", VLLM_CPU_KVCACHE_SPACE="1")
    port = free_port()
    # Compiling takes minutes on a CPU, hence --enforce-eager. The KV cache takes 1 GiB.
    command: list[str | Path] = [
        *(PROGRAM, "launch", "vllm", model, "--gpus-per-node", "1"),
        *("--context", "4096", "--port", str(port), "--set", "enforce-eager"),
        *("--run", "--node-rank", "0", "--skip-preflight"),
    ]
    url = f"http://127.0.0.1:{port}"
    log, ready = folder / "log", f"{url}/health"
    with serving(command, ready, env=environment, log=log, seconds=SECONDS_TO_START_VLLM):
        yield url


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
