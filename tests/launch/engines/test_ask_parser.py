"""How each installed engine's parser is called: stand-ins play the engines' modules."""

import runpy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from k2compat.launch.engines import engine_folder
from k2compat.launch.flags import ENGINES
from k2compat.launch.flags.programs import programs_of


class Recorder:
    """Any parser: it notes the arguments that it is given, wherever they arrive."""

    def __init__(self, *_: object, **__: object) -> None:
        self.commands = {"serve": self}

    def __call__(self, *_: object, **__: object) -> "Recorder":
        return self

    def parse_args(self, arguments: list[str] | None = None) -> None:
        NOTED.append(sys.argv[1:] if arguments is None else arguments)

    def make_context(self, _: str, arguments: list[str]) -> None:
        NOTED.append(arguments)

    @staticmethod
    def add_cli_args(parser: Any) -> None:
        parser.parse_args = NOTED.append


NOTED: list[list[str]] = []


def stand_in(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Modules of these names, with every name in them a recorder."""
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            module = ModuleType(".".join(parts[:end]))
            module.__path__ = []
            monkeypatch.setitem(sys.modules, module.__name__, module)
        sys.modules[name].__getattr__ = lambda _: Recorder()  # type: ignore[method-assign]


def parsers(engine: str) -> dict[str, Callable[[], Callable[[list[str]], object]]]:
    found = runpy.run_path(str(engine_folder(engine) / "ask_parser.py"))["PARSERS"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("engine", "entry", "modules"),
    [
        ("sglang", "sglang.launch_server", ("sglang.srt.server_args",)),
        ("ktransformers", "sglang.launch_server", ("sglang.srt.server_args",)),
        ("ktransformers", "kt run", ("kt_kernel.cli.commands.run",)),
        (
            "ktransformers",
            "server.main",
            ("ktransformers.server.args", "ktransformers.server.config.config"),
        ),
        ("trtllm", "serve", ("tensorrt_llm.commands.serve",)),
    ],
)
def test_the_arguments_reach_the_engine_s_parser(
    monkeypatch: pytest.MonkeyPatch, engine: str, entry: str, modules: tuple[str, ...]
) -> None:
    stand_in(monkeypatch, *modules)
    monkeypatch.setattr(sys, "argv", ["main.py"])
    NOTED.clear()
    parsers(engine)[entry]()(["--port", "1"])
    assert NOTED == [["--port", "1"]]


@pytest.mark.parametrize(
    ("engine", "entry", "module"),
    [
        ("sglang", "sglang_router.launch_router", "sglang_router.launch_router"),
        ("vllm", "dynamo.vllm", "dynamo.vllm.args"),
    ],
)
def test_a_program_s_own_function_is_called(
    monkeypatch: pytest.MonkeyPatch, engine: str, entry: str, module: str
) -> None:
    stand_in(monkeypatch, module)
    assert isinstance(parsers(engine)[entry](), Recorder)


def test_every_parser_that_is_named_has_its_function() -> None:
    for engine in ENGINES:
        assert set(parsers(engine)) == {parser.entry for parser in programs_of(engine).parser}
