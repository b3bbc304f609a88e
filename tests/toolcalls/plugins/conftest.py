"""The engines' doubles, importable under the engines' names for one test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.toolcalls.plugins import late
from k2compat.toolcalls.plugins.choice import REPLACE

ENGINES = Path(__file__).parents[2] / "support" / "engines"
OURS = ("vllm_parsers", "sglang_detector")


def forget() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("vllm", "sglang") or name.endswith(OURS):
            del sys.modules[name]
    late._FINDER.actions.clear()


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the doubles."""
    forget()
    monkeypatch.syspath_prepend(str(ENGINES))
    monkeypatch.delenv(REPLACE, raising=False)
    yield ENGINES
    forget()
