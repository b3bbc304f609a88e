"""What engines need of a node, read from `requirements.toml`, and which of it a command asks."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from k2compat.launch.flags.command_words import has_word, values_of

_TABLE = Path(__file__).with_name("requirements.toml")


@dataclass(frozen=True, slots=True)
class EngineRow:
    """The first version of an engine that can serve the family."""

    engine: str
    distribution: str
    least: str
    versions: str = ""

    def is_meant(self, engine: str, version: Version | None) -> bool:
        """Whether a plan for this engine and version runs this distribution.

        A version that has no place in the order is newer than all.
        """
        in_order = version or Version("9999")
        return self.engine == engine and SpecifierSet(self.versions).contains(
            in_order, prereleases=True
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """Words of a command that must stand in it, and some that must not."""

    words: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def holds(self, argv: Sequence[str]) -> bool:
        """Whether a command is meant."""
        return all(has_word(argv, word) for word in self.words) and not any(
            has_word(argv, word) for word in self.unless
        )


@dataclass(frozen=True, slots=True)
class PackageRow:
    """Distributions of which a command needs one, and the code of the finding."""

    any_of: tuple[str, ...]
    code: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class PortRow:
    """A port on which a program listens, whether its command names it or not."""

    program: tuple[str, ...]
    flag: str
    default: int
    name: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A hard limit of processes; `least` is None where it must be unlimited."""

    name: str
    least: int | None
    engines: tuple[str, ...]
    with_ib: bool


@dataclass(frozen=True, slots=True)
class Requirements:
    """The whole table."""

    engines: tuple[EngineRow, ...]
    packages: tuple[PackageRow, ...]
    ports: tuple[PortRow, ...]
    limits: tuple[LimitRow, ...]
    shared_memory_per_gpu: int
    amx_flags: tuple[str, ...]


@cache
def requirements() -> Requirements:
    """The table."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return Requirements(
        engines=tuple(
            EngineRow(row["engine"], row["distribution"], row["least"], row.get("versions", ""))
            for row in table["engines"]
        ),
        packages=tuple(
            PackageRow(tuple(row["any_of"]), row["code"], _condition(row))
            for row in table["packages"]
        ),
        ports=tuple(
            PortRow(
                tuple(row["program"]), row["flag"], row["default"], row["name"], _condition(row)
            )
            for row in table["ports"]
        ),
        limits=tuple(
            LimitRow(
                row["name"],
                None if row["least"] == "unlimited" else row["least"],
                tuple(row.get("engines", ())),
                row.get("with_ib", False),
            )
            for row in table["limits"]
        ),
        shared_memory_per_gpu=table["shared_memory"]["bytes_per_gpu"],
        amx_flags=tuple(table["amx"]["cpu_flags"]),
    )


def packages_of_interest(engine: str) -> tuple[str, ...]:
    """Every distribution whose version a preflight of this engine asks for."""
    rows = requirements()
    names = [row.distribution for row in rows.engines if row.engine == engine]
    names += [name for row in rows.packages for name in row.any_of]
    return tuple(dict.fromkeys((*names, "blobfile", "torch", "transformers")))


def ports_of(argv: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What a command listens on by itself: a name and a port, its defaults included."""
    for row in requirements().ports:
        if _begins(argv, row.program) and row.condition.holds(argv):
            for value in values_of(argv, row.flag)[-1:] or [str(row.default)]:
                if value.isascii() and value.isdigit():  # a placeholder is no number
                    yield row.name, int(value)


def _begins(argv: Sequence[str], program: Sequence[str]) -> bool:
    """Whether the program's words stand at the beginning: "python -m" may stand before them."""
    at = 2 if list(argv[1:2]) == ["-m"] else 0
    return list(argv[at : at + len(program)]) == list(program)


def _condition(row: Mapping[str, Any]) -> Condition:
    return Condition(_words(row.get("words")), _words(row.get("unless")))


def _words(words: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(words or ())
