"""Patterns of modules, in every spelling that configs of quantisations use.

    model.layers.0.mlp           a name; what else it covers depends on the config's program
    model.layers.0.self_attn*    a glob
    re:.*self_attn.*             a regular expression, matched from the name's start

The patterns come from an untrusted file. `regex` matches expressions under a time limit, which
Python's `re` does not have. Names, and the globs and expressions that only compare a beginning, are
looked up in sets, so that a list of thousands takes linear time.
"""

import fnmatch
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

from k2compat.printable import counted

PATTERNS_MAX: Final = 1 << 18
"""Lists of exports by module have one entry for each of 69,120 experts' projections."""

EXPRESSIONS_MAX: Final = 512
PATTERN_CHARACTERS_MAX: Final = 256
"""Real lists have four expressions; of globs, NVFP4's have 125."""

SECONDS_MAX: Final = 2.0
"""For all matches of one list. Four patterns and all modules of Kimi-K2.5 take 0.02."""

REPETITIONS_MAX: Final = 1_000
"""`regex` unrolls counted repetitions when it compiles: (x{1000}){1000} takes gigabytes."""

Bare = Literal["exact", "below", "substring"]
"""What a name without any wildcard covers: only the module; also all modules below it, and for a
name without a dot each module with that part (SGLang compares parts); every module whose name
contains it."""

EXPRESSION: Final = "re:"
_WILDCARDS: Final = "*?["
_COUNTED: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_LITERAL: Final = re.compile(r"((?:[\w-]|\\\.)+)(\$|\.\*\$?)?")
"""An expression for a beginning ("model\\.layers\\.0\\.mlp.*") or a whole name."""

_FUSED: Final = {
    "gate_up_proj": ("gate_proj", "up_proj"),
    "fused_qkv_a_proj_with_mqa": ("q_a_proj", "kv_a_proj_with_mqa"),
    "fused_qkv_a_proj": ("q_a_proj", "kv_a_proj_with_mqa"),
}
"""Names under which vLLM and SGLang join modules (packed_modules_mapping); lists may have them."""

_ONE_EXPERT: Final = re.compile(r"experts?\W{1,4}\[?[0-9](?!-9\])")
"""A pattern that treats the experts of a layer differently."""


class PatternError(Exception):
    """The list cannot be used. This room catches it."""


class ModulePatterns:
    """Patterns of modules, matched within a time limit.

    Attributes:
        patterns: The patterns of the config.
        bare: What a name without any wildcard covers.
        is_exhausted: Whether the time limit was reached; matches after that are unknown.
        names_experts: Whether a pattern treats the experts of a layer differently.
    """

    def __init__(self, patterns: Iterable[str] = (), bare: Bare = "exact") -> None:
        """Sort the patterns by what they compare, and compile the expressions.

        Raises:
            PatternError: There are too many, one is too long, or one is no expression.
        """
        self.patterns = tuple(patterns)
        self.bare = bare
        self.is_exhausted = False
        if len(self.patterns) > PATTERNS_MAX:
            raise PatternError(counted(len(self.patterns), "pattern"))
        self.names_experts = any(map(_ONE_EXPERT.search, self.patterns))
        self._names: set[str] = set()
        self._beginnings: set[str] = set()
        self._parts: set[str] = set()
        self._substrings: list[str] = []
        self._expressions: list[Any] = []
        for pattern in self.patterns:
            for each in _unfused(pattern):
                self._take(each)
        self._lengths = sorted({len(beginning) for beginning in self._beginnings})
        if len(self._expressions) + len(self._substrings) > EXPRESSIONS_MAX:
            raise PatternError(counted(len(self._expressions), "expression"))
        self._seconds = SECONDS_MAX
        self._known: dict[str, bool] = {}

    def _take(self, pattern: str) -> None:
        if pattern.startswith(EXPRESSION):
            self._take_expression(pattern.removeprefix(EXPRESSION))
        elif any(map(pattern.__contains__, _WILDCARDS)):
            self._take_glob(pattern)
        elif self.bare == "substring":
            self._substrings.append(_short(pattern))
        else:
            self._names.add(pattern)
            if self.bare == "below":
                self._beginnings.add(f"{pattern}.")
                if "." not in pattern:
                    self._parts.add(pattern)

    def _take_expression(self, expression: str) -> None:
        literal = _LITERAL.fullmatch(expression)
        if literal is None:
            self._expressions.append(_compiled(expression))
        elif literal[2] == "$":
            self._names.add(literal[1].replace("\\.", "."))
        else:
            self._beginnings.add(literal[1].replace("\\.", "."))

    def _take_glob(self, glob: str) -> None:
        beginning = glob.removesuffix("*")
        if any(map(beginning.__contains__, _WILDCARDS)):
            self._expressions.append(_compiled(fnmatch.translate(glob)))
        else:
            self._beginnings.add(beginning)

    def __eq__(self, other: object) -> bool:
        """Lists with the same patterns, read in the same way, are equal."""
        return (
            isinstance(other, ModulePatterns)
            and self.patterns == other.patterns
            and self.bare == other.bare
        )

    def __hash__(self) -> int:
        """Equal for equal lists."""
        return hash((self.patterns, self.bare))

    def __contains__(self, module: str) -> bool:
        """Whether a pattern covers a module."""
        if module in self._names or any(
            module[:length] in self._beginnings for length in self._lengths
        ):
            return True
        if self._parts and not self._parts.isdisjoint(module.split(".")):
            return True
        if not self._expressions and not self._substrings:
            return False
        if module not in self._known:
            self._known[module] = self._matches(module)
        return self._known[module]

    def _matches(self, module: str) -> bool:
        if any(map(module.__contains__, self._substrings)):
            return True
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
            # To `regex` a timeout of 0 means no timeout, so nothing is matched if no time is left.
            if not self._seconds:
                self._expressions, self.is_exhausted = [], True


