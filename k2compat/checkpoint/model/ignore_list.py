"""The modules that a quantisation leaves as they are: names, and "re:" with an expression.

The expressions are compressed-tensors' own syntax. They come out of a config that anybody may
have written, so `regex` matches them under a time limit, which Python's `re` does not have.
"""

import re
import time
import warnings
from collections.abc import Iterable
from typing import Any, Final

import regex  # type: ignore[import-untyped]

PATTERNS_MAX: Final = 512
PATTERN_CHARACTERS_MAX: Final = 256
"""Real lists have four patterns, NVFP4's 125."""

SECONDS_MAX: Final = 2.0
"""For all matches of one list. Four patterns and all modules of Kimi-K2.5 take 0.02."""

REPETITIONS_MAX: Final = 1_000
"""`regex` unrolls counted repetitions when it compiles: (x{1000}){1000} takes gigabytes."""

_EXPRESSION: Final = "re:"
_COUNTED: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")


class PatternError(Exception):
    """The list cannot be followed. Does not leave the room."""


class IgnoreList:
    """Patterns of modules, matched within a time limit.

    Attributes:
        patterns: As the config has them.
        is_exhausted: Whether the time limit was reached; matches after that are unknown.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Compile the patterns.

        Raises:
            PatternError: There are too many, one is too long, or one is no expression.
        """
        self.patterns = tuple(patterns)
        self.is_exhausted = False
        if len(self.patterns) > PATTERNS_MAX:
            raise PatternError(f"{len(self.patterns)} patterns")
        self._names = frozenset(
            pattern for pattern in self.patterns if not pattern.startswith(_EXPRESSION)
        )
        self._expressions = [
            _compiled(pattern.removeprefix(_EXPRESSION))
            for pattern in self.patterns
            if pattern.startswith(_EXPRESSION)
        ]
        self._seconds = SECONDS_MAX
        self._known: dict[str, bool] = {}

    def __eq__(self, other: object) -> bool:
        """Lists with the same patterns are equal."""
        return isinstance(other, IgnoreList) and self.patterns == other.patterns

    def __hash__(self) -> int:
        """As `==` compares."""
        return hash(self.patterns)

    def __contains__(self, module: str) -> bool:
        """Whether a module is ignored: its whole name, or an expression from the name's start."""
        if module in self._names:
            return True
        if module not in self._known:
            self._known[module] = self._matches(module)
        return self._known[module]

    def _matches(self, module: str) -> bool:
        begin = time.monotonic()
        try:
            return any(
                expression.match(module, timeout=self._seconds) for expression in self._expressions
            )
        except TimeoutError:
            self._seconds = 0.0
            return False
        finally:
            self._seconds = max(self._seconds - (time.monotonic() - begin), 0.0)
            # A timeout of 0 means none to `regex`: without time left nothing is matched.
            if not self._seconds:
                self._expressions, self.is_exhausted = [], True


def _compiled(expression: str) -> Any:
    """The expression for `regex`.

    Raises:
        PatternError: It is too long, or engines, which use `re`, refuse it.
    """
    repetitions = 1
    for least, most in _COUNTED.findall(expression):
        repetitions *= max(int(least or 1), int(most or 1), 1)
    if len(expression) > PATTERN_CHARACTERS_MAX or repetitions > REPETITIONS_MAX:
        raise PatternError(expression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sets such as [[a]] that a later Python reads anew
            re.compile(expression)
            return regex.compile(expression)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise PatternError(expression) from error
