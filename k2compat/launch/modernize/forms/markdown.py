"""Markdown: each fenced block is a document of its own, whose form is found by its text."""

import re
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.modernize.command_text import Document, Unread
from k2compat.launch.modernize.forms.interface import NestedReader, holds_program

NAME: Final = "Markdown page"

_FENCE: Final = re.compile(
    r"^[ \t>]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n`]*\n(?P<body>.*?)"
    r"^[ \t>]*(?P=fence)[`~]*[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
# Languages without commands: a program that is named there is reported as not read.
_NOT_COMMANDS: Final = frozenset(
    {"python", "py", "json", "dockerfile", "diff", "toml", "go", "rust"}
)


def recognizes(text: str) -> bool:
    """Whether the text has a fence and is no script with a fence in one of its strings."""
    return not text.startswith("#!") and _FENCE.search(text) is not None


def read(text: str, start: int, end: int, nested: NestedReader) -> Document:
    """The contents of the fenced blocks."""
    document = Document(NAME)
    for match in _FENCE.finditer(text, start, end):
        begin, stop = match.span("body")
        if match["language"].lower() in _NOT_COMMANDS:
            continue
        try:
            document.add(nested(text, begin, stop))
        except RefusedError as error:
            if holds_program(match["body"]):
                document.unread.append(Unread(begin, "the fenced block", error.message))
    return document
