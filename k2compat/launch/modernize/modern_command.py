"""One command in the form that its engine accepts today."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.flags import EngineRelease, EntryPoint
from k2compat.launch.modernize.combinations import check_combinations
from k2compat.launch.modernize.command_checks import check_expected, check_world
from k2compat.launch.modernize.command_text import CommandText, Edit
from k2compat.launch.modernize.companions import with_companions
from k2compat.launch.modernize.images import pinned_version
from k2compat.launch.modernize.places import Place
from k2compat.launch.modernize.releases import Releases
from k2compat.launch.modernize.shell_text import ShellWord
from k2compat.launch.modernize.translation import Replacement, translate

_codes = Codes("launch")

# Folders of a system's Python; another program of the engine may be in another folder.
_SYSTEM: Final = ("/usr/bin/", "/bin/")
# All arguments of a script, and all items of a shell's array: their words are not known.
_SEVERAL: Final = re.compile(r"\$[@*]|\$\{[@*]\}|\$\{\w+\[[@*]\]\}")


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
        arguments: The words after the program, as they are today.
        changes: The changes, in the order of the command.
        findings: Words that could not be translated, and facts that the user must know.
    """

    line: int
    engine: str
    engine_version: str
    entry: str
    before: str
    after: str
    arguments: tuple[str, ...]
    changes: tuple[Replacement, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A command, its edits, and all words that the document must hold after them.

    Attributes:
        command: The command.
        edits: The edits.
        words: The words after the edits.
        old_words: The words before them.
    """

    command: ModernCommand
    edits: tuple[Edit, ...]
    words: tuple[str, ...]
    old_words: tuple[str, ...]

    def unchanged(self) -> "Rewritten":
        """The same without its edits."""
        return replace(self, edits=(), words=self.old_words)

    def not_written(self) -> "Rewritten":
        """The command as it was, with an error: its form cannot hold the new words."""
        now = self.command
        finding = _codes.finding(
            "edit-not-possible",
            now.entry,
            "The command needs changes that cannot be written in its place: its quotes lie within "
            "quotes of the document.",
            expected=" ".join(change.after for change in now.changes if change.after) or None,
        )
        findings = (*now.findings, finding)
        kept = replace(now, after=now.before, changes=(), findings=findings)
        return replace(self.unchanged(), command=kept)


def rewrite_command(
    text: str, command: CommandText, place: Place, releases: Releases, gpus_per_node: int
) -> Rewritten:
    """Write one command for the release on which it will run.

    Args:
        text: The document.
        command: The command in it.
        place: The place of its program.
        releases: The releases to write for.
        gpus_per_node: GPUs of the node that it runs on.

    Raises:
        RefusedError: entry-gone, engine-version-invalid.
    """
    release = releases.of(place.entry.engine, pinned_version(place))
    words = command.words
    today = _today(place, release, words)
    arguments = words[place.arguments :]
    translation = translate(place.entry, today, release, arguments, gpus_per_node)
    groups, added = with_companions(translation.groups, release, today)
    changes = (*translation.changes, *added)
    program = words[place.first : place.arguments]
    if today.name != place.entry.name:
        new = _program(today, program)
        changes = (_moved(program, new, place.entry), *changes)
        program = new
    after = words
    if changes:
        after = (*words[: place.first], *program, *chain.from_iterable(groups))
    edits = command.rewritten(after)
    said = [word.value for word in chain.from_iterable(groups)]
    findings = [
        *translation.findings,
        *check_combinations(release, today, said),
        *check_world(release, said, [w.value for w in words[: place.first]], gpus_per_node),
        *check_expected(release, today.table, said),
        *_carried(words, command, place),
    ]
    values = tuple(word.value for word in after)
    old_values = tuple(word.value for word in words)
    edits_now = {(edit.start, edit.end): edit.text for edit in edits}
    parts = [
        edits_now.get((part.start, part.end), text[part.start : part.end]) for part in command.parts
    ]
    modern = ModernCommand(
        line=text.count("\n", 0, command.start) + 1,
        engine=release.engine,
        engine_version=release.label,
        entry=today.name,
        before=command.source(text),
        after="\n".join(parts),
        arguments=tuple(said),
        changes=changes,
        findings=tuple(findings),
    )
    return Rewritten(modern, edits, values, old_values)


def _today(place: Place, release: EngineRelease, words: Sequence[ShellWord]) -> EntryPoint:
    """The entry point to write for; the present one where its words cannot be replaced."""
    if place.by_image or place.first == place.arguments:
        return place.entry
    today = release.today(place.entry.name)
    absolute = words[place.first].value.lstrip("-@:+!").startswith(_SYSTEM)
    if absolute and place.entry.gone is None:
        return place.entry
    return today


def _program(today: EntryPoint, before: Sequence[ShellWord]) -> tuple[ShellWord, ...]:
    """The words of a program, in the folder of the program that it replaces."""
    python = next((word for word in before if _is_python(word)), None)
    names = list(today.command(python.source if python else "python"))
    first = before[0]
    front = first.source[: len(first.source) - len(first.source.lstrip("-@:+!"))]
    folder, slash, _ = first.source.removeprefix(front).rpartition("/")
    if python is first and names[0] != python.source:
        names[0] = f"{front}{folder}{slash}{names[0]}"
    new = tuple(ShellWord(name, name) for name in names)
    return (replace(new[0], lead=first.lead), *new[1:])


def _is_python(word: ShellWord) -> bool:
    return word.value.rsplit("/", 1)[-1].startswith("python")


def _moved(before: Sequence[ShellWord], after: Sequence[ShellWord], old: EntryPoint) -> Replacement:
    return Replacement(
        before=" ".join(word.source for word in before),
        after=" ".join(word.source for word in after),
        kind="replaced",
        since=old.gone,
        reason=old.reason,
        source=old.source,
    )


def _carried(
    words: Sequence[ShellWord],
    command: CommandText,
    place: Place,
) -> Iterator[Finding]:
    for word in words:
        if _SEVERAL.fullmatch(word.value):
            yield _codes.finding(
                "arguments-unread",
                word.source,
                f"The arguments that {word.source} stands for were not read.",
                actual=word.source,
                fix="Write them into the command, and run it through modernize again.",
            )
        if word.runs:
            yield _codes.finding(
                "substitution-carried",
                word.source,
                f"{word.source} is the output of a command; it was not run, and not looked at.",
            )
    for redirection in command.redirections:
        yield _codes.finding(
            "redirection-carried",
            redirection,
            f"The redirection {redirection} was carried over as it is.",
        )
    if place.image is None:
        return
    if pinned_version(place) is None:
        yield _codes.finding(
            "image-version",
            place.image.text,
            f"The image's tag decides which version runs in it: {place.image.text}.",
            fix="Name a tag of the version that the flags are for.",
        )
