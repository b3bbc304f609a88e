"""What each engine's own parser accepts, by version: the tables, and finding a flag in them.

The tables are data (`flag_tables/ENGINE.json`), one for a few versions of each engine, made
by `scripts/refresh_engine_flags.py` from the engines' parsers or sources:

    engine → tables, oldest first: version, stands_for (a version to sort by, where the name is
    none), source → entries (entry points): parser (argparse | click), dialect, positionals, flags

A flag is {names, nargs (absent: one value), off (the names that say no), type, choices,
required, deprecated, repeatable, default}. For a version between two tables the nearer one
answers, after what `flag_history.toml` knows about flags that came or went in between.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from packaging.version import InvalidVersion, Version

from k2compat.errors import RefusedError
from k2compat.launch.flags.history import Change, changes_of

ValueType: TypeAlias = Literal["str", "int", "float", "size", "bool", "json", "json object"]

# An engine's dialect that differs from plain argparse: vLLM's parser takes underscores for
# dashes and `--json-flag.key value` for a member of a JSON value.
VLLM_DIALECT: Final = "vllm"

ENGINES: Final = ("vllm", "sglang", "ktransformers", "trtllm")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of an entry point, as its parser declares it.

    Attributes:
        names: Every spelling, with its dashes; the first is how it is shown.
        least: How many values it needs at least.
        most: How many it takes at most; None is any number.
        off: Those of the names that say no (`--no-x`, `--disable-x`).
        type: What a value must look like.
        choices: The only values allowed; empty where any is.
        required: Whether the parser refuses a command line without it.
        deprecated: Whether it still works and warns.
        repeatable: Whether each use adds; otherwise the last one wins.
        default: The parser's default where it is a number or a short text.
    """

    names: tuple[str, ...]
    least: int = 1
    most: int | None = 1
    off: tuple[str, ...] = ()
    type: ValueType = "str"
    choices: tuple[str, ...] = ()
    required: bool = False
    deprecated: bool = False
    repeatable: bool = False
    default: str | int | float | None = None

    @property
    def name(self) -> str:
        """How the flag is shown: the first of its long names that does not say no."""
        long = (name for name in self.names if name.startswith("--") and name not in self.off)
        return next(long, self.names[0])

    @property
    def takes_value(self) -> bool:
        """Whether a value may follow it."""
        return self.most != 0


@dataclass(frozen=True, slots=True)
class Exact:
    """The name is a flag's. `member` is what follows the dot in vLLM's `--flag.member`."""

    flag: Flag
    member: str = ""


@dataclass(frozen=True, slots=True)
class Abbreviated:
    """The name is the beginning of one flag's name only; argparse takes it for that."""

    flag: Flag
    full_name: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The name begins several flags' names; argparse refuses it."""

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """No flag has the name. `nearest` is the most similar one, "" where none is near."""

    nearest: str


Resolution: TypeAlias = Exact | Abbreviated | Ambiguous | Unknown


@dataclass(frozen=True, slots=True)
class Positional:
    """An argument without a name."""

    name: str
    required: bool


