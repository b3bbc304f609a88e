"""Fixtures that all tests may use."""

import gc
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from k2compat.cli.main import run
from tests.support.amount import EVERYTHING, examples
from tests.support.command import Result
from tests.support.configs import KIMI

pytest_plugins = ["tests.support.hub_client"]

# A script's background job ignores SIGINT, nohup's ignores SIGHUP, and processes inherit that:
# programs that the tests start and interrupt would go on.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# Two shared cores in CI say nothing about how long one example takes.
settings.register_profile("k2compat", deadline=None, max_examples=examples(60))
settings.load_profile("k2compat")

# What starts programs or servers, reads full-size checkpoints or runs long loops. `make check`
# leaves these out, so that it ends within a minute.
SLOW = (
    "tests/docs/",
    "tests/endpoint/",
    "tests/engines/",
    "tests/faults/",
    "tests/files/",
    "tests/gateway/",
    "tests/hub/",
    "tests/properties/",
    "tests/samples/",
    "tests/scripts/",
    "tests/staging/",
    "tests/checkpoint/gguf_files/test_llama_cpp.py",
    "tests/checkpoint/hashes/",
    "tests/checkpoint/test_full_scale.py",
    "tests/checkpoint/test_golden.py",
    "tests/checkpoint/test_hub_source.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_process.py",
    "tests/cli/test_validate_hashes.py",
    "tests/config/test_transformers.py",
    "tests/launch/preflight/",
    "tests/launch/render/",
    "tests/launch/test_golden.py",
    "tests/test_distribution.py",
    "tests/toolcalls/test_transcripts.py",
    "tests/toolcalls/split/",
    "tests/toolcalls/plugins/",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the places in SLOW, and leave out cases that the daily run does not try."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    # Who names tests with -k means all of their cases.
    if not EVERYTHING and not config.option.keyword:
        _sample(config, items)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the tests' 600,000 objects: a tenth to a fifth of the time."""
    gc.collect()
    gc.freeze()


def _sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect all but each n-th case of a test that is marked with sample(n)."""
    numbers: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("sample")
        step = mark.args[0] if mark else 1
        test = item.nodeid.partition("[")[0]
        (left_out if numbers[test] % step else kept).append(item)
        numbers[test] += 1
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture
def command(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Result]:
    """Run one command line in this process: the program without its start."""

    def call(*arguments: object) -> Result:
        capsysbinary.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a small Kimi-K2 config and a weight file."""
    folder = tmp_path / "Kimi-K2"
    folder.mkdir()
    (folder / "config.json").write_bytes(KIMI)
    (folder / "model-1-of-1.safetensors").write_bytes(b"weights")
    return folder
