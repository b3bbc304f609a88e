"""The libraries that the engines parse with, built from our tables: the tests' peers."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from k2compat.launch.flags import Flag, FlagTable

_TYPES: dict[str, Any] = {"int": int, "float": float}


class _RefusedError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


def accepts(table: FlagTable, arguments: Sequence[str]) -> str | None:
    """None where the entry point's kind of parser takes the arguments, otherwise its complaint."""
    if table.parser == "click":
        return _click_accepts(table, arguments)
    try:
        argparse_parser(table).parse_args(list(arguments))
    except _RefusedError as error:
        return str(error)
    return None


def argparse_parser(table: FlagTable) -> argparse.ArgumentParser:
    """An argparse parser with the table's flags."""
    parser = _Parser(add_help=False, prog=table.entry)
    for flag in table.flags:
        parser.add_argument(*flag.names, dest=flag.name, **_options(flag))
    for positional in table.positionals:
        parser.add_argument(positional.name, nargs=None if positional.required else "?")
    return parser


def _options(flag: Flag) -> dict[str, Any]:
    if not flag.takes_value:
        return {"action": "store_true", "required": flag.required}
    nargs: Any = {(1, 1): None, (0, 1): "?", (0, None): "*", (1, None): "+"}.get(
        (flag.min_values, flag.max_values), flag.min_values
    )
    return {
        "nargs": nargs,
        "type": _TYPES.get(flag.type, str),
        "choices": [_TYPES.get(flag.type, str)(choice) for choice in flag.choices] or None,
        "required": flag.required,
        "action": "append" if flag.repeatable else "store",
    }


def _click_accepts(table: FlagTable, arguments: Sequence[str]) -> str | None:
    parameters: list[click.Parameter] = [
        click.Argument([positional.name], required=positional.required)
        for positional in table.positionals
    ]
    for number, flag in enumerate(table.flags):
        kind: Any = click.Choice(flag.choices) if flag.choices else _TYPES.get(flag.type, str)
        parameters.append(
            click.Option(
                [*flag.names, f"given{number}"],
                is_flag=None if flag.takes_value else True,
                multiple=flag.repeatable,
                type=None if not flag.takes_value else kind,
            )
        )
    try:
        click.Command("peer", params=parameters).make_context("peer", list(arguments))
    except click.UsageError as error:
        return error.format_message()
    return None
