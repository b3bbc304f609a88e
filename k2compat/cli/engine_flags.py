"""Errors for an engine's flags on our command line, which are not options of ours.

People type `--tp 16` or `--max-model-len 4096` as for the engine. The message names the right form:
`--set`, or an option of the command.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from k2compat.cli.sections import SectionedCommand
from k2compat.errors import RefusedError
from k2compat.launch.flags import (
    ENGINES,
    Abbreviated,
    Flag,
    FlagTable,
    entry_points,
    flag_table,
    newest_version,
    size_flag,
)
from k2compat.shell_line import shell_line

# Names that people type for options of ours; no engine has a flag of these names.
_OTHER_NAMES: Mapping[str, str] = {
    "gpus": "--gpus-per-node",
    "gpu-count": "--gpus-per-node",
    "num-gpus": "--gpus-per-node",
    "n-gpus": "--gpus-per-node",
    "num-nodes": "--nodes",
    "hosts": "--nodes",
}


class EngineCommand(SectionedCommand):
    """A command whose first argument is an engine: errors name the form for the engine's flags."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments.

        Raises:
            RefusedError: wrong-usage, for an option that the command does not have.
        """
        words = list(args)  # click takes words from the list
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            raise _unknown_option(words, error) from error


def flags_of(engine: str) -> Iterator[Flag]:
    """The flags of an engine's entry points at its newest version; none without an engine."""
    for table in _tables(engine):
        yield from table.flags


def _tables(engine: str) -> Iterator[FlagTable]:
    if engine not in ENGINES:
        return
    version = newest_version(engine)
    for entry in entry_points(engine):
        with suppress(RefusedError):  # an entry point of older versions only
            yield flag_table(engine, version, entry)


def _unknown_option(words: Sequence[str], error: click.NoSuchOption) -> RefusedError:
    name, value = _as_typed(words, error.option_name)
    message = f"{name} is no option of this command."
    return RefusedError("wrong-usage", message, hint=_way_out(words, name, value, error))


def _as_typed(words: Sequence[str], option: str) -> tuple[str, str | None]:
    """The word that click refused, and its value; for `-tp 4` click names only `-t`."""
    for word, after in zip(words, (*words[1:], "-"), strict=True):
        name, equals, value = word.partition("=")
        is_short = not option.startswith("--") and name.startswith(option)
        if name == option or is_short:
            return name, value if equals else None if after.startswith("-") else after
    return option, None


def _way_out(words: Sequence[str], name: str, value: str | None, error: click.NoSuchOption) -> str:
    if _stem(name) in _OTHER_NAMES:
        return f"Did you mean {_OTHER_NAMES[_stem(name)]}?"
    engine = next((word.lower() for word in words if word.lower() in ENGINES), "")
    near = [option for option in error.possibilities or () if option != "--help"]
    begun = sorted(option for option in near if option.startswith(name))
    flag = _find(engine, name, abbreviated=not begun)
    if flag is not None:
        setting = flag.name.lstrip("-")
        if flag.takes_value:
            setting += f"={value or 'VALUE'}"
        return f"It is a flag of {engine}. Pass it through: {shell_line('--set', setting)}"
    own = size_flag(engine, name) if engine else None
    if own is not None:
        setting = f"{own.lstrip('-')}={value or 'VALUE'}"
        return f"{engine} takes it as {own}. Pass it through: {shell_line('--set', setting)}"
    others = [other for other in ENGINES if other != engine and _find(other, name)]
    passed = f"A flag of {engine or 'the engine'} is passed through with --set FLAG=VALUE"
    if others:
        return f"It is a flag of {' and '.join(others)}. {passed}"
    ours = " or ".join(begun or near[:1])
    return f"Did you mean {ours}? {passed}" if ours else passed


def _find(engine: str, name: str, *, abbreviated: bool = False) -> Flag | None:
    """The flag of that name without regard to dashes, or the one whose name begins with it."""
    stem = _stem(name)
    for flag in flags_of(engine):
        if stem in map(_stem, flag.names):
            return flag
    found = (table.resolve(f"--{stem}") for table in _tables(engine) if abbreviated)
    return next((each.flag for each in found if isinstance(each, Abbreviated)), None)


def _stem(name: str) -> str:
    return name.lstrip("-").replace("_", "-")
