"""The tables of flags, and the choice of the table for a version.

The tables are data (`engines/ENGINE/flags.json`), made by `scripts/refresh_engines.py` from
the engines' parsers or sources. A table for each version would be a hundred files without review.
So each engine has tables for a few versions, and its history (`history.toml`) has the changes
between them. A version between two tables uses the nearer one, corrected by the history. It
accepts a choice that is in either table: a wrong refusal would stop a command that works.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal

import msgspec
from msgspec.structs import replace
from packaging.version import InvalidVersion, Version

from k2compat.errors import RefusedError
from k2compat.launch.engines import engine_folder
from k2compat.launch.flags.history import Change, changes_of
from k2compat.launch.flags.table import Flag, FlagTable, Positional, ValueType

_ARITIES: Final[Mapping[int | str, tuple[int, int | None]]] = {
    "?": (0, 1),
    "*": (0, None),
    "+": (1, None),
}


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flag in flags.json, which leaves out the usual values. `off`: the negative names."""

    names: tuple[str, ...]
    nargs: int | Literal["?", "*", "+"] = 1
    off: tuple[str, ...] = ()
    type: ValueType = "str"
    choices: tuple[str | int | float, ...] = ()
    required: bool = False
    deprecated: bool = False
    repeatable: bool = False
    default: str | int | float | None = None
    help: bool = False


