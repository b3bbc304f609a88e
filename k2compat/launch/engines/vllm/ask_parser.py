"""How the installed vLLM reads a command line. Run by vLLM's own interpreter, not imported here.

vLLM moves the modules of its parser from release to release. The program `vllm` is in the metadata
of each, so it is started as in a shell, up to the point where its parser would read the command
line: there argparse gives access to the parser.
"""

import argparse
import contextlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from typing import Any

_COMMAND = "serve"
# An unknown flag: if no parser is found, the program refuses it and starts nothing.
_HARMLESS = ["vllm", _COMMAND, "model", "--k2compat-asks-for-the-parser"]


class _Found(BaseException):
    """A parser was reached. No `except Exception` of the engine catches this."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def serve() -> Callable[[list[str]], object]:
    """The parser of `vllm serve`, and the checks of the program between parsing and starting.

    Raises:
        LookupError: There is no program `vllm`, or it reads its command line without argparse.
    """
    program = _program()
    parser = _parser_of(program)

    def parse(arguments: list[str]) -> None:
        line = [_COMMAND, *arguments]
        with _replaced(sys, "argv", ["vllm", *line]):
            _validate(parser.parse_args(line))

    return parse


def _program() -> Callable[[], object]:
    """The function of the console script `vllm`, of any distribution: builds have their own."""
    for script in importlib.metadata.entry_points(group="console_scripts"):
        if script.name == "vllm":
            program: Callable[[], object] = script.load()
            return program
    raise LookupError("The metadata of the installed packages name no program vllm.")


def _parser_of(program: Callable[[], object]) -> argparse.ArgumentParser:
    """The parser that has the command, once the program would let it read the command line."""
    read = argparse.ArgumentParser.parse_known_args

    def hand_over(self: argparse.ArgumentParser, *given: Any, **named: Any) -> Any:
        if _has_command(self):
            raise _Found(self)
        return read(self, *given, **named)

    with (
        _replaced(argparse.ArgumentParser, "parse_known_args", hand_over),
        _replaced(sys, "argv", _HARMLESS),
    ):
        try:
            program()
        except _Found as found:
            return found.parser
        except SystemExit as end:
            raise LookupError(f"vllm ended with {end.code} before it read {_COMMAND}.") from end
    raise LookupError(f"vllm has no parser of argparse for {_COMMAND}.")


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _has_command(parser: argparse.ArgumentParser) -> bool:
    actions = parser._actions  # noqa: SLF001 - argparse has no public list of them
    return any(_COMMAND in (action.choices or ()) for action in actions)


def _validate(found: argparse.Namespace) -> None:
    """Run the program's checks after parsing: flags that need one another.

    The parser names the function that starts the server; the object that checks is in its module.
    """
    start = getattr(found, "dispatch_function", None)
    module = sys.modules.get(getattr(start, "__module__", ""))
    commands: list[Any] = getattr(module, "cmd_init", list)()
    for command in [each for each in commands if each.name == _COMMAND]:
        command.validate(found)


def dynamo() -> Callable[[list[str]], object]:
    """The parser of `python -m dynamo.vllm`, which passes flags on to vLLM's."""
    from dynamo.vllm.args import parse_args

    return parse_args


PARSERS: dict[str, Callable[[], Callable[[list[str]], object]]] = {
    "serve": serve,
    "dynamo.vllm": dynamo,
}
