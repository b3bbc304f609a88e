"""The changes of each engine's flags: `engines/ENGINE/history.toml` as values.

Each change has its first version, the flag's replacement, and its source:

    [[change]]
    entry = "sglang.launch_server"
    flag = "--enable-deepep-moe"
    kind = "replaced"
    since = "0.5.5"                          # absent: between two tables, not known where
    to = ["--moe-a2a-backend", "deepep"]     # {value}: the old value; []: nothing; absent: unknown
    reason = "one sentence"
    source = "where it can be read"

    takes = 0                                # "added" alone, for a flag that no table has: its
                                             # arity, as the tables write it

A change may have conditions: `requires` and `unless` name other flags of the same command, `values`
are the values to which it applies, `containing` is a part of the value, `above_gpus` means that
the value must exceed the GPUs of a node (after multiplication with the values of the flags in
`times`), `count` is the required number of values. With `each`, `to` is written once for each
value. `{--flag}` becomes another flag's value. A `*` at a flag's end means any rest, which is
`{rest}` in `to`.
"""

import re
from collections.abc import Mapping
from functools import cache
from math import prod
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from packaging.version import Version

from k2compat.launch.engines import engine_folder
from k2compat.launch.request import GPUS_PER_NODE
from k2compat.typed_toml import parse_toml, read_toml

Kind: TypeAlias = Literal[
    "added",  # the flag exists from then on
    "renamed",  # gone, one other flag means the same
    "replaced",  # gone, `to` means the same
    "removed",  # gone; `to = []` where nothing is lost, no `to` where no successor is known
    "refused",  # the parser takes it, the engine then refuses to start
    "deprecated",  # works, and warns
    "meaning-changed",  # works, and does something else
]

# Kinds after which the parser does not know the flag.
GONE: Final = frozenset({"renamed", "replaced", "removed"})

# Kinds after which the engine does not start with it.
FATAL: Final = GONE | {"refused"}

_VALUE: Final = "{value}"
_REST: Final = "{rest}"
_ANY_REST: Final = "*"
_SECTION: Final = "\n[[change]]\n"
_FLAG: Final = re.compile(r'^flag = "([^"\\]+)"', re.MULTILINE)
_OTHER: Final = re.compile(r"\{(--?[\w-]+)\}")


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of a flag.

    Attributes:
        engine: The engine whose folder holds it; not a key of the file.
        entry: The entry point.
        flag: The name, with its dashes.
        kind: The kind of change.
        since: The first version with the change; None where it is known only from the difference
            of two tables.
        to: Today's arguments with the same meaning, with `{value}` for the old value (for several
            values, `{value}` becomes all of them); None: not known.
        requires: Other flags that must be in the command.
        unless: Other flags that must not be in the command.
        values: The values to which it applies; empty: any.
        above_gpus: Whether the value must exceed the GPUs of a node.
        times: Flags whose values multiply the value, before it is compared with the GPUs.
        count: How many values it must have; None: any number.
        containing: A text that the value must contain, in any case; "": any value.
        each: Whether `to` is written once for each value.
        takes: How many values a flag takes that was added and removed between two tables; None: a
            table has it.
        reason: The reason, in one sentence.
        source: The source of the reason.
    """

    engine: str = ""
    entry: str
    flag: str
    kind: Kind
    since: str | None = None
    to: tuple[str, ...] | None = None
    requires: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    above_gpus: bool = False
    times: tuple[str, ...] = ()
    count: int | None = None
    containing: str = ""
    each: bool = False
    takes: int | None = None
    reason: str
    source: str

    @property
    def conditional(self) -> bool:
        """Whether it applies only to some values or some commands."""
        limits = (self.requires, self.unless, self.values, self.containing)
        return any(limits) or self.above_gpus or self.count is not None

    @property
    def moves_flag(self) -> bool:
        """Whether the parser has the flag only before or only after it."""
        return self.kind in GONE or self.kind == "added"

    @property
    def successors(self) -> tuple[str, ...]:
        """The names of the flags in `to`; from `since` on they exist."""
        flags = (part.partition(".")[0] for part in self.to or () if part.startswith("--"))
        return tuple(name for name in flags if not name.endswith(_REST))

    def is_about(self, flag: str) -> bool:
        """Whether it is a change of this flag."""
        if self.flag.endswith(_ANY_REST):
            return flag.startswith(self.flag.removesuffix(_ANY_REST))
        return flag == self.flag

    def holds(
        self,
        used: Mapping[str, tuple[str, ...]],
        values: tuple[str, ...],
        gpus_per_node: int = GPUS_PER_NODE,
    ) -> bool:
        """Whether its conditions are met.

        Args:
            used: The flags in the command, by their names in the tables, with their values.
            values: The values of this flag there.
            gpus_per_node: GPUs of the node that the command runs on.
        """
        return (
            used.keys() >= set(self.requires)
            and used.keys().isdisjoint(self.unless)
            and (not self.values or not set(self.values).isdisjoint(values))
            and (self.count is None or len(values) == self.count)
            and (not self.above_gpus or self._world(used, values) > gpus_per_node)
            and self.containing in " ".join(values).lower()
        )

    def _world(self, used: Mapping[str, tuple[str, ...]], values: tuple[str, ...]) -> int:
        """The product of the value and those of the other flags; 0 where one is no number."""
        numbers = [values[-1:], *(used.get(flag, ("1",))[-1:] for flag in self.times)]
        return prod(int(one[0]) if one and one[0].isdecimal() else 0 for one in numbers)

    def arguments(
        self, flag: str, values: tuple[str, ...], others: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[str, ...] | None:
        """`to` with everything filled in.

        Args:
            flag: The flag as its table calls it.
            values: Its values in the command.
            others: The values of other flags there, for `{--flag}`.

        Returns:
            The arguments with the same meaning; empty if none are needed; None if they are not
            known, or the value of another flag is missing.
        """
        if self.to is None:
            return None
        rest = flag.removeprefix(self.flag.removesuffix(_ANY_REST))
        filled: list[str] = []
        for group in [(value,) for value in values] if self.each else [values]:
            for part in self.to:
                if part == _VALUE:
                    filled += group
                    continue
                text = part.replace(_VALUE, " ".join(group)).replace(_REST, rest)
                if (other := _OTHER.fullmatch(text)) is not None:
                    if other[1] not in others:
                        return None
                    text = others[other[1]]
                filled.append(text)
        return tuple(filled)


def changes_of(engine: str, entry: str) -> tuple[Change, ...]:
    """Every change of an entry point's flags, the oldest first, after those without a version."""
    return tuple(change for change in _history(engine) if change.entry == entry)


