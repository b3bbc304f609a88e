"""The arguments of one old command in the form that today's entry point accepts.

An old command is read with every flag that any version had, so that flags which are ambiguous or
removed today are still understood. Then the history is applied to each flag, until no flag changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Final

from msgspec import structs

from k2compat.findings import Codes, Finding
from k2compat.launch.flags import (
    FATAL,
    Abbreviated,
    Change,
    EngineRelease,
    EntryPoint,
    Exact,
    Flag,
    FlagTable,
    FlagUse,
    ParsedCommand,
    Unknown,
    change_of,
    check_reading,
    flag_table,
    names_in,
    read_arguments,
    table_versions,
)
from k2compat.launch.modernize.shell_text import ShellWord
from k2compat.launch.request import GPUS_PER_NODE

_codes = Codes("launch")

# `to` of a flag whose value is a positional argument today.
_THE_VALUE: Final = "{value}"

_ABBREVIATION: Final = (
    "An abbreviation works until a version adds another flag that begins so; the whole name is "
    "written."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One change in a command.

    Attributes:
        before: The old words; empty for added words.
        after: The new words; empty for removed words.
        kind: The kind of change, as in the history, or "abbreviated", "added" (a flag that the new
            entry point needs).
        since: The engine's version that made the change; None where only the tables show it.
        reason: The reason, in one sentence.
        source: The source of the reason.
    """

    before: str
    after: str
    kind: str
    since: str | None
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Translation:
    """Today's arguments.

    Attributes:
        groups: The arguments, each flag with its values; positional ones alone.
        changes: The changes.
        findings: Flags that could not be translated, and errors that today's parser would still
            report.
    """

    groups: tuple[tuple[ShellWord, ...], ...]
    changes: tuple[Replacement, ...]
    findings: tuple[Finding, ...]


def translate(
    entry: EntryPoint,
    today: EntryPoint,
    release: EngineRelease,
    words: Sequence[ShellWord],
    gpus_per_node: int = GPUS_PER_NODE,
) -> Translation:
    """Write an old command's arguments for today's entry point.

    Args:
        entry: The entry point that the old command starts.
        today: The entry point that starts the same in this release.
        release: The engine's release to write for.
        words: The words after the program.
        gpus_per_node: GPUs of the node that the command runs on.
    """
    old = release.table(entry.table)
    new = release.table(today.table)
    translator = _Translator(entry, today, old, new, gpus_per_node)
    groups = translator.round(tuple(words))
    while not translator.settled:  # a flag may have been renamed twice
        translator.old = new
        groups = translator.round(tuple(chain.from_iterable(groups)))
    groups = translator.completed(groups)
    final = read_arguments(new, [word.value for word in chain.from_iterable(groups)])
    findings = (*translator.findings, *_still_said(final, groups, gpus_per_node, today))
    return Translation(groups, tuple(translator.changes), findings)


