"""The flags of one entry point of an engine at one version, and the search for a flag.

The values are structs of msgspec, like the tables: Python takes 0.5 ms to create one dataclass,
and every launch would create them all.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Final, Literal, TypeAlias

import msgspec
from packaging.version import Version

from k2compat.launch.flags.history import Change, changes_to

ValueType: TypeAlias = Literal["str", "int", "float", "size", "bool", "json", "json object"]

# An engine's dialect that differs from plain argparse: vLLM's parser takes underscores for
# dashes and `--json-flag.key value` for a member of a JSON value.
VLLM_DIALECT: Final = "vllm"


class Flag(msgspec.Struct, frozen=True):
    """One flag of an entry point, as its parser declares it.

    Attributes:
        names: Every spelling, with its dashes; messages use the first.
        min_values: How many values it needs at least.
        max_values: How many values it takes at most; None is any number.
        negative_names: The names that switch the flag off (`--no-x`, `--disable-x`).
        type: The kind of a value.
        choices: The only allowed values; empty if any value is allowed.
        required: Whether the parser refuses a command line without it.
        deprecated: Whether it still works and warns.
        repeatable: Whether each use adds a value; otherwise the last one wins.
        default: The parser's default where it is a number or a short text.
    """

    names: tuple[str, ...]
    min_values: int = 1
    max_values: int | None = 1
    negative_names: tuple[str, ...] = ()
    type: ValueType = "str"
    choices: tuple[str, ...] = ()
    required: bool = False
    deprecated: bool = False
    repeatable: bool = False
    default: str | int | float | None = None

    @property
    def name(self) -> str:
        """Its name in messages: the first of its long names that does not switch it off."""
        long = (
            name for name in self.names if name.startswith("--") and name not in self.negative_names
        )
        return next(long, self.names[0])

    @property
    def takes_value(self) -> bool:
        """Whether a value may follow it."""
        return self.max_values != 0


class Exact(msgspec.Struct, frozen=True):
    """The name is a flag's. `member` is the part after the dot in vLLM's `--flag.member`."""

    flag: Flag
    member: str = ""


class Abbreviated(msgspec.Struct, frozen=True):
    """The name is the beginning of exactly one flag's name, which argparse then uses."""

    flag: Flag
    full_name: str


class Ambiguous(msgspec.Struct, frozen=True):
    """The name begins several flags' names; argparse refuses it."""

    candidates: tuple[str, ...]


class Unknown(msgspec.Struct, frozen=True):
    """No flag has the name. `nearest` is the most similar one, "" where none is near."""

    nearest: str


Resolution: TypeAlias = Exact | Abbreviated | Ambiguous | Unknown


class Positional(msgspec.Struct, frozen=True):
    """An argument without a name."""

    name: str
    required: bool


class FlagTable(msgspec.Struct, frozen=True, dict=True):  # it keeps an index of its names
    """What one entry point of an engine accepts at one version.

    Attributes:
        engine: Its engine.
        version: The version asked for.
        checked_by: The version of the table that is used for it.
        entry: The entry point, such as "serve" or "sglang.launch_server".
        parser: The parser's library: argparse accepts prefixes, click does not.
        dialect: "vllm" for vLLM's own additions to argparse, otherwise "".
        flags: Every flag.
        positionals: The arguments without names, in order.
        source: Where the table comes from.
        passes_on: The table of the program that gets every unknown flag, as `kt run` passes them on
            to SGLang's server.
        at: The version asked for, as a value that compares.
        is_oldest: Whether the engine's oldest table is used.
    """

    engine: str
    version: str
    checked_by: str
    entry: str
    parser: Literal["argparse", "click"]
    dialect: str
    flags: tuple[Flag, ...]
    positionals: tuple[Positional, ...]
    source: str
    at: Version
    passes_on: "FlagTable | None" = None
    is_oldest: bool = False

    def changes_to(self, flag: str) -> tuple[Change, ...]:
        """The changes of a flag up to this version; see `history.changes_to`."""
        return changes_to(self.engine, self.entry, flag, self.at)

    def find(self, name: str) -> Flag | None:
        """The flag of exactly this name, dashes included; None where there is none."""
        return self._by_name.get(name)

    def resolve(self, name: str) -> Resolution:
        """The flag that this entry point's parser finds by a name.

        Args:
            name: A name with its dashes, without `=value`.
        """
        spelled = self._spelled(name)
        if flag := self.find(spelled):
            return Exact(flag)
        if self.dialect == VLLM_DIALECT and "." in spelled and "=" not in spelled:
            stem, member = spelled.split(".", 1)
            resolution = self.resolve(stem)
            if isinstance(resolution, Exact):
                return Exact(resolution.flag, member)
            return resolution
        if self.passes_on is not None and self.passes_on.find(spelled) is not None:
            return Unknown("")  # the next program has it; no abbreviation
        beginnings = tuple(self._beginning_with(spelled)) if self.parser == "argparse" else ()
        if len(beginnings) > 1:
            return Ambiguous(tuple(full for full, _ in beginnings))
        if beginnings:
            full, flag = beginnings[0]
            return Abbreviated(flag, full)
        return Unknown(self.nearest(spelled))

    def nearest(self, name: str) -> str:
        """The most similar name of a flag, "" where none is near."""
        near = _nearest_of(tuple(self._by_name), name)
        return near or ("" if self.passes_on is None else self.passes_on.nearest(name))

    @cached_property
    def _by_name(self) -> Mapping[str, Flag]:
        return {name: flag for flag in self.flags for name in flag.names}

    def _spelled(self, name: str) -> str:
        if self.dialect != VLLM_DIALECT or not name.startswith("--"):
            return name
        stem, dot, member = name.partition(".")
        return stem.replace("_", "-") + dot + member

    def _beginning_with(self, name: str) -> Iterator[tuple[str, Flag]]:
        """The long names that begin with `name`; a single dash abbreviates nothing here."""
        if name.startswith("--") and len(name) > len("--"):
            for full, flag in self._by_name.items():
                if full.startswith(name):
                    yield full, flag


@lru_cache
def _nearest_of(names: tuple[str, ...], name: str) -> str:
    from difflib import get_close_matches

    stems = {full.lstrip("-"): full for full in names}  # the dashes alone make --uds like --bogus
    near = get_close_matches(name.lstrip("-"), stems, n=1)
    return stems[near[0]] if near else ""
