"""A command in a document of any form, and how it is written back.

    Document ─▸ CommandText ─▸ Part ─▸ words, each with its place

A command may have several parts in a document: Kubernetes has `command:` and `args:`. Unchanged
words keep every character of their source; a part without changed words is not written at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from k2compat.launch.modernize.shell_text import ShellWord

ALL_ARGUMENTS: Final = "$@"
"""The word of a script that means all arguments of the script."""

Writer: TypeAlias = Callable[["Part", Sequence[ShellWord]], str]
"""Writes the new words of a part as the part's text."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that replaces what is between two places of the document."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """Words that follow each other in the document.

    Attributes:
        start: Where the first word begins in the document.
        end: Where the last one ends, with what belongs to them.
        words: The words.
        write: How they are written.
        sources: Each word in the form of the document, where that is not shell text.
        tail: The text after the words that stays: redirections.
        between: The text between two words of a list.
    """

    start: int
    end: int
    words: tuple[ShellWord, ...]
    write: Writer
    sources: tuple[str, ...] = ()
    tail: str = ""
    between: str = " "


@dataclass(frozen=True, slots=True)
class Name:
    """A name of an image or of a variable in the document, which an edit may change.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        text: The name.
        value: A variable's value; "" where it is not known.
    """

    start: int
    end: int
    text: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class CommandText:
    """One command.

    Attributes:
        parts: The parts that hold its words.
        assignments: How many words in front set variables of a shell.
        image: The container image that it runs in, where the document names it.
        settings_of: The engine whose settings file this is: the words are its keys; "" for a
            command.
        redirections: Each redirection as it is written.
        by_image: Whether the document names no program: the image's own program gets the words.
    """

    parts: tuple[Part, ...]
    assignments: int = 0
    image: Name | None = None
    settings_of: str = ""
    redirections: tuple[str, ...] = ()
    by_image: bool = False

    @property
    def words(self) -> tuple[ShellWord, ...]:
        """All words; their numbers count through all parts."""
        flat = (word for part in self.parts for word in part.words)
        return tuple(replace(word, place=place) for place, word in enumerate(flat))

    @property
    def start(self) -> int:
        """Where it begins in the document."""
        return self.parts[0].start

    def source(self, document: str) -> str:
        """The command as the document has it."""
        return "\n".join(document[part.start : part.end] for part in self.parts)

    def rewritten(self, words: Sequence[ShellWord]) -> tuple[Edit, ...]:
        """The edits after which the command has these words.

        A new word goes into the part of the word that it replaces, or else of the word before it.
        New words at the beginning go into the first part.
        """
        owners = [number for number, part in enumerate(self.parts) for _ in part.words]
        gone = set(range(len(owners))).difference(word.place for word in words)
        filled: list[list[ShellWord]] = [[] for _ in self.parts]
        number, place = 0, -1
        for word in words:
            if word.place >= 0:
                number, place = owners[word.place], word.place
            elif place + 1 in gone:
                number = owners[place + 1]
            filled[number].append(word)
        begins = [owners.index(n) if n in owners else 0 for n in range(len(self.parts))]
        return tuple(
            Edit(part.start, part.end, part.write(part, _local(now, begin)))
            for part, now, begin in zip(self.parts, filled, begins, strict=True)
            if [word.place for word in now] != list(range(begin, begin + len(part.words)))
        )


def _local(words: Sequence[ShellWord], begin: int) -> list[ShellWord]:
    """Words whose numbers count within their part."""
    return [replace(w, place=w.place - begin) if w.place >= 0 else w for w in words]


def write_shell(part: Part, words: Sequence[ShellWord]) -> str:
    """Words as shell text; the first one has no lead."""
    written = "".join(word.lead + word.source for word in words)
    lead = words[0].lead if words else ""
    return written.removeprefix(lead) + part.tail


@dataclass(frozen=True, slots=True)
class Unread:
    """A place of the document with a command, or perhaps one, that was not read."""

    at: int
    what: str
    reason: str


@dataclass(slots=True)
class Document:
    """The contents of a document.

    Attributes:
        form: Its form: "shell script", "systemd unit", …
        commands: Its commands, whether they start an engine or not.
        variables: The variables that it sets, by their names.
        settings: Places of settings files of an engine (TensorRT-LLM's YAML).
        unread: The places that could not be read.
    """

    form: str
    commands: list[CommandText] = field(default_factory=list)
    variables: list[Name] = field(default_factory=list)
    settings: list[tuple[int, int]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def add(self, other: "Document") -> None:
        """Add the contents of a document within this one."""
        self.commands += other.commands
        self.variables += other.variables
        self.settings += other.settings
        self.unread += other.unread
