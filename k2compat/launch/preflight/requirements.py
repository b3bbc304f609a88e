"""What engines need of a node, and which of it a command asks for.

What every engine needs is `requirements.toml` here; what one engine needs is
`engines/ENGINE/requirements.toml`, whose rows are about programs and flags of that engine. Rows
about packages and ports are looked at for every plan: a plan for KTransformers starts SGLang's
server.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from k2compat.launch.engines import engine_folder, engine_names
from k2compat.launch.flags import has_word, values_of
from k2compat.typed_toml import read_toml

_COMMON = Path(__file__).with_name("requirements.toml")

_ALWAYS = ("blobfile", "torch", "transformers")


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A distribution of an engine.

    Attributes:
        name: Its name.
        also: Other names under which builds of it are published.
        least: The first version that can serve the family.
        versions: The versions of a plan that it is meant for, as a specifier; "": all.
        source: Where that can be read.
    """

    name: str
    also: tuple[str, ...] = ()
    least: str
    versions: str = ""
    source: str

    def is_meant(self, version: Version | None) -> bool:
        """Whether a plan for this version runs this distribution.

        A version that has no place in the order is newer than all.
        """
        in_order = version or Version("9999")
        return SpecifierSet(self.versions).contains(in_order, prereleases=True)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row that holds for some commands.

    Attributes:
        words: What the command has to hold; "flag=value" also where the two are apart.
        unless: What it must not hold.
        source: Where that can be read.
    """

    words: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    source: str

    def holds(self, argv: Sequence[str]) -> bool:
        """Whether a command is meant."""
        return all(has_word(argv, word) for word in self.words) and not any(
            has_word(argv, word) for word in self.unless
        )


class PackageRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distributions of which a command needs one, and the code of the finding."""

    any_of: tuple[str, ...]
    code: str


class PortRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port on which a program listens, whether its command names it or not.

    Attributes:
        program: The words at the beginning of the command.
        flag: The flag with the number.
        default: The number without the flag.
        name: What it is for.
    """

    program: tuple[str, ...]
    flag: str
    default: int
    name: str


class LimitRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hard limit of processes, in the unit of the system call (bytes, files)."""

    name: str
    least: int | Literal["unlimited"]
    with_ib: bool = False
    source: str


class EngineNeeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one engine needs.

    Attributes:
        distributions: Its distributions; the first that is installed counts.
        packages: Distributions that it needs for some commands.
        ports: Where its programs listen.
        limits: Hard limits.
        weights_apart: Whether its weights may lie in a folder of their own (`--gguf-path`).
    """

    distributions: tuple[Distribution, ...] = ()
    packages: tuple[PackageRow, ...] = ()
    ports: tuple[PortRow, ...] = ()
    limits: tuple[LimitRow, ...] = ()
    weights_apart: bool = False


class _SharedMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bytes_per_gpu: int
    source: str


class _Amx(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cpu_flags: tuple[str, ...]
    source: str


class CommonNeeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every engine needs; `amx` is what AMX kernels execute."""

    packages: tuple[PackageRow, ...]
    limits: tuple[LimitRow, ...]
    shared_memory: _SharedMemory
    amx: _Amx


@cache
def common_needs() -> CommonNeeds:
    """What every engine needs of a node.

    Raises:
        ValueError: The table has a mistake.
    """
    return read_toml(_COMMON, CommonNeeds)


@cache
def needs_of(engine: str) -> EngineNeeds:
    """What one engine needs of a node.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    return read_toml(engine_folder(engine) / "requirements.toml", EngineNeeds)


def package_rows() -> Iterator[PackageRow]:
    """Every row about packages."""
    yield from common_needs().packages
    for engine in engine_names():
        yield from needs_of(engine).packages


def port_rows() -> Iterator[PortRow]:
    """Every row about ports."""
    for engine in engine_names():
        yield from needs_of(engine).ports


def packages_of_interest(engine: str) -> tuple[str, ...]:
    """Every distribution whose version a preflight of this engine asks for."""
    rows = needs_of(engine).distributions
    names = [name for row in rows for name in (row.name, *row.also)]
    names += [name for row in package_rows() for name in row.any_of]
    return tuple(dict.fromkeys((*names, *_ALWAYS)))


def ports_of(argv: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What a command listens on by itself: a name and a port, its defaults included."""
    for row in port_rows():
        if _begins(argv, row.program) and row.holds(argv):
            for value in values_of(argv, row.flag)[-1:] or [str(row.default)]:
                if value.isascii() and value.isdigit():  # a placeholder is no number
                    yield row.name, int(value)


def _begins(argv: Sequence[str], program: Sequence[str]) -> bool:
    """Whether the command begins with the program's words; "python -m" may be in front."""
    at = 2 if list(argv[1:2]) == ["-m"] else 0
    return list(argv[at : at + len(program)]) == list(program)
