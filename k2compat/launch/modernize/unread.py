"""Places of commands that were not read: a user would believe that unreported ones were checked."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import programs_of, values_of
from k2compat.launch.modernize.command_text import Document
from k2compat.launch.modernize.forms.interface import mentions
from k2compat.launch.modernize.places import image_without_program, program_in
from k2compat.shell_line import shell_line

_codes = Codes("launch")

# A flag after the program, on the same line or the next, shows a command and not only a mention.
_FLAGS: Final = re.compile(r"""[^\n]*?[\s"',]-{1,2}[a-zA-Z]|[^\n]*\\\n[^\n]*--[a-z]""")
# The text between the words of a command in a list of another language.
_BETWEEN: Final = re.compile(r"""["',\s]+""")
_COMMENT: Final = re.compile(r"^\s*(?:#|//|;)")


def unread_places(
    text: str, document: Document, read: Sequence[tuple[int, int]]
) -> Iterator[Finding]:
    """Places that look like an engine's command, but were not read as one.

    Args:
        text: The document's text.
        document: Its contents that were read.
        read: The places of the commands that were read.
    """
    reported: set[int] = set()
    for unread in document.unread:
        line = _line(text, unread.at)
        reported.add(line)
        yield _finding(line, " ".join(unread.what.split())[:60], unread.reason)
    for match in mentions(engine_names()).finditer(text):
        line = _line(text, match.start())
        inside = any(start <= match.start() < end for start, end in read)
        if inside or line in reported or not _FLAGS.match(text, match.end()):
            continue
        if _COMMENT.match(text[text.rfind("\n", 0, match.start()) + 1 :]):
            continue
        reported.add(line)
        shown = " ".join(_BETWEEN.split(match[0]))
        yield _finding(line, shown, f"{document.form}s are not read at this place")
    yield from _config_files(text, document)
    yield from _images(text, document)


def _images(text: str, document: Document) -> Iterator[Finding]:
    """Images that get only flags, and start no server by themselves."""
    for command in document.commands:
        found = image_without_program(command)
        if found is not None:
            named, image = found
            yield _codes.finding(
                "image-without-program",
                f"line {_line(text, named.start)}",
                f"{named.text} is given flags alone, and starts no server by itself.",
                fix=f"Write {image.program} in front of the flags.",
            )


def _config_files(text: str, document: Document) -> Iterator[Finding]:
    """Config files that a command reads and that are not in the text."""
    for command in document.commands:
        place = program_in(command)
        if place is None or programs_of(place.entry.engine).config_file is None:
            continue
        for file in values_of([word.value for word in command.words], "--config"):
            if not re.search(rf">\s*['\"]?{re.escape(file)}", text):
                yield _codes.finding(
                    "config-file-unread",
                    f"line {_line(text, command.start)}",
                    f"The flags in {file} were not read.",
                    actual=file,
                    fix=shell_line("k2compat", "modernize", file),
                )


def _finding(line: int, what: str, reason: str) -> Finding:
    return _codes.finding(
        "command-unread",
        f"line {line}",
        f"{what} starts an engine, and was not read: {reason}.",
        actual=what,
        fix="Give the command alone: k2compat modernize - <<'EOF'",
    )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
