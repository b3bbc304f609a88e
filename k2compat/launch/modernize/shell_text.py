"""A reader of shell text, limited to commands that start servers. It runs nothing.

    text → statements, each with its place in the text → words, each with its source and meaning

A word's meaning keeps `$NAME`, `${NAME}`, `$(…)` and `<NAME>` unchanged: nothing is expanded.
`<NAME>` is a placeholder of a guide, though a shell would redirect from a file. Syntax that this
reader does not know (arithmetic, arrays, `case`) is kept as words and never changed.

systemd and Compose also split a command into words, but run no shell: there a line break is a
space, and `>`, `;` and `#` are ordinary characters (`WORDS`). YAML folds the lines of some texts
into one before a shell reads them (`FOLDED`).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.request import PLACEHOLDER

_VARIABLE: Final = re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])")
_REDIRECTION: Final = re.compile(r"\d*(?:&>>?|>>|>&|>\||<<<|<<-?|<&|<>|>|<)")
_SEPARATOR: Final = re.compile(r"\|\||&&|;;|\|&|[;&|()\n]")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
_BLANK: Final = " \t\r"
_CONTINUED: Final = re.compile(r"\\\r?\n")
# The characters that a backslash escapes inside double quotes.
_ESCAPED: Final = '"$`\\'


@dataclass(frozen=True, slots=True)
class ShellWord:
    """One word.

    Attributes:
        source: Its text as written, quotes included.
        value: Its meaning, with every expansion left as written.
        expands: Whether it holds an expansion (a variable, a substitution).
        runs: Whether one of them runs a command: `$(…)`, backticks.
        literal_dollar: Whether it holds a dollar that is no expansion.
        lead: The text before it: spaces, the end of a continued line.
        place: Its number in the original command; -1 for a new word.
        at: Where its source begins in the text; -1 for a new word.
    """

    source: str
    value: str
    expands: bool = False
    runs: bool = False
    literal_dollar: bool = False
    lead: str = " "
    place: int = -1
    at: int = -1

    @classmethod
    def plain(cls, value: str) -> "ShellWord":
        """A word whose meaning is exactly this text."""
        return cls(shlex.quote(value), value, literal_dollar="$" in value)

    def behind(self, beginning: str) -> "ShellWord | None":
        """The word without its beginning (`--flag=`); None where the quotes forbid the cut."""
        rest = self.value.removeprefix(beginning)
        if self.source.startswith(beginning):
            source = self.source.removeprefix(beginning)
        elif self.expands and self.literal_dollar:
            return None
        else:
            source = _double_quoted(rest) if self.expands else shlex.quote(rest)
        return replace(self, source=source or "''", value=rest, place=-1)

    def inside(self, before: str, after: str) -> "ShellWord | None":
        """The word's meaning between two texts, as one word; None where it cannot be quoted."""
        if not self.expands:
            return ShellWord.plain(before + self.value + after)
        if self.literal_dollar or "$" in before + after:
            return None
        value = before + self.value + after
        return replace(self, source=_double_quoted(value), value=value, place=-1)


@dataclass(frozen=True, slots=True)
class HereDocument:
    """The lines after `<<EOF`. `start` and `end` are their place in the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One simple command.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends, without comments and separators.
        words: Its words, with the assignments in front, without the redirections.
        redirections: Each as written, with its target and the text before it.
        targets: The files that the redirections write or read.
        documents: The here-documents that it reads.
    """

    start: int
    end: int
    words: tuple[ShellWord, ...]
    redirections: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    documents: tuple[HereDocument, ...] = ()

    @property
    def assignments(self) -> int:
        """How many words in front set variables."""
        for number, word in enumerate(self.words):
            if not _ASSIGNMENT.match(word.source):
                return number
        return len(self.words)


def _placeholder_at(text: str, at: int) -> re.Match[str] | None:
    """The placeholder `<NAME>` at a place of the text; another function reads variables."""
    match = PLACEHOLDER.match(text, at)
    return match if match is not None and match[3] is not None else None