@dataclass(frozen=True)  # no slots: it keeps an index of its names
class FlagTable:
    """What one entry point of an engine accepts at one version.

    Attributes:
        engine: vllm, sglang, ktransformers or trtllm.
        version: The version asked for.
        checked_by: The version of the table that answers for it.
        entry: The entry point, such as "serve" or "sglang.launch_server".
        parser: What reads the command line: prefixes are argparse's, click has none.
        dialect: "vllm" for vLLM's own additions to argparse, otherwise "".
        flags: Every flag.
        positionals: The arguments without names, in order.
        source: Where the table comes from.
        passes_on: The table of the program that gets every flag this one does not know, as
            `kt run` hands on to SGLang's server.
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
    passes_on: "FlagTable | None" = None

    def find(self, name: str) -> Flag | None:
        """The flag of exactly this name, dashes included; None where there is none."""
        return self._by_name.get(name)

    def resolve(self, name: str) -> Resolution:
        """What this entry point's parser makes of a flag's name.

        Args:
            name: A name with its dashes, without `=value`.
        """
        spelled = self._spelled(name)
        if flag := self.find(spelled):
            return Exact(flag)
        if self.dialect == VLLM_DIALECT and "." in spelled:
            stem, member = spelled.split(".", 1)
            resolution = self.resolve(stem)
            if isinstance(resolution, Exact):
                return Exact(resolution.flag, member)
            return resolution
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
    near = get_close_matches(name, names, n=1)
    return near[0] if near else ""


def table_versions(engine: str) -> tuple[str, ...]:
    """The versions that have tables, oldest first.

    Raises:
        RefusedError: engine-unknown.
    """
    return tuple(table["version"] for table in _tables(engine))


def newest_version(engine: str) -> str:
    """The newest version that has a table.

    Raises:
        RefusedError: engine-unknown.
    """
    return table_versions(engine)[-1]


def version_of(engine: str, version: str) -> Version:
    """A version as a value that compares; the names of tables are versions too.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid.
    """
    named = {table["version"]: table.get("stands_for") for table in _tables(engine)}
    try:
        return Version(named.get(version) or version)
    except InvalidVersion as error:
        known = ", ".join(named)
        raise RefusedError(
            "engine-version-invalid",
            f"{version!r} is no version of {engine}.",
            hint=f"Give a number such as {Version(_sorts_as(_tables(engine)[0]))}, "
            f"or a table's name: {known}.",
        ) from error


def entry_points(engine: str) -> tuple[str, ...]:
    """The names of an engine's entry points, those of the newest table first.

    Raises:
        RefusedError: engine-unknown.
    """
    newest_first = reversed(_tables(engine))
    return tuple(dict.fromkeys(entry for table in newest_first for entry in table["entries"]))


def flag_table(engine: str, version: str, entry: str) -> FlagTable:
    """What an entry point accepts at a version: the nearer table, mended by the history.

    Near is told by the first number in which the versions of the two tables differ; of two
    equally near tables the newer answers. Whether the entry point still exists at that version
    is another question (`entry_points.entry_at`).

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        version: A version (PEP 440) or a table's name.
        entry: The entry point.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown.
    """
    wanted = version_of(engine, version)
    return _flag_table(engine, version, wanted, entry)


@cache
def _flag_table(engine: str, version: str, wanted: Version, entry: str) -> FlagTable:
    having = [table for table in _tables(engine) if entry in table["entries"]]
    if not having:
        raise RefusedError(
            "entry-unknown",
            f"{engine} has no entry point {entry!r}.",
            hint=f"Known are: {', '.join(entry_points(engine))}.",
        )
    nearest = _nearest(having, wanted)
    data = nearest["entries"][entry]
    passes_on = data.get("passes_on_to")
    others = {table["version"]: _entry_flags(table["entries"][entry]) for table in having}
    flags = _mended(others, nearest["version"], engine, entry, wanted)
    if wanted != Version(_sorts_as(nearest)):
        flags = tuple(_with_every_choice(flag, others.values()) for flag in flags)
    return FlagTable(
        engine=engine,
        version=version,
        checked_by=nearest["version"],
        entry=entry,
        parser=data["parser"],
        dialect=data.get("dialect", ""),
        flags=flags,
        positionals=tuple(
            Positional(item["name"], item["required"]) for item in data.get("positionals", ())
        ),
        source=nearest["source"],
        passes_on=None if passes_on is None else flag_table(**passes_on),
    )


def _nearest(tables: list[dict[str, Any]], wanted: Version) -> dict[str, Any]:
    older = [table for table in tables if Version(_sorts_as(table)) <= wanted]
    newer = [table for table in tables if Version(_sorts_as(table)) > wanted]
    if not older or not newer:
        return older[-1] if older else newer[0]
    before, after = Version(_sorts_as(older[-1])), Version(_sorts_as(newer[0]))
    width = max(len(v.release) for v in (before, wanted, after))
    releases = [_padded(v, width) for v in (before, wanted, after)]
    # Two pre-releases of one version differ in no number; the older one answers.
    triples = (triple for triple in zip(*releases, strict=True) if triple[0] != triple[2])
    low, middle, high = next(triples, (0, 0, 1))
    return older[-1] if middle - low < high - middle else newer[0]


def _padded(version: Version, width: int) -> tuple[int, ...]:
    return (*version.release, *[0] * (width - len(version.release)))


def _sorts_as(table: Mapping[str, Any]) -> str:
    return str(table.get("stands_for", table["version"]))


def _mended(
    others: Mapping[str, tuple[Flag, ...]], base: str, engine: str, entry: str, wanted: Version
) -> tuple[Flag, ...]:
    """The base table's flags, without what was not there at that version, with what was."""
    known = {name: flag for flags in others.values() for flag in flags for name in flag.names}
    flags = {name: flag for flag in others[base] for name in flag.names}
    changes = [change for change in changes_of(engine, entry) if change.since is not None]
    for change in changes:
        if change.takes is not None:
            known[change.flag] = Flag((change.flag,), change.takes, change.takes)
    for change in changes:
        _mend(flags, known, change, happened=Version(str(change.since)) <= wanted)
    for change in changes:  # what went later was not there before it came
        if change.kind == "added" and Version(str(change.since)) > wanted:
            flags.pop(change.flag, None)
    # A flag may have lost one of its names only.
    alive: dict[tuple[str, ...], Flag] = {}
    for flag in flags.values():
        names = tuple(name for name in flag.names if name in flags)
        alive.setdefault(names, replace(flag, names=names, off=_kept(flag.off, names)))
    return tuple(alive.values())