class _Translator:
    def __init__(
        self,
        entry: EntryPoint,
        today: EntryPoint,
        old: FlagTable,
        new: FlagTable,
        gpus_per_node: int,
    ) -> None:
        self.entry = entry
        self.today = today
        self.old = old
        self.new = new
        self.gpus_per_node = gpus_per_node
        self.changes: list[Replacement] = []
        self.findings: list[Finding] = []
        self.settled = False

    def round(self, words: tuple[ShellWord, ...]) -> tuple[tuple[ShellWord, ...], ...]:
        """Apply the history to every flag once; `settled` is true if no flag changed."""
        count = len(self.changes) + len(self.findings)
        words = tuple(self._completed_names(words))
        table = _every_flag(self.old)
        reading = read_arguments(table, [word.value for word in words])
        used = names_in(reading)
        others = _values_by_name(reading)
        first: list[tuple[ShellWord, ...]] = []
        groups: dict[int, tuple[ShellWord, ...]] = {
            loose.at: (words[loose.at],) for loose in reading.loose
        }
        for use in reading.uses:
            taken = words[use.at : use.at + _length(use)]
            group = self._one(use, taken, used, others)
            if group and not group[0].value.startswith("-"):
                first.append(group)
            elif group:
                groups[use.at] = group
        self.settled = len(self.changes) + len(self.findings) == count
        return (*first, *(groups[at] for at in sorted(groups)))

    def _completed_names(self, words: tuple[ShellWord, ...]) -> Iterator[ShellWord]:
        """Abbreviated names in full, as the table of that time completed them."""
        everything = _every_flag(self.old)
        for word in words:
            name, equals, value = word.value.partition("=")
            full = _full_name(self.old, everything, name) if name.startswith("--") else None
            rest = None if full is None else word.behind(name + equals)
            if full is None or rest is None:
                yield word
                continue
            self._note(name, full, "abbreviated", None, _ABBREVIATION, "argparse")
            source = rest.source if value else ""
            yield replace(rest, source=full + equals + source, value=full + equals + value)

    def _one(
        self,
        use: FlagUse,
        taken: tuple[ShellWord, ...],
        used: Mapping[str, tuple[str, ...]],
        others: Mapping[str, ShellWord],
    ) -> tuple[ShellWord, ...]:
        """Today's words for one flag; empty where no flag means the same."""
        table, resolution = self.old, self.old.resolve(use.name)
        handed_on = isinstance(resolution, Unknown) and not table.changes_to(use.name)
        if handed_on and table.passes_on is not None:
            table = table.passes_on
            resolution = table.resolve(use.name)
        in_old = structs.replace(use, resolution=resolution)
        change = change_of(table, in_old, used, self.gpus_per_node)
        if change is not None and (change.kind in FATAL or change.to is not None):
            return self._changed(use, change, taken, others)
        moved = self.new != self.old and not isinstance(self.new.resolve(use.name), Exact)
        if moved and use.flag is not None and not _is_handed_on(self.new, use.name):
            self._lost(use, taken, f"{self.new.entry} has no such flag, and no other is known.")
            return ()
        return taken

    def _changed(
        self,
        use: FlagUse,
        change: Change,
        taken: tuple[ShellWord, ...],
        others: Mapping[str, ShellWord],
    ) -> tuple[ShellWord, ...]:
        values = _value_words(use, taken)
        arguments = None if values is None else _filled(change, use.name, values, others)
        if arguments is None:
            if change.kind not in FATAL:
                return taken
            self._lost(use, taken, change.reason)
            return ()
        if change.to == (_THE_VALUE,) and self.today.model != "":
            return taken  # this program still takes the model as a flag
        before = " ".join(word.source for word in taken)
        after = " ".join(word.source for word in arguments)
        self._note(before, after, change.kind, change.since, change.reason, change.source)
        return (replace(arguments[0], lead=taken[0].lead), *arguments[1:]) if arguments else ()

    def completed(
        self, groups: tuple[tuple[ShellWord, ...], ...]
    ) -> tuple[tuple[ShellWord, ...], ...]:
        """The arguments with those that the new entry point needs in front."""
        if self.today == self.entry or not self.entry.adds:
            return groups
        reading = read_arguments(self.new, [word.value for word in chain.from_iterable(groups)])
        present = names_in(reading)
        needed = tuple(
            tuple(ShellWord.plain(part) for part in (use.name, *use.values))
            for use in read_arguments(self.new, self.entry.adds).uses
            if use.name not in present
        )
        if needed:
            after = " ".join(word.source for word in chain.from_iterable(needed))
            entry = self.entry
            self._note("", after, "added", entry.gone, entry.adds_reason, entry.source)
        return (*needed, *groups)

    def _note(
        self, before: str, after: str, kind: str, since: str | None, reason: str, source: str
    ) -> None:
        self.changes.append(
            Replacement(
                before=before, after=after, kind=kind, since=since, reason=reason, source=source
            )
        )

    def _lost(self, use: FlagUse, taken: tuple[ShellWord, ...], reason: str) -> None:
        before = " ".join(word.source for word in taken)
        self._note(before, "", "removed", None, reason, "")
        self.findings.append(
            _codes.finding(
                "flag-untranslated",
                use.name,
                f"{use.name} was left out; no known flag has its meaning today. {reason}",
                actual=before,
            )
        )


