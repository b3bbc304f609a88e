"""numpy's OpenBLAS ends a process that has too little memory for it: it is asked for before."""

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from k2compat.numpy_memory import demand_memory_for_numpy
from tests.support.command import k2compat
from tests.support.drafts import draft

_IMPORT = "from k2compat.numpy_memory import demand_memory_for_numpy as ask; ask(); import numpy"


def test_little_memory_is_an_error_that_python_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy", raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="for numpy"):
        demand_memory_for_numpy()


def test_nothing_is_asked_for_once_numpy_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", pytest)
    monkeypatch.delattr(mmap, "mmap")
    demand_memory_for_numpy()


@pytest.mark.sample(5)
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v limits nothing elsewhere")
@pytest.mark.parametrize("kilobytes", range(40_000, 400_000, 20_000))
def test_numpy_never_ends_the_process(kilobytes: int) -> None:
    """It is imported, or there is a MemoryError; OpenBLAS itself prints nothing."""
    command = ["sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "-", sys.executable, "-c", _IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "OpenBLAS" not in done.stderr
    assert done.returncode == 0 or "MemoryError" in done.stderr or "error while" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v limits nothing elsewhere")
@pytest.mark.parametrize("kilobytes", [100_000, 120_000, 150_000])
def test_deep_prints_a_document_when_memory_is_short(tmp_path: Path, kilobytes: int) -> None:
    draft().write(tmp_path)
    limited = f'ulimit -v {kilobytes}; exec "$@"'
    result = k2compat("validate", ".", "--deep", "--json", folder=tmp_path, before=limited)
    assert result.code == 2
    assert result.document["error"]["code"] == "out-of-memory"