def _with_every_choice(flag: Flag, tables: Iterable[tuple[Flag, ...]]) -> Flag:
    """The flag with the choices of all tables: between two of them, nobody knows which."""
    same = [
        other for flags in tables for other in flags if not set(flag.names).isdisjoint(other.names)
    ]
    if not all(other.choices for other in same):
        return replace(flag, choices=())
    every = dict.fromkeys(choice for other in same for choice in other.choices)
    return replace(flag, choices=tuple(every))


def _mend(
    flags: dict[str, Flag], known: Mapping[str, Flag], change: Change, *, happened: bool
) -> None:
    there = list(change.successors) if happened else []
    if change.kind == "deprecated" and not happened and change.flag in flags:
        flags[change.flag] = replace(flags[change.flag], deprecated=False)
    if change.moves_flag and not change.conditional:
        if happened == (change.kind == "added"):
            there.append(change.flag)
        else:
            flags.pop(change.flag, None)
    for name in there:
        if name in known:
            flags.setdefault(name, known[name])


def _kept(names: tuple[str, ...], alive: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in alive)


def _entry_flags(entry: Mapping[str, Any]) -> tuple[Flag, ...]:
    flags = tuple(_flag(item) for item in entry["flags"])
    if "same_as" not in entry:
        return flags
    other = flag_table(**entry["same_as"])
    own = {name for flag in flags for name in flag.names}
    return (*(flag for flag in other.flags if not own.intersection(flag.names)), *flags)


_ARITIES: Final[Mapping[Any, tuple[int, int | None]]] = {
    "?": (0, 1),
    "*": (0, None),
    "+": (1, None),
}


def _flag(item: Mapping[str, Any]) -> Flag:
    nargs = item.get("nargs", 1)
    least, most = _ARITIES.get(nargs, (nargs, nargs))
    return Flag(
        names=tuple(item["names"]),
        least=least,
        most=most,
        off=tuple(item.get("off", ())),
        type=item.get("type", "str"),
        choices=tuple(str(choice) for choice in item.get("choices", ())),
        required=item.get("required", False),
        deprecated=item.get("deprecated", False),
        repeatable=item.get("repeatable", False),
        default=item.get("default"),
    )


@cache
def _tables(engine: str) -> tuple[dict[str, Any], ...]:
    if engine not in ENGINES:
        near = get_close_matches(engine, ENGINES, n=1)
        raise RefusedError(
            "engine-unknown",
            f"There is no engine {engine!r} here.",
            hint=f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(ENGINES)}.",
        )
    text = files("k2compat.launch").joinpath("engines", engine, "flags.json").read_text("utf-8")
    tables: list[dict[str, Any]] = json.loads(text)["tables"]
    return tuple(sorted(tables, key=lambda table: Version(_sorts_as(table))))