def changes_to(engine: str, entry: str, flag: str, version: Version) -> tuple[Change, ...]:
    """The changes of a flag up to a version, the newest first, without regard to conditions.

    Changes without a known version are included: the table of the version decides about them.

    Args:
        engine: The engine.
        entry: The entry point.
        flag: The flag's name.
        version: The engine's version.
    """
    happened = [
        change
        for change in _changes_about(engine, flag)
        if change.entry == entry and (change.since is None or _parsed(change.since) <= version)
    ]
    # For several changes of one version the first in the file counts: conditional ones are first.
    return tuple(sorted(happened, key=_version, reverse=True))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The form of a history.toml."""

    change: tuple[Change, ...] = ()


def _changes_about(engine: str, flag: str) -> list[Change]:
    """The changes of one flag, in the order of the history.

    Only their sections are parsed: a launch uses 10 of vLLM's flags, and parsing all 63 changes
    takes 3 ms, a thirtieth of its time.
    """
    sections = (
        change
        for named, section in _sections(engine)
        if named == flag or named.endswith(_ANY_REST)
        for change in _parsed_section(engine, section)
    )
    return sorted((change for change in sections if change.is_about(flag)), key=_version)


@cache
def _sections(engine: str) -> tuple[tuple[str, str], ...]:
    """Each section of a history as its text, with the flag that it names."""
    path = engine_folder(engine) / "history.toml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    _, *sections = f"\n{text}".split(_SECTION)
    named = ((_FLAG.search(section), section) for section in sections)
    # A flag in another spelling is searched for in the parsed section.
    return tuple((match[1] if match else _ANY_REST, section) for match, section in named)


@cache
def _parsed_section(engine: str, section: str) -> tuple[Change, ...]:
    try:
        changes = parse_toml(f"{_SECTION}{section}", _File, engine_folder(engine)).change
    except ValueError:
        return _history(engine)  # which names the place of the mistake
    return tuple(msgspec.structs.replace(change, engine=engine) for change in changes)


@cache
def _history(engine: str) -> tuple[Change, ...]:
    path = engine_folder(engine) / "history.toml"
    changes = read_toml(path, _File).change if path.exists() else ()
    named = (msgspec.structs.replace(change, engine=engine) for change in changes)
    return tuple(sorted(named, key=_version))


def _version(change: Change) -> Version:
    return _parsed(change.since or "0")


@cache
def _parsed(version: str) -> Version:
    """A version as a value; each command uses the same 40 versions a thousand times."""
    return Version(version)
