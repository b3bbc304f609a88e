"""A command line as the engine's parser reads it: which flag, which values, which arguments.

Nothing is judged or dropped here. Words that a parser would refuse are kept with the result of
their resolution, so that the checks report all faults at once; a parser stops at the first.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from k2compat.launch.flags.table import (
    VLLM_DIALECT,
    Abbreviated,
    Ambiguous,
    Exact,
    Flag,
    FlagTable,
    Resolution,
    Unknown,
)
from k2compat.launch.request import PLACEHOLDER

# argparse reads this as a negative number, not as a flag.
_NEGATIVE_NUMBER: Final = re.compile(r"-\d+|-\d*\.\d+")

_END: Final = "--"
_ANY: Final = 10**9


class FlagUse(msgspec.Struct, frozen=True):
    """One use of a flag in a command line.

    Attributes:
        name: As written, without `=value`.
        resolution: The flag that the parser finds by the name.
        values: The following words that the parser reads as the flag's values.
        joined: Whether the value was written as `--flag=value` (or `-xvalue`).
        at: The flag's place among the arguments, counted from 0.
    """

    name: str
    resolution: Resolution
    values: tuple[str, ...]
    joined: bool
    at: int

    @property
    def flag(self) -> Flag | None:
        """The flag, where the parser finds one."""
        if isinstance(self.resolution, Exact | Abbreviated):
            return self.resolution.flag
        return None


class PositionalArgument(msgspec.Struct, frozen=True):
    """An argument without a name; `at` is its place among the arguments."""

    value: str
    at: int


class ParsedCommand(msgspec.Struct, frozen=True):
    """A parsed command line. `uses` and `loose` are in the written order."""

    table: FlagTable
    uses: tuple[FlagUse, ...]
    loose: tuple[PositionalArgument, ...]


def has_placeholder(value: str) -> bool:
    """Whether a value holds a part that is filled in later: `$NAME`, `${NAME}`, `<NAME>`."""
    return PLACEHOLDER.search(value) is not None


def read_arguments(table: FlagTable, arguments: Sequence[str]) -> ParsedCommand:
    """Parse a command line in the same way as the entry point's parser.

    Args:
        table: The entry point.
        arguments: The words after the program (and its subcommand).
    """
    reader = _Reader(table, tuple(arguments))
    reader.read()
    return ParsedCommand(table, tuple(reader.uses), tuple(reader.loose))


class _Reader:
    def __init__(self, table: FlagTable, arguments: tuple[str, ...]) -> None:
        self.table = table
        self.arguments = arguments
        self.at = 0
        self.uses: list[FlagUse] = []
        self.loose: list[PositionalArgument] = []

    def read(self) -> None:
        while self.at < len(self.arguments):
            argument = self.arguments[self.at]
            if argument == _END:
                self._take_rest()
            elif self._is_flag(argument):
                self._take_flag(argument)
            else:
                self.loose.append(PositionalArgument(argument, self.at))
                self.at += 1

    def _take_rest(self) -> None:
        for place in range(self.at + 1, len(self.arguments)):
            self.loose.append(PositionalArgument(self.arguments[place], place))
        self.at = len(self.arguments)

    def _is_flag(self, argument: str) -> bool:
        """Whether the parser looks for a flag here.

        argparse reads negative numbers and texts with spaces as values, unless they name a flag.
        """
        if not argument.startswith("-") or argument == "-":
            return False
        if self.table.parser == "click":
            return True
        if not isinstance(self._resolve(argument)[0], Unknown):
            return True
        return not _NEGATIVE_NUMBER.fullmatch(argument) and " " not in argument

    def _take_flag(self, argument: str) -> None:
        place = self.at
        resolution, name, joined = self._resolve(argument)
        self.at += 1
        values = (joined,) if joined is not None else self._values(self._most(resolution, name))
        self.uses.append(FlagUse(name, resolution, values, joined is not None, place))

    def _most(self, resolution: Resolution, name: str) -> int:
        """How many values may follow.

        The arity of an unknown flag is not known: all arguments up to the next flag are its
        values.
        """
        if isinstance(resolution, Unknown) and self.table.passes_on is not None:
            resolution = self.table.passes_on.resolve(name)
        if isinstance(resolution, Ambiguous | Unknown) or resolution.flag.max_values is None:
            return _ANY
        return resolution.flag.max_values

    def _values(self, most: int) -> tuple[str, ...]:
        """Up to `most` arguments that follow: click accepts any argument, argparse no flags."""
        values: list[str] = []
        while self.at < len(self.arguments) and len(values) < most:
            argument = self.arguments[self.at]
            takes_all = self.table.parser == "click" and most != _ANY
            if not takes_all and (argument == _END or self._is_flag(argument)):
                break
            values.append(argument)
            self.at += 1
        return tuple(values)

    def _resolve(self, argument: str) -> tuple[Resolution, str, str | None]:
        """The flag, its name as written, and the value joined to it."""
        whole = self.table.resolve(argument)
        if isinstance(whole, Exact):
            return whole, argument, None
        name, equals, value = argument.partition("=")
        if equals and name.startswith("--"):
            return self.table.resolve(name), name, value
        if not argument.startswith("--") and (short := self._short(argument)) is not None:
            return short
        return whole, argument, None

    def _short(self, argument: str) -> tuple[Resolution, str, str | None] | None:
        """A flag with one dash and its value in one word: `-tp=8`, `-n2`, vLLM's `-O3`.

        For click, `-n=2` gives the value "=2".
        """
        name, equals, value = argument.partition("=")
        resolution = self.table.resolve(name)
        if equals and isinstance(resolution, Exact) and self.table.parser != "click":
            return resolution, name, value
        letter = argument[:2]
        if self.table.dialect == VLLM_DIALECT and letter == "-O" and not equals:
            level = self.table.resolve("--optimization-level")
            if isinstance(level, Exact):
                return level, letter, argument[2:]
        resolution = self.table.resolve(letter)
        if isinstance(resolution, Exact) and resolution.flag.takes_value:
            return resolution, letter, argument[2:]
        return None


def values_of(argv: Sequence[str], *flags: str) -> list[str]:
    """The values that a command of any program gives to any of these flags, in their order.

    "--flag value" and "--flag=value" mean the same.
    """
    joined = [
        (at, value)
        for at, (name, equals, value) in enumerate(word.partition("=") for word in argv)
        if equals and name in flags
    ]
    apart = [(at, value) for at, (name, value) in enumerate(pairwise(argv)) if name in flags]
    return [value for _, value in sorted(joined + apart)]


def has_word(argv: Sequence[str], word: str) -> bool:
    """Whether a command holds a word; "--flag=value" may also be two words."""
    flag, equals, value = word.partition("=")
    if equals:
        return value in values_of(argv, flag)
    return any(argument == word or argument.startswith(f"{word}=") for argument in argv)