@cache
def _every_flag(table: FlagTable) -> FlagTable:
    """A table with every flag of every version's table."""
    flags: list[Flag] = list(table.flags)
    known = {name for flag in flags for name in flag.names}
    for version in reversed(table_versions(table.engine)):
        for flag in flag_table(table.engine, version, table.entry).flags:
            names = tuple(name for name in flag.names if name not in known)
            if names:
                negative = tuple(name for name in flag.negative_names if name in names)
                flags.append(structs.replace(flag, names=names, negative_names=negative))
                known.update(names)
    passes_on = None if table.passes_on is None else _every_flag(table.passes_on)
    return structs.replace(table, flags=tuple(flags), passes_on=passes_on)


def _full_name(table: FlagTable, everything: FlagTable, name: str) -> str | None:
    """The full name of an abbreviation; None for the name of a flag, or an unknown one."""
    if isinstance(everything.resolve(name), Exact):
        return None
    tables = [flag_table(table.engine, v, table.entry) for v in table_versions(table.engine)]
    for version in (table, *tables):
        resolution = version.resolve(name)
        if isinstance(resolution, Abbreviated):
            return resolution.full_name
    return None


def _length(use: FlagUse) -> int:
    return 1 if use.joined else 1 + len(use.values)


def _value_words(use: FlagUse, taken: tuple[ShellWord, ...]) -> tuple[ShellWord, ...] | None:
    if not use.joined:
        return taken[1:]
    value = taken[0].behind(taken[0].value.removesuffix(use.values[0]))
    return None if value is None else (value,)


def _values_by_name(reading: ParsedCommand) -> dict[str, ShellWord]:
    return {
        name: ShellWord.plain(use.values[0])
        for use in reading.uses
        if use.values
        for name in (use.name, *(use.flag.names if use.flag is not None else ()))
    }


def _filled(
    change: Change, name: str, values: tuple[ShellWord, ...], others: Mapping[str, ShellWord]
) -> tuple[ShellWord, ...] | None:
    """`Change.arguments` filled in with words: a value that is a whole word keeps its quotes."""
    texts = change.arguments(
        name,
        tuple(word.value for word in values),
        {other: word.value for other, word in others.items()},
    )
    if texts is None:
        return None
    by_value = {word.value: word for word in (*others.values(), *values)}
    filled: list[ShellWord] = []
    for text in texts:
        word = by_value.get(text) or _around(text, values)
        if word is None:
            return None
        filled.append(word)
    return tuple(filled)


def _around(text: str, values: tuple[ShellWord, ...]) -> ShellWord | None:
    """A word for a text that may hold the value in its middle."""
    for value in values:
        before, found, after = text.partition(value.value)
        if found and value.expands:
            return value.inside(before, after)
    return ShellWord.plain(text)


def _is_handed_on(table: FlagTable, name: str) -> bool:
    passes_on = table.passes_on
    return passes_on is not None and not isinstance(passes_on.resolve(name), Unknown)


def _still_said(
    reading: ParsedCommand,
    groups: tuple[tuple[ShellWord, ...], ...],
    gpus_per_node: int,
    today: EntryPoint,
) -> Iterator[Finding]:
    """The errors of today's parser, except for words that only a shell can expand."""
    expanding = {word.value for word in chain.from_iterable(groups) if word.expands}
    for finding in check_reading(reading, gpus_per_node):
        if finding.actual not in expanding and not _is_the_models(finding, reading, today):
            yield finding


def _is_the_models(finding: Finding, reading: ParsedCommand, today: EntryPoint) -> bool:
    """Whether a finding is about the way of naming the model that the entry point accepts."""
    if finding.code == "flag-deprecated":
        return finding.where == today.model
    if not today.model_may_be_first or not reading.loose:
        return False
    first = reading.loose[0]
    missing = finding.code == "flag-missing" and finding.where == today.model
    extra = finding.code == "argument-unexpected" and finding.where == first.value
    return first.at == 0 and (missing or extra)
