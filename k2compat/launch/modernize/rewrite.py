"""Translation of an old command line into today's, with the reason for each change.

    text ─ forms ─▸ commands, variables ─ recognize ─▸ an engine's program, its flags
         ─ the history ─▸ today's flags, today's program ─▸ the same text with those words changed

Only changed words are written again. Comments, quotes, variables, line breaks between commands and
every command that starts no engine keep every character. The edited text is read again, and an
edit after which the document does not hold the intended words is not made. A flag without a known
successor is left out with an error: the engine must accept the printed command. No command is run.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import changes_of, programs_of
from k2compat.launch.modernize.command_text import CommandText, Document, Edit
from k2compat.launch.modernize.forms import read_document
from k2compat.launch.modernize.images import pinned_version, raised_image
from k2compat.launch.modernize.modern_command import ModernCommand, Rewritten, rewrite_command
from k2compat.launch.modernize.places import Place, program_in
from k2compat.launch.modernize.releases import Releases
from k2compat.launch.modernize.settings_file import rename_keys
from k2compat.launch.modernize.unread import unread_places
from k2compat.launch.modernize.variables import modern_variables
from k2compat.launch.request import GPUS_PER_NODE

_codes = Codes("launch")

# The guide's `$NODE0$:5757`: a second dollar after a variable, before the port.
_STRAY_DOLLAR: Final = re.compile(r"(\$(?:\w+|\{\w+\}))\$(?=:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modernized:
    """A text with today's commands.

    Attributes:
        text: The text.
        form: The form of the text: "shell script", "Compose file", …
        commands: The commands in it that start an engine.
        findings: The findings of the text as a whole.
    """

    text: str
    form: str
    commands: tuple[ModernCommand, ...]
    findings: tuple[Finding, ...]


def modernize_text(
    text: str,
    versions: Mapping[str, str] | None = None,
    gpus_per_node: int = GPUS_PER_NODE,
) -> Modernized:
    """Write the commands in a text in the form that the engines accept today.

    Args:
        text: A shell script, a systemd unit, a Compose file, a Kubernetes manifest, a config file
            of vLLM, or a Markdown page with any of them.
        versions: The version to write for, by engine; the key "" means the only engine in the text.
            By default it is the version of the command's container image, or the newest with a
            table.
        gpus_per_node: GPUs of the node that a command runs on.

    Raises:
        RefusedError: shell-unclosed, document-malformed; engine-unknown, engine-version-invalid;
            engine-version-ambiguous, the text starts several engines and the version names
            none; entry-gone.
    """
    text, stray = _without_stray_dollars(text)
    document = read_document(text)
    found = _commands(document)
    releases = Releases(versions or {}, {place.entry.engine for _, place in found})
    for engine in releases.engines:
        ours = (place for _, place in found if place.entry.engine == engine)
        releases.note_images(engine, [pinned_version(place) for place in ours])
    before = [command.source(text) for command, _ in found]
    findings: list[Finding] = [*stray]
    edits: list[Edit] = []
    images = (raised_image(place, releases) for _, place in found)
    for edit, finding in (*modern_variables(text, document.variables, releases), *images):
        edits += [edit] if edit is not None else []
        findings += [finding] if finding is not None else []
    if edits:  # the names are within commands, which are read again with the new names
        text = _edited(text, edits)
        document = read_document(text)
        found = _commands(document)
    rewritten = _safe(
        text,
        [
            rewrite_command(text, command, place, releases, gpus_per_node)
            for command, place in found
        ],
    )
    settings = list(_modern_settings(text, document, releases))
    spans = [(part.start, part.end) for command, _ in found for part in command.parts]
    findings += [finding for _, finding in settings]
    findings += unread_places(text, document, spans)
    if not found and not findings:
        findings.append(
            _codes.finding("no-engine-command", "", "No command here starts an engine.")
        )
    edits = [edit for each in rewritten for edit in each.edits] + [edit for edit, _ in settings]
    return Modernized(
        text=_edited(text, edits),
        form=document.form,
        commands=tuple(
            replace(each.command, before=old) for each, old in zip(rewritten, before, strict=True)
        ),
        findings=tuple(findings),
    )


def _commands(document: Document) -> list[tuple[CommandText, Place]]:
    """The commands that start an engine, in the order of the text."""
    places = ((command, program_in(command)) for command in document.commands)
    found = [(command, place) for command, place in places if place is not None]
    return sorted(found, key=lambda pair: pair[0].start)


def _safe(text: str, rewritten: Sequence[Rewritten]) -> list[Rewritten]:
    """The edits, without those after which the text does not hold the intended words.

    Each form has its own quoting. Reading the edited text again finds cases of quoting that the
    writers do not know.
    """
    if _holds(text, rewritten):
        return list(rewritten)
    safe: list[Rewritten] = []
    for number, each in enumerate(rewritten):
        others = [other.unchanged() for other in rewritten]
        others[number] = each
        safe.append(each if _holds(text, others) else each.not_written())
    return safe


def _holds(text: str, rewritten: Sequence[Rewritten]) -> bool:
    """Whether the edited text has the words of each command."""
    edits = [edit for each in rewritten for edit in each.edits]
    if not edits:
        return True
    try:
        now = _commands(read_document(_edited(text, edits)))
    except RefusedError:
        return False
    words = [tuple(word.value for word in command.words) for command, _ in now]
    return words == [each.words for each in rewritten]


def _modern_settings(
    text: str, document: Document, releases: Releases
) -> Iterator[tuple[Edit, Finding]]:
    """Settings files of an engine that the text holds or is."""
    for engine in engine_names():
        settings = programs_of(engine).settings_file
        if settings is None:
            continue
        changes = changes_of(engine, settings.entry)
        for start, end in dict.fromkeys(document.settings):
            release = releases.beside(engine)
            renamed = rename_keys(text[start:end], changes, release.version)
            for change in renamed.changes:
                new = (change.to or ("",))[0]
                yield (
                    Edit(start, end, renamed.text),
                    _codes.finding(
                        "settings-key-mended",
                        change.flag,
                        f"{change.flag} is {new} since {change.since}. {change.reason}",
                        expected=new,
                        actual=change.flag,
                    ),
                )


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


def _edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in sorted(set(edits), key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
