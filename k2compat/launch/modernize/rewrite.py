"""An old command line becomes today's, with the reason for each change.

    text ─ shell_text ─▸ statements ─ recognize ─▸ an engine's program, its flags
         ─ the history ─▸ today's flags, today's program ─▸ the same text with those words changed

Only what changes is written anew: comments, quotes, variables, line breaks between commands and
every command that starts no engine stay as they are, to the character, so that no quoting of a user
has to be understood in order to be kept. A flag without a known successor is left out, and is an
error: the engine must accept what is printed. Nothing is ever run.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import (
    WRAPPERS,
    EngineRelease,
    EntryPoint,
    changes_of,
    entry_point,
    programs_of,
    recognize,
)
from k2compat.launch.modernize.settings_file import rename_keys
from k2compat.launch.modernize.shell_text import HereDocument, ShellWord, Statement, statements
from k2compat.launch.modernize.translation import Replacement, translate

_codes = Codes("launch")

# A guide's `$NODE0$:5757`: a second dollar behind a variable, before the port.
_STRAY_DOLLAR: Final = re.compile(r"(\$(?:\w+|\{\w+\}))\$(?=:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernCommand:
    """One command that starts an engine, as it was and as it is today.

    Attributes:
        line: The line of the text it begins on, counted from 1.
        engine: Its name.
        engine_version: The version it is written for.
        entry: The entry point it starts today.
        before: The command as it was.
        after: The command as it is.
        changes: What was changed, in the order of the command.
        findings: What could not be translated, or must be known.
    """

    line: int
    engine: str
    engine_version: str
    entry: str
    before: str
    after: str
    changes: tuple[Replacement, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modernized:
    """A text with its commands as they are today.

    Attributes:
        text: The text.
        commands: The commands in it that start an engine.
        findings: What is to be said about the text as a whole.
    """

    text: str
    commands: tuple[ModernCommand, ...]
    findings: tuple[Finding, ...]


def modernize_text(text: str, versions: Mapping[str, str] | None = None) -> Modernized:
    """Write the commands in a text as the engines take them today.

    Args:
        text: Shell text: commands on lines of their own or behind `;` and `&&`, continued
            lines, variables, comments.
        versions: The version to write for, by engine; the newest with a table otherwise. Under
            "" the version of the only engine in the text.

    Raises:
        RefusedError: shell-unclosed; engine-unknown, engine-version-invalid;
            engine-version-ambiguous, the text starts several engines and the version names
            none; entry-gone.
    """
    text_now, stray = _without_stray_dollars(text)
    found = [
        (statement, place)
        for statement in statements(text_now)
        if (place := _program_at(statement)) is not None
    ]
    releases = _releases(versions or {}, {place.entry.engine for _, place in found})
    commands: list[ModernCommand] = []
    edits: list[tuple[int, int, str]] = []
    for statement, place in found:
        command = _modern(text_now, statement, place, releases)
        commands.append(command)
        edits.append((statement.start, statement.end, command.after))
    findings: list[Finding] = [*stray]
    settings = list(_modern_settings(text_now, releases))
    edits += [(start, end, new) for start, end, new, _ in settings]
    findings += [finding for *_, finding in settings]
    if not found and not settings:
        findings.append(
            _codes.finding("no-engine-command", "", "No command here starts an engine.")
        )
    return Modernized(
        text=_edited(text_now, edits), commands=tuple(commands), findings=tuple(findings)
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a statement an engine's program stands.

    `first` is the first word of the program, `arguments` the first word behind it. With `image`
    the program is the entry point of a container's image, and has no words.
    """

    entry: EntryPoint
    first: int
    arguments: int
    image: str = ""


def _program_at(statement: Statement) -> _Place | None:
    """The engine's program in a statement, behind assignments and wrappers such as mpirun."""
    values = [word.value for word in statement.words]
    begin = statement.assignments
    wrapped = begin < len(values) and values[begin].rsplit("/", 1)[-1] in WRAPPERS
    last = len(values) if wrapped else begin + 1
    for first in range(begin, min(last, len(values))):
        recognized = recognize(values[first:])
        if recognized is not None:
            return _Place(recognized[0], first, first + recognized[1])
        started = _started_by_image(values[first]) if wrapped else None
        if started is not None:
            return _Place(started, first + 1, first + 1, values[first])
    return None


def _started_by_image(word: str) -> EntryPoint | None:
    """The entry point that a container image starts, where the word names one."""
    for engine in engine_names():
        image = programs_of(engine).image
        if image is not None and image.matches(word):
            return entry_point(engine, image.entry)
    return None


