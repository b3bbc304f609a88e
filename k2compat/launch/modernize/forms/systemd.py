"""systemd units: `ExecStart=` and similar settings, and `Environment=`.

systemd starts no shell: the program gets `>`, `|` and `;` as they are. systemd.service(5)
allows some characters in front of the program (`-`, `@`, `+` …).
"""

import re
from typing import Final

from k2compat.launch.modernize.command_text import Document, Name
from k2compat.launch.modernize.forms.interface import NestedReader
from k2compat.launch.modernize.forms.shell import read_words
from k2compat.launch.modernize.shell_text import WORDS, statements

NAME: Final = "systemd unit"

_SERVICE: Final = re.compile(r"^\[Service\][ \t]*$", re.MULTILINE)
# A setting: its value continues after a backslash, with comments skipped.
_SETTING: Final = re.compile(
    r"^(?P<key>Exec\w+|Environment)[ \t]*=[ \t]*[-@:+!]*(?P<value>(?:[^\n\\]|\\\n|\\.)*)",
    re.MULTILINE,
)
_SETS: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


def recognizes(text: str) -> bool:
    """Whether the text has a section [Service]."""
    return _SERVICE.search(text) is not None


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The commands and the variables of a unit.

    Raises:
        RefusedError: shell-unclosed.
    """
    document = Document(NAME)
    for match in _SETTING.finditer(text, start, end):
        begin, stop = match.span("value")
        if match["key"] == "Environment":
            document.variables += _variables(text, begin, stop)
        else:
            document.add(read_words(text, begin, stop, WORDS, nested))
    return document


def _variables(text: str, start: int, end: int) -> list[Name]:
    found: list[Name] = []
    for statement in statements(text, start, end, WORDS):
        for word in statement.words:
            if match := _SETS.fullmatch(word.value):
                begin = word.at + (word.source[:1] in "'\"")
                found.append(Name(begin, begin + len(match[1]), match[1], match[2]))
    return found