def _unfused(pattern: str) -> Iterable[str]:
    """The pattern, or the patterns of the modules that an engine joins under its name."""
    for fused, halves in _FUSED.items():
        if fused in pattern:
            return [pattern.replace(fused, half) for half in halves]
    return (pattern,)


def _short(pattern: str) -> str:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise PatternError(pattern)
    return pattern


def _compiled(expression: str) -> Any:
    """The expression for `regex`.

    Raises:
        PatternError: It is too long, or engines, which use `re`, refuse it.
    """
    import regex  # type: ignore[import-untyped]  # 5 ms, for expressions alone

    repetitions = 1
    for least, most in _COUNTED.findall(expression):
        repetitions *= max(int(least or 1), int(most or 1), 1)
    if repetitions > REPETITIONS_MAX:
        raise PatternError(expression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sets such as [[a]], a FutureWarning
            re.compile(_short(expression))
            return regex.compile(expression)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise PatternError(expression) from error


class UnknownSettingError(Exception):
    """A setting that the dialect does not know. This room catches it."""


def patterns(values: object, bare: Bare = "exact") -> ModulePatterns:
    """A config's list of modules.

    Raises:
        UnknownSettingError: It is no list of strings, or cannot be followed.
    """
    if values is None:
        values = []
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise UnknownSettingError("the list of modules")
    return compiled(values, bare)


def compiled(values: Iterable[str], bare: Bare = "exact") -> ModulePatterns:
    """Patterns of modules.

    Raises:
        UnknownSettingError: They cannot be followed.
    """
    try:
        return ModulePatterns(values, bare)
    except PatternError as error:
        raise UnknownSettingError("the list of modules") from error


# The text before "layers." in a name, a glob or an expression; ".*" there covers every prefix.
_BEFORE_LAYERS: Final = re.compile(r"(?:re:)?\^?((?:\w+\\?\.)*)layers\\?\.")

PREFIXES: Final = (
    "model.",
    "language_model.model.",
    "language_model.",
    "model.language_model.",
    "",
)
"""The prefixes before "layers." that programs write for the same text model: SGLang issues 18370
and 24477 are about lists with another prefix than the tensors."""


def layer_prefixes(lists: Iterable[ModulePatterns | None]) -> tuple[str, ...]:
    """What precedes "layers." in the lists of a config, the most frequent first."""
    found: Counter[str] = Counter()
    for one in lists:
        for pattern in () if one is None else one.patterns:
            match = _BEFORE_LAYERS.match(pattern)
            if match and match[1].replace("\\", "") in PREFIXES:
                found[match[1].replace("\\", "")] += 1
    return tuple(prefix for prefix, _ in found.most_common())
