"""How each engine's server is started, and what took the place of entry points that are gone.

The knowledge is `engines/ENGINE/entry_points.toml`: [[entry]] is an `EntryPoint`, [[parser]] an
`InstalledParser`, [image] an `Image`, [settings_file] a `SettingsFile`; `also_called` are other
names of the engine. An entry with `to` and without `gone` still works, and `to` is the one to use.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import msgspec
from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch.engines import engine_folder, engine_names
from k2compat.launch.flags.loading import newest_version, version_of
from k2compat.typed_toml import read_toml

_PYTHON: Final = "{python}"

# Programs (and words of the shell) that an engine's program may follow.
WRAPPERS: Final = frozenset(
    {
        *("mpirun", "mpiexec", "srun", "trtllm-llmapi-launch", "ray"),
        *("docker", "podman", "nerdctl"),
        *("sudo", "env", "nohup", "exec", "time", "timeout", "setsid", "stdbuf", "nsys"),
        *("numactl", "taskset", "nice", "uv", "uvx", "conda", "poetry", "apptainer", "singularity"),
        *("mamba", "micromamba", "pixi", "pipenv", "screen"),
        *("kubectl", "ssh", "xargs", "$"),
        *("do", "then", "else", "if", "while", "until", "{", "!"),
    }
)


class EntryPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to start a program of an engine.

    Attributes:
        engine: The engine whose folder holds it; never written there.
        name: Its name here, such as "serve".
        table: The name its flags have in the tables; its own name unless another is given.
        also_of: Another engine with the same program. A command line alone is then taken for that
            engine's.
        programs: What precedes the flags; "{python}" is any Python interpreter. The first
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
        model_may_be_first: Whether the model may also be the first argument, without its flag.
        marked_by: How flags begin by which a command is known to be this engine's, where the
            program is also another engine's.
    """

    engine: str = ""
    name: str
    table: str = ""
    also_of: str = ""
    programs: tuple[tuple[str, ...], ...]
    model: str | None = None
    since: str | None = None
    gone: str | None = None
    to: str | None = None
    adds: tuple[str, ...] = ()
    adds_reason: str = ""
    reason: str = ""
    source: str = ""
    model_may_be_first: bool = False
    marked_by: str = ""

    def is_in(self, version: Version) -> bool:
        """Whether that version has it."""
        return (self.since is None or Version(self.since) <= version) and (
            self.gone is None or version < Version(self.gone)
        )

    def command(self, python: str = "python") -> tuple[str, ...]:
        """What to write before the flags."""
        return tuple(python if word == _PYTHON else word for word in self.programs[0])


class InstalledParser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the installed engine has the parser of an entry point; `ask_parser.py` calls it.

    Attributes:
        entry: The entry point's name in the tables.
        module: The package that has to be there.
        distributions: Those that name its version; the first that is installed counts.
        sources: The files of a wheel that declare the flags, as glob patterns.
        own_version: Whether the package counts its versions apart from the engine.
    """

    entry: str
    module: str
    distributions: tuple[str, ...]
    sources: tuple[str, ...]
    own_version: bool = False


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine's container image.

    Attributes:
        pattern: A regular expression for its name; the group `version` is the engine's.
        entry: What it starts; "" where the command names a program.
        program: What to write in front of the flags, where the image starts nothing.
        source: Where it can be read what the image starts.
    """

    pattern: str
    source: str
    entry: str = ""
    program: str = ""

    def matches(self, word: str) -> bool:
        """Whether a word is the name of this image, with or without registry and tag."""
        return re.fullmatch(self.pattern, word) is not None

    def version(self, word: str) -> tuple[int, int] | None:
        """Where the engine's version stands in the name of this image; None: it names none."""
        match = re.fullmatch(self.pattern, word)
        return None if match is None or match["version"] is None else match.span("version")


class SettingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A settings file of the engine: where the history has its keys."""

    entry: str


class Companion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flag that does nothing, or refuses to start, without another one.

    Attributes:
        entry: The entry point's table.
        flag: The flag that is there.
        needs: The flag that has to be there, and its value.
        model: A part of the model's name, in small letters, for which it holds; "": any model.
        reason: Why, one sentence.
        source: Where that can be read.
    """

    entry: str
    flag: str
    needs: tuple[str, ...]
    model: str = ""
    reason: str
    source: str


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flags without which a server of a model lacks what its clients ask for.

    Attributes:
        entry: The entry point's table.
        any_of: One of these flags is enough.
        model: A part of the model's name, in small letters.
        add: The words to add where none of them is there.
        reason: What is missing otherwise, one sentence.
        source: Where that can be read.
    """

    entry: str
    any_of: tuple[str, ...]
    model: str
    add: tuple[str, ...]
    reason: str
    source: str


class Programs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The programs of one engine.

    `also_called`: other names of it, as people type them; `config_file`: the entry point that reads
    flags from a file; `several_nodes_by`: words, flags or programs in front, with which a server
    runs on several nodes (empty: their absence tells nothing).
    """

    also_called: tuple[str, ...] = ()
    entry: tuple[EntryPoint, ...]
    parser: tuple[InstalledParser, ...] = ()
    image: Image | None = None
    companion: tuple[Companion, ...] = ()
    expected: tuple[Expected, ...] = ()
    several_nodes_by: tuple[str, ...] = ()
    config_file: str | None = None
    settings_file: SettingsFile | None = None


@cache
def programs_of(engine: str) -> Programs:
    """The programs of an engine.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    programs = read_toml(engine_folder(engine) / "entry_points.toml", Programs)
    entries = tuple(
        msgspec.structs.replace(entry, engine=engine, table=entry.table or entry.name)
        for entry in programs.entry
    )
    return msgspec.structs.replace(programs, entry=entries)


def engine_aliases() -> Mapping[str, str]:
    """Other names of the engines, as people type them: name → engine."""
    return {alias: engine for engine in engine_names() for alias in programs_of(engine).also_called}


def all_entry_points() -> tuple[EntryPoint, ...]:
    """Every entry point, gone ones too."""
    return _entry_points(engine_names())


def entry_point(engine: str, name: str) -> EntryPoint:
    """An engine's entry point by its name.

    Raises:
        RefusedError: engine-unknown, entry-unknown.
    """
    of_engine = {entry.name: entry for entry in programs_of(engine).entry}
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


def recognize(words: Sequence[str], engine: str | None = None) -> tuple[EntryPoint, int] | None:
    """The entry point that a command line starts, and how many words name it.

    A program may be given with its path (`/opt/venv/bin/vllm`), and Python under any of its
    names; a script (`ktransformers/server/main.py`) may lie in any folder. Where engines share
    a program, the engine whose own it is counts (`EntryPoint.also_of`).

    Args:
        words: The command line.
        engine: The engine that it starts, where that is known.
    """
    best: tuple[EntryPoint, int] | None = None
    for entry in programs_of(engine).entry if engine else _entry_points(engine_names()):
        marked = bool(entry.marked_by) and any(w.startswith(entry.marked_by) for w in words)
        for program in entry.programs:
            longer = best is None or len(program) >= best[1] + (not marked)
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
def _entry_points(engines: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Every entry point; those that are also another engine's come last."""
    entries = (entry for engine in engines for entry in programs_of(engine).entry)
    return tuple(sorted(entries, key=lambda entry: entry.also_of != ""))
