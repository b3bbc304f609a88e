"""How each engine's server is started, and what took the place of entry points that are gone.

The knowledge is `entry_points.toml`; its head explains the columns.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch.flags.table import newest_version, version_of

_PYTHON: Final = "{python}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One way to start a program of an engine.

    Attributes:
        engine: vllm, sglang, ktransformers or trtllm.
        name: Its name here, such as "serve".
        table: The name its flags have in the tables.
        programs: What stands before the flags; "{python}" is any Python interpreter. The first
            is the one to render.
        model: Where the model is named: "" the first argument without a name, otherwise a flag;
            None: nowhere.
        since: The first version that has it; None: every one known.
        gone: The first version that has it no more; None: it is there.
        to: The entry point that took its place, or is the one to use while both are there.
        adds: Flags that the new one needs.
        adds_reason: Why it needs them.
        reason: Why, one sentence.
        source: Where that can be read.
    """

    engine: str
    name: str
    table: str
    programs: tuple[tuple[str, ...], ...]
    model: str | None = None
    since: str | None = None
    gone: str | None = None
    to: str | None = None
    adds: tuple[str, ...] = ()
    adds_reason: str = ""
    reason: str = ""
    source: str = ""

    def is_in(self, version: Version) -> bool:
        """Whether that version has it."""
        return (self.since is None or Version(self.since) <= version) and (
            self.gone is None or version < Version(self.gone)
        )

    def command(self, python: str = "python") -> tuple[str, ...]:
        """What to write before the flags."""
        return tuple(python if word == _PYTHON else word for word in self.programs[0])


def all_entry_points() -> tuple[EntryPoint, ...]:
    """Every entry point, gone ones too, as the data orders them."""
    return _entry_points()


def entry_point(engine: str, name: str) -> EntryPoint:
    """An engine's entry point by its name.

    Raises:
        RefusedError: entry-unknown.
    """
    of_engine = {entry.name: entry for entry in _entry_points() if entry.engine == engine}
    if name not in of_engine:
        raise RefusedError(
            "entry-unknown",
            f"{engine} has no entry point {name!r}.",
            hint=f"Known are: {', '.join(of_engine)}.",
        )
    return of_engine[name]


def todays_entry(engine: str, name: str, version: str | None = None) -> EntryPoint:
    """The entry point to use at a version: itself, or what took its place.

    Args:
        engine: vllm, sglang, ktransformers or trtllm.
        name: The entry point, as it was called.
        version: The engine's version; None is the newest with a table.

    Raises:
        RefusedError: entry-unknown, engine-unknown, engine-version-invalid, entry-gone (nothing
            took its place at that version).
    """
    entry = entry_point(engine, name)
    at = version_of(engine, version or newest_version(engine))
    seen = {entry.name}
    while not entry.is_in(at) or (entry.to is not None and entry.gone is None):
        if entry.to is None or entry.to in seen:
            raise RefusedError(
                "entry-gone",
                f"{engine} {at} has no {name!r}.",
                hint=f"Ask for another version: k2compat launch {engine} --engine-version …",
            )
        entry = entry_point(engine, entry.to)
        seen.add(entry.name)
    return entry


def wrappers() -> frozenset[str]:
    """Programs that start another one, whose words stand behind their own: mpirun, docker."""
    return frozenset(_data()["wrappers"])


def recognize(words: Sequence[str]) -> tuple[EntryPoint, int] | None:
    """The entry point that a command line starts, and how many words name it.

    A program may be given with its path (`/opt/venv/bin/vllm`), and Python under any of its
    names; a script (`ktransformers/server/main.py`) may lie in any folder. Where engines share
    a program the first in the data counts.
    """
    best: tuple[EntryPoint, int] | None = None
    for entry in _entry_points():
        for program in entry.programs:
            longer = best is None or len(program) > best[1]
            if longer and _starts(words, program):
                best = (entry, len(program))
    return best


def _starts(words: Sequence[str], program: tuple[str, ...]) -> bool:
    return len(words) >= len(program) and all(
        _same(word, wanted) for word, wanted in zip(words, program, strict=False)
    )


def _same(word: str, wanted: str) -> bool:
    name = word.rsplit("/", 1)[-1]
    if wanted == _PYTHON:
        return name.startswith("python") and not name.removeprefix("python").strip(".0123456789")
    if wanted.endswith(".py"):
        return word == wanted or word.endswith(f"/{wanted}")
    return word == wanted or name == wanted


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    return tuple(_entry_point(item) for item in _data()["entry"])


@cache
def _data() -> dict[str, Any]:
    text = files("k2compat.launch").joinpath("flags", "entry_points.toml").read_text("utf-8")
    return tomllib.loads(text)


def _entry_point(item: Mapping[str, Any]) -> EntryPoint:
    values = {"table": item["name"], **item}
    values["programs"] = tuple(tuple(program) for program in item["programs"])
    values["adds"] = tuple(item.get("adds", ()))
    return EntryPoint(**values)