def _releases(versions: Mapping[str, str], engines: set[str]) -> dict[str, EngineRelease]:
    """The release to write for, by engine."""
    chosen: dict[str, str | None] = dict.fromkeys(engines)
    chosen |= {engine: version for engine, version in versions.items() if engine}
    if "" in versions:
        if len(engines) > 1:
            raise RefusedError(
                "engine-version-ambiguous",
                f"The text starts several engines: {', '.join(sorted(engines))}.",
                hint=f"Name the engine: --engine-version {min(engines)}={versions['']}",
            )
        chosen |= dict.fromkeys(engines, versions[""])
    return {engine: EngineRelease.of(engine, version) for engine, version in chosen.items()}


def _modern(
    text: str, statement: Statement, place: _Place, releases: Mapping[str, EngineRelease]
) -> ModernCommand:
    release = releases[place.entry.engine]
    today = release.today(place.entry.name)
    if place.image:  # the image's own program reads the flags
        today = place.entry
    translation = translate(place.entry, today, release, statement.words[place.arguments :])
    before = text[statement.start : statement.end]
    changes = translation.changes
    program = statement.words[place.first : place.arguments]
    if today != place.entry:
        python = next((word.source for word in program if _is_python(word)), "python")
        new = tuple(ShellWord(part, part) for part in today.command(python))
        new = (replace(new[0], lead=program[0].lead), *new[1:])
        changes = (_moved(program, new, place.entry), *changes)
        program = new
    after = before
    if changes:
        words = (*statement.words[: place.first], *program, *chain(*translation.groups))
        after = "".join((*(word.lead + word.source for word in words), *statement.redirections))
    return ModernCommand(
        line=text.count("\n", 0, statement.start) + 1,
        engine=release.engine,
        engine_version=release.label,
        entry=today.name,
        before=before,
        after=after,
        changes=changes,
        findings=(*translation.findings, *_carried(statement, place)),
    )


def _is_python(word: ShellWord) -> bool:
    return word.value.rsplit("/", 1)[-1].startswith("python")


def _moved(
    before: tuple[ShellWord, ...], after: tuple[ShellWord, ...], old: EntryPoint
) -> Replacement:
    return Replacement(
        before=" ".join(word.source for word in before),
        after=" ".join(word.source for word in after),
        kind="replaced",
        since=old.gone,
        reason=old.reason,
        source=old.source,
    )


def _carried(statement: Statement, place: _Place) -> Iterator[Finding]:
    for word in statement.words:
        if word.runs:
            yield _codes.finding(
                "substitution-carried",
                word.source,
                f"{word.source} is the output of a command; it was not run, and not looked at.",
            )
    for redirection in map(str.strip, statement.redirections):
        yield _codes.finding(
            "redirection-carried",
            redirection,
            f"The redirection {redirection} was carried over as it is.",
        )
    if place.image:
        yield _codes.finding(
            "image-version",
            place.image,
            f"The image's tag decides which vLLM runs in it: {place.image}.",
            fix="Name a tag of the version that the flags are for.",
        )


def _modern_settings(
    text: str, releases: Mapping[str, EngineRelease]
) -> Iterator[tuple[int, int, str, Finding]]:
    """Settings files of an engine that the text writes with here-documents."""
    for engine in engine_names():
        settings = programs_of(engine).settings_file
        if settings is None:
            continue
        release = releases.get(engine) or EngineRelease.of(engine)
        changes = changes_of(engine, settings.entry)
        for document in _documents(text, settings.suffixes):
            body = text[document.start : document.end]
            renamed = rename_keys(body, changes, release.version)
            for change in renamed.changes:
                new = (change.to or ("",))[0]
                yield (
                    document.start,
                    document.end,
                    renamed.text,
                    _codes.finding(
                        "settings-key-mended",
                        change.flag,
                        f"{change.flag} is {new} since {change.since}. {change.reason}",
                        expected=new,
                        actual=change.flag,
                    ),
                )


def _documents(text: str, suffixes: tuple[str, ...]) -> Iterator[HereDocument]:
    """The here-documents that are written to files with one of these endings."""
    for statement in statements(text):
        if any(target.endswith(suffixes) for target in statement.targets):
            yield from statement.documents


def _without_stray_dollars(text: str) -> tuple[str, tuple[Finding, ...]]:
    findings = tuple(
        _codes.finding(
            "stray-dollar",
            f"line {text.count(chr(10), 0, match.start()) + 1}",
            f"Removed a stray $ after {match[1]}.",
            expected=match[1],
            actual=match[0],
        )
        for match in _STRAY_DOLLAR.finditer(text)
    )
    return _STRAY_DOLLAR.sub(r"\1", text), findings


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(set(edits), reverse=True):
        text = text[:start] + new + text[end:]
    return text