class _Other(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table of another program."""

    engine: str
    version: str
    entry: str

    def table(self) -> FlagTable:
        return flag_table(self.engine, self.version, self.entry)


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry point; see `FlagTable`."""

    parser: Literal["argparse", "click"]
    flags: tuple[_Row, ...]
    dialect: str = ""
    positionals: tuple[Positional, ...] = ()
    passes_on_to: _Other | None = None


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The entry points of one version.

    Attributes:
        stands_for: A version to sort it by, if its name is no version.
        read_from: The modules that declare the flags.
    """

    version: str
    source: str
    entries: dict[str, _Entry]
    stands_for: str | None = None
    read_from: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The form of a flags.json."""

    engine: str
    tables: tuple[_Table, ...]


def table_versions(engine: str) -> tuple[str, ...]:
    """The versions that have tables, oldest first.

    Raises:
        RefusedError: engine-unknown.
    """
    return tuple(table.version for table in _tables(engine))


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
    named = {table.version: table.stands_for for table in _tables(engine)}
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
    return tuple(dict.fromkeys(entry for table in newest_first for entry in table.entries))


def flag_table(engine: str, version: str, entry: str) -> FlagTable:
    """The flags of an entry point at a version: the nearer table, corrected by the history.

    The first number in which the versions of the two tables differ decides which is nearer; of
    two equally near tables the newer is used. `entry_points.entry_at` checks whether the entry
    point still exists at that version.

    Args:
        engine: One of the engines.
        version: A version (PEP 440) or a table's name.
        entry: The entry point.

    Raises:
        RefusedError: engine-unknown, engine-version-invalid, entry-unknown.
    """
    wanted = version_of(engine, version)
    return _flag_table(engine, version, wanted, entry)


@cache
def _flag_table(engine: str, version: str, wanted: Version, entry: str) -> FlagTable:
    having = [table for table in _tables(engine) if entry in table.entries]
    if not having:
        raise RefusedError(
            "entry-unknown",
            f"{engine} has no entry point {entry!r}.",
            hint=f"Known are: {', '.join(entry_points(engine))}.",
        )
    nearest = _nearest(having, wanted)
    data = nearest.entries[entry]
    passes_on = data.passes_on_to
    if wanted == Version(_sorts_as(nearest)):
        flags = _entry_flags(data)  # read from that version's own parser
    else:
        others = {table.version: _entry_flags(table.entries[entry]) for table in having}
        flags = tuple(
            _with_merged_choices(flag, others.values())
            for flag in _with_history(others, nearest.version, engine, entry, wanted)
        )
    return FlagTable(
        engine=engine,
        version=version,
        checked_by=nearest.version,
        entry=entry,
        parser=data.parser,
        dialect=data.dialect,
        flags=flags,
        positionals=data.positionals,
        source=nearest.source,
        at=wanted,
        is_oldest=nearest is _tables(engine)[0],
        passes_on=None if passes_on is None else passes_on.table(),
    )


def _nearest(tables: list[_Table], wanted: Version) -> _Table:
    older = [table for table in tables if Version(_sorts_as(table)) <= wanted]
    newer = [table for table in tables if Version(_sorts_as(table)) > wanted]
    if not older or not newer:
        return older[-1] if older else newer[0]
    before, after = Version(_sorts_as(older[-1])), Version(_sorts_as(newer[0]))
    width = max(len(v.release) for v in (before, wanted, after))
    releases = [_padded(v, width) for v in (before, wanted, after)]
    # Two pre-releases of one version differ in no number; the older one is used.
    triples = (triple for triple in zip(*releases, strict=True) if triple[0] != triple[2])
    low, middle, high = next(triples, (0, 0, 1))
    return older[-1] if middle - low < high - middle else newer[0]


def _padded(version: Version, width: int) -> tuple[int, ...]:
    return (*version.release, *[0] * (width - len(version.release)))


def _sorts_as(table: _Table) -> str:
    return table.stands_for or table.version


def _with_history(
    others: Mapping[str, tuple[Flag, ...]], base: str, engine: str, entry: str, wanted: Version
) -> tuple[Flag, ...]:
    """The base table's flags, without those that the version lacks, with those that it adds."""
    known = {name: flag for flags in others.values() for flag in flags for name in flag.names}
    flags = {name: flag for flag in others[base] for name in flag.names}
    changes = [change for change in changes_of(engine, entry) if change.since is not None]
    for change in changes:
        if change.takes is not None:
            known[change.flag] = Flag((change.flag,), change.takes, change.takes)
    for change in changes:
        _apply(flags, known, change, happened=Version(str(change.since)) <= wanted)
    for change in changes:  # a flag that was removed later may not have been added yet
        if change.kind == "added" and Version(str(change.since)) > wanted:
            flags.pop(change.flag, None)
    # A flag may have lost only one of its names.
    alive: dict[tuple[str, ...], Flag] = {}
    for flag in flags.values():
        names = tuple(name for name in flag.names if name in flags)
        alive.setdefault(
            names,
            replace(flag, names=names, negative_names=_still_present(flag.negative_names, names)),
        )
    return tuple(alive.values())


def _with_merged_choices(flag: Flag, tables: Iterable[tuple[Flag, ...]]) -> Flag:
    """The flag with the choices of all tables: between two of them the right ones are not known."""
    same = [
        other for flags in tables for other in flags if not set(flag.names).isdisjoint(other.names)
    ]
    if not all(other.choices for other in same):
        return replace(flag, choices=())
    every = dict.fromkeys(choice for other in same for choice in other.choices)
    return replace(flag, choices=tuple(every))


def _apply(
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


def _still_present(names: tuple[str, ...], alive: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in alive)


def _entry_flags(entry: _Entry) -> tuple[Flag, ...]:
    return tuple(map(_flag, entry.flags))


def _flag(row: _Row) -> Flag:
    low, high = _ARITIES.get(row.nargs) or (int(row.nargs), int(row.nargs))
    return Flag(
        names=row.names,
        min_values=low,
        max_values=high,
        negative_names=row.off,
        type=row.type,
        choices=tuple(map(str, row.choices)),
        required=row.required,
        deprecated=row.deprecated,
        repeatable=row.repeatable,
        default=row.default,
    )


@cache
def _tables(engine: str) -> tuple[_Table, ...]:
    path = engine_folder(engine) / "flags.json"
    try:
        tables = msgspec.json.decode(path.read_bytes(), type=_File).tables
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    return tuple(sorted(tables, key=lambda table: Version(_sorts_as(table))))
