"""The requirements of engines, and those that apply to a command.

`requirements.toml` in this folder holds the requirements of every engine, and
`engines/ENGINE/requirements.toml` those of one engine, for its programs and flags. The rows about
packages and ports of all engines apply to every plan: a plan for KTransformers starts SGLang's
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
        versions: The versions of a plan for which it is needed, as a specifier; "": all.
        source: The source of these values.
    """

    name: str
    also: tuple[str, ...] = ()
    least: str
    versions: str = ""
    source: str

    def is_meant(self, version: Version | None) -> bool:
        """Whether a plan for this version runs this distribution.

        A version that cannot be ordered counts as newer than all.
        """
        in_order = version or Version("9999")
        return SpecifierSet(self.versions).contains(in_order, prereleases=True)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row that holds for some commands.

    Attributes:
        words: The words that the command must hold; "flag=value" also as two words.
        unless: The words that it must not hold.
        source: The source of the row.
    """

    words: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    source: str

    def holds(self, argv: Sequence[str]) -> bool:
        """Whether the row applies to a command."""
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
        name: The purpose of the port.
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
    """The requirements of one engine.

    Attributes:
        distributions: Its distributions; the first that is installed counts.
        packages: Distributions that it needs for some commands.
        ports: The ports on which its programs listen.
        limits: Hard limits.
        weights_apart: Whether its weights may be in a folder of their own (`--gguf-path`).
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
    """The requirements of every engine; `amx` are the CPU flags that AMX kernels need."""

    packages: tuple[PackageRow, ...]
    limits: tuple[LimitRow, ...]
    shared_memory: _SharedMemory
    amx: _Amx


@cache
def common_needs() -> CommonNeeds:
    """The requirements of every engine.

    Raises:
        ValueError: The table has a mistake.
    """
    return read_toml(_COMMON, CommonNeeds)


@cache
def needs_of(engine: str) -> EngineNeeds:
    """The requirements of one engine.

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
    """The ports on which a command listens, its defaults included: name and number."""
    for row in port_rows():
        if _begins(argv, row.program) and row.holds(argv):
            for value in values_of(argv, row.flag)[-1:] or [str(row.default)]:
                if value.isascii() and value.isdigit():  # a placeholder is not a number
                    yield row.name, int(value)


def _begins(argv: Sequence[str], program: Sequence[str]) -> bool:
    """Whether the command begins with the program's words; "python -m" may be in front."""
    at = 2 if list(argv[1:2]) == ["-m"] else 0
    return list(argv[at : at + len(program)]) == list(program)
