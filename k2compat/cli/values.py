"""The types of values on the command line, each with a message that names the fix."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

_SCALES = {"k": 1_000, "K": 1_024, "m": 1_000**2, "M": 1_024**2}  # as vLLM reads them


class _Text(click.types.StringParamType):
    """Any text that is not empty: a shell turns an unset variable into an empty value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("it is empty: a shell variable may be unset.", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.types.IntParamType):
    """A whole number within a range."""

    def __init__(self, least: int, most: int) -> None:
        """Take the range, both ends included."""
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if not text.strip():
            self.fail("it is empty: a shell variable may be unset.", param, ctx)
        number = int(text) if text.isdecimal() and len(text) < len(str(self._most)) + 1 else 0
        if not self._least <= number <= self._most:
            words = f"{text!r} is no whole number from {self._least:,} to {self._most:,}."
            self.fail(words, param, ctx)
        return number


class _Tokens(Number):
    """A number of tokens. What 128k means differs between engines, so it is asked for in full."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        scale = _SCALES.get(text[-1:], 0)
        if scale and text[:-1].isdecimal():
            self.fail(f"write {text!r} in full: {int(text[:-1][:9]) * scale}.", param, ctx)
        return super().convert(value, param, ctx)


class Engine(click.Choice[str]):
    """An engine by its name in any case; a misspelt one gets the nearest."""

    def __init__(self, engines: Sequence[str], aliases: Callable[[], Mapping[str, str]]) -> None:
        """Take the engines, and how their other names are found: each name with its engine."""
        super().__init__(engines, case_sensitive=False)
        self._aliases = aliases

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        lower = str(value).lower()
        if lower not in self.choices:
            from difflib import get_close_matches

            aliases = self._aliases()
            for near in get_close_matches(lower, [*self.choices, *aliases], n=1):
                meant = aliases.get(near, near)
                self.fail(f"there is no engine {value!r}; the nearest is {meant}.", param, ctx)
        return super().convert(value, param, ctx)


TEXT = _Text()
TOKENS = _Tokens(1, 1 << 40)
