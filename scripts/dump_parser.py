"""Prints the flags of an engine's parser, which is caught before it parses.

For `engine_flags.py`: run as a file by the interpreter that has the wheel's dependencies. The
question is read from stdin (folder of the unpacked wheel, the engine's `ask_parser.py`, entry),
the answer is written to stdout, both as JSON.
"""

import argparse
import contextlib
import json
import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any, NoReturn


class Caught(BaseException):
    """The parser, with its flags; no `except Exception` of an engine stops it."""


def main() -> None:
    """Answer one question, and end without the engine's own work at exit."""
    question = json.load(sys.stdin)
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [question["folder"], *(path for path in sys.path if path and path != here)]
    answer = os.fdopen(os.dup(1), "w")  # what the engine prints must not mix with the answer
    os.dup2(2, 1)
    parse = runpy.run_path(question["file"])["PARSERS"][question["entry"]]()
    catch_parsers()
    try:
        parse([])
    except Caught as found:
        json.dump(found.args[0], answer)
    answer.close()
    os._exit(0)


def catch_parsers() -> None:
    """Make argparse and click raise `Caught` in place of parsing."""
    argparse.ArgumentParser.parse_args = caught_argparse  # type: ignore[method-assign, assignment]
    argparse.ArgumentParser.parse_known_args = caught_argparse  # type: ignore[method-assign, assignment]
    with contextlib.suppress(ImportError):
        import click

        click.Command.make_context = caught_click  # type: ignore[method-assign]


def caught_argparse(self: Any, arguments: Any = None, *_: Any, **__: Any) -> NoReturn:
    """The flags of an argparse parser, or of its subcommand that the arguments begin with."""
    first = next(iter(arguments or ()), None)
    for action in self._actions:
        if isinstance(action, argparse._SubParsersAction) and first in action.choices:  # noqa: SLF001
            self = action.choices[first]
            break
    raise Caught(
        [
            {
                "names": list(action.option_strings),
                "positional": action.dest,
                "nargs": action.nargs,
                "takes_value": action.nargs != 0,
                "type": _name_of(action.type),
                "action": type(action).__name__,
                "choices": None if action.choices is None else list(map(str, action.choices)),
                "required": action.required,
                "deprecated": _is_deprecated(action),
                "default": _plain(action.default),
                "dest": action.dest,
            }
            for action in self._actions
        ]
    )


def caught_click(self: Any, *_: Any, **__: Any) -> NoReturn:
    """The options and arguments of a click command."""
    raise Caught(
        [
            {
                "names": [*option.opts, *option.secondary_opts] if _is_option(option) else [],
                "off": list(option.secondary_opts),
                "positional": option.name,
                "nargs": option.nargs,
                "takes_value": not getattr(option, "is_flag", False),
                "type": _name_of(option.type),
                "action": "multiple" if option.multiple else "click",
                "required": option.required,
                "choices": list(option.type.choices) if hasattr(option.type, "choices") else None,
                "deprecated": _is_deprecated(option),
                "default": _plain(option.default),
                "dest": option.name,
            }
            for option in self.params
        ]
    )


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _is_deprecated(flag: Any) -> bool:
    """Whether it says so: argparse from Python 3.13 on, the name of its action, or its help."""
    said = re.match(r"\W*deprecated", str(getattr(flag, "help", "")), re.IGNORECASE)
    return bool(getattr(flag, "deprecated", False) or "Deprecated" in type(flag).__name__ or said)


def _name_of(kind: Any) -> Any:
    return getattr(kind, "name", None) or getattr(kind, "__name__", None)


def _plain(default: Any) -> Any:
    return default if isinstance(default, (int, float, str)) else None


if __name__ == "__main__":
    main()
