"""Shell scripts, and the scripts within them: here-documents, `bash -c '…'`."""

import re
from collections.abc import Iterator
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.modernize.command_text import (
    CommandText,
    Document,
    Name,
    Part,
    Unread,
    write_shell,
)
from k2compat.launch.modernize.forms.interface import NestedReader, holds_program
from k2compat.launch.modernize.shell_text import SCRIPT, ShellWord, Statement, statements

NAME: Final = "shell script"

# A word that quotes a whole command: 'vllm serve …', or CMD="vllm serve …".
_QUOTED: Final = re.compile(
    r"""(?P<front>(?:[A-Za-z_]\w*=)?(?P<quote>['"]))(?P<inside>.*)(?P=quote)""", re.DOTALL
)
_PRINTS: Final = frozenset({"echo", "printf"})
_SETS: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SETS_IN_CONTAINER: Final = frozenset({"-e", "--env"})
_EXPORTS: Final = frozenset({"export", "declare", "set", "env", "local", "readonly"})


def recognizes(text: str) -> bool:
    """Accept every text: this form is tried last."""
    del text
    return True


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The commands of a script.

    Raises:
        RefusedError: shell-unclosed.
    """
    return read_words(text, start, end, SCRIPT, nested)


def read_words(text: str, start: int, end: int, syntax: str, nested: NestedReader) -> Document:
    """The commands between two places, in one of the syntaxes of `shell_text`.

    Raises:
        RefusedError: shell-unclosed.
    """
    document = Document(NAME)
    for statement in statements(text, start, end, syntax):
        document.commands.append(_command(statement))
        document.variables += _variables(statement)
        for inside in _quoted(statement):
            _read_quoted(text, inside, document, nested)
        for here in statement.documents:
            document.add(nested(text, here.start, here.end))
    return document


def _command(statement: Statement) -> CommandText:
    part = Part(
        statement.start,
        statement.end,
        statement.words,
        write_shell,
        tail="".join(statement.redirections),
    )
    redirections = tuple(map(str.strip, statement.redirections))
    return CommandText((part,), statement.assignments, redirections=redirections)


def _variables(statement: Statement) -> Iterator[Name]:
    """The variables set in front of a command, by `export`, and for a container (`-e X=1`)."""
    words = statement.words
    exports = len(words) > statement.assignments and words[statement.assignments].value in _EXPORTS
    for number, word in enumerate(words):
        before = words[number - 1].value if number else ""
        if number < statement.assignments or exports or before in _SETS_IN_CONTAINER:
            yield from _variable(word)


def _variable(word: ShellWord) -> Iterator[Name]:
    match = _SETS.fullmatch(word.value)
    if match is None:
        return
    shift = len(word.source) - len(word.source.lstrip("'\""))
    begin = word.at + shift
    yield Name(begin, begin + len(match[1]), match[1], match[2])


def _quoted(statement: Statement) -> Iterator[ShellWord]:
    """Words that quote a command, except those that are only printed."""
    first = statement.words[statement.assignments :][:1]
    if first and first[0].value in _PRINTS:
        return
    for word in statement.words:
        value = re.sub(r"^[A-Za-z_]\w*=", "", word.value)
        if any(blank in value for blank in " \n") and holds_program(value):
            yield word


def _read_quoted(text: str, word: ShellWord, document: Document, nested: NestedReader) -> None:
    match = _QUOTED.match(text, word.at)
    whole = _QUOTED.fullmatch(text[word.at : word.at + len(word.source)])
    simple = whole is not None and whole["quote"] not in whole["inside"]
    if not (match and whole and simple) or (whole["quote"] == '"' and "\\" in whole["inside"]):
        document.unread.append(Unread(word.at, word.source, "its quotes lie within quotes"))
        return
    begin = word.at + len(whole["front"])
    try:
        document.add(nested(text, begin, begin + len(whole["inside"])))
    except RefusedError as error:
        document.unread.append(Unread(word.at, word.source, error.message))
