"""Fixtures that all tests may use."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from k2compat.cli.main import run
from tests.support.command import Result
from tests.support.configs import KIMI

pytest_plugins = ["tests.support.hub_client"]

# Two shared cores in CI say nothing about how long one example takes.
settings.register_profile("k2compat", deadline=None, max_examples=60)
settings.load_profile("k2compat")


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