SCRIPT: Final = "script"
WORDS: Final = "words"
FOLDED: Final = "folded"


def statements(
    text: str, start: int = 0, end: int | None = None, syntax: str = SCRIPT
) -> tuple[Statement, ...]:
    """The simple commands in a text, in order.

    Args:
        text: The text.
        start: Where to begin; places still count from the beginning of the text.
        end: Where to end; None means the end of the text.
        syntax: SCRIPT, WORDS for a command that no shell reads, or FOLDED.

    Raises:
        RefusedError: shell-unclosed, a quote or an expansion has no end.
    """
    return tuple(_Reader(text[:end], start, syntax).read())


def _double_quoted(value: str) -> str:
    """A value with expansions, in double quotes, so that a shell expands them."""
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


@dataclass(slots=True)
class _Pieces:
    """The parts of a word that is being read."""

    start: int
    value: list[str] = field(default_factory=list)
    expands: bool = False
    runs: bool = False
    literal_dollar: bool = False

    def add(self, text: str) -> None:
        self.value.append(text)
        self.literal_dollar = self.literal_dollar or "$" in text


class _Reader:
    def __init__(self, text: str, start: int, syntax: str) -> None:
        self.text = text
        self.at = start
        self.runs_shell = syntax != WORDS
        self.blank = _BLANK if syntax == SCRIPT else _BLANK + "\n"

    def read(self) -> Iterator[Statement]:
        while self.at < len(self.text):
            statement = self._statement()
            if statement is not None:
                yield statement

    def _statement(self) -> Statement | None:
        words: list[ShellWord] = []
        redirections: list[tuple[str, str, str]] = []
        start = end = -1
        while self.at < len(self.text):
            self._skip_blanks()
            if self._skip_comment() or self._ends():
                break
            begin = self.at
            start = begin if start < 0 else start
            lead = self.text[max(start, end) : begin]
            operator = self._redirection()
            if operator:
                self._skip_blanks()
                target = self._word()
                redirections.append((operator, lead + self.text[begin : self.at], target.value))
            else:
                words.append(replace(self._word(), lead=lead, place=len(words), at=begin))
            end = self.at
        documents = self._separator([r for r in redirections if r[0].endswith(("<<", "<<-"))])
        if start < 0:
            return None
        return Statement(
            start,
            end,
            tuple(words),
            tuple(source for _, source, _ in redirections),
            tuple(target for _, _, target in redirections),
            documents,
        )

    def _skip_blanks(self) -> None:
        while self.at < len(self.text):
            if match := _CONTINUED.match(self.text, self.at):
                self.at = match.end()
            elif self.text[self.at] in self.blank:
                self.at += 1
            else:
                return

    def _skip_comment(self) -> bool:
        if self.runs_shell and self.text.startswith("#", self.at):
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        return self.at >= len(self.text)

    def _ends(self) -> bool:
        if not self.runs_shell:
            return False
        return self._redirection(move=False) == "" and bool(_SEPARATOR.match(self.text, self.at))

    def _separator(self, reading: list[tuple[str, str, str]]) -> tuple[HereDocument, ...]:
        """Step over the separator of the statement, and over its here-documents."""
        match = _SEPARATOR.match(self.text, self.at)
        if match is None:
            return ()
        if not reading:
            self.at = match.end()
            return ()
        line_end = self.text.find("\n", self.at)
        self.at = len(self.text) if line_end < 0 else line_end + 1
        return tuple(
            self._document(delimiter, indented=operator.endswith("-"))
            for operator, _, delimiter in reading
        )

    def _document(self, delimiter: str, *, indented: bool) -> HereDocument:
        start = self.at
        while self.at < len(self.text):
            line_start = self.at
            line_end = self.text.find("\n", self.at)
            self.at = len(self.text) if line_end < 0 else line_end + 1
            line = self.text[line_start : self.at].rstrip("\r\n")
            if (line.lstrip("\t") if indented else line) == delimiter:
                return HereDocument(start, line_start)
        raise _unclosed(self.text, start, f"<<{delimiter}")

    def _redirection(self, *, move: bool = True) -> str:
        if not self.runs_shell or _placeholder_at(self.text, self.at):
            return ""
        match = _REDIRECTION.match(self.text, self.at)
        if match is None:
            return ""
        if move:
            self.at = match.end()
        return match[0]

    def _word(self) -> ShellWord:
        pieces = _Pieces(self.at)
        while self.at < len(self.text) and self._piece(pieces):
            pass
        source = self.text[pieces.start : self.at]
        return ShellWord(
            _CONTINUED.sub("", source),
            "".join(pieces.value),
            pieces.expands,
            pieces.runs,
            pieces.literal_dollar,
        )

    def _piece(self, pieces: _Pieces) -> bool:
        """Read on; False where the word ends."""
        character = self.text[self.at]
        if match := _CONTINUED.match(self.text, self.at):
            self.at = match.end()
        elif match := _placeholder_at(self.text, self.at):
            pieces.add(match[0])
            self.at = match.end()
        elif character in self.blank or (self.runs_shell and self._ends_word(character)):
            return False
        elif character == "'":
            end = self._find("'", self.at + 1)
            pieces.add(self.text[self.at + 1 : end])
            self.at = end + 1
        elif character == '"':
            self._double_quotes(pieces)
        elif character == "\\":
            pieces.add(self.text[self.at + 1 : self.at + 2])
            self.at += 2
        elif character in "$`":
            self._expansion(pieces)
        else:
            pieces.add(character)
            self.at += 1
        return True

    def _ends_word(self, character: str) -> bool:
        return character in "<>" or _SEPARATOR.match(self.text, self.at) is not None

    def _double_quotes(self, pieces: _Pieces) -> None:
        opened = self.at
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return
            if match := _CONTINUED.match(self.text, self.at):
                self.at = match.end()
            elif character == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_ESCAPED):
                pieces.add(self.text[self.at + 1])
                self.at += 2
            elif character in "$`":
                self._expansion(pieces)
            else:
                pieces.add(character)
                self.at += 1
        raise _unclosed(self.text, opened, '"')

    def _expansion(self, pieces: _Pieces) -> None:
        start = self.at
        pair = self.text[start : start + 2]
        if match := _VARIABLE.match(self.text, start):
            self.at = match.end()
        elif pair == "${":
            self.at = self._closing(start + 2, "{", "}")
        elif pair == "$(":
            self.at = self._closing(start + 2, "(", ")")
            pieces.runs = True
        elif pair[0] == "`":
            self.at = self._find("`", start + 1) + 1
            pieces.runs = True
        else:
            pieces.add("$")
            self.at += 1
            return
        pieces.expands = True
        pieces.value.append(self.text[start : self.at])

    def _closing(self, at: int, opening: str, closing: str) -> int:
        """The place after the closing bracket; brackets in quotes do not count."""
        start, depth = at, 1
        while at < len(self.text):
            character = self.text[at]
            if character == "\\":
                at += 1
            elif character == "'":
                at = self._find("'", at + 1)
            elif character in (opening, closing):
                depth += 1 if character == opening else -1
                if depth == 0:
                    return at + 1
            at += 1
        raise _unclosed(self.text, start, f"${opening}")

    def _find(self, character: str, at: int) -> int:
        end = self.text.find(character, at)
        if end < 0:
            raise _unclosed(self.text, at, character)
        return end


def _unclosed(text: str, at: int, what: str) -> RefusedError:
    line = text.count("\n", 0, at) + 1
    return RefusedError(
        "shell-unclosed", f"{what} in line {line} has no end.", hint="Close it, and try again."
    )
