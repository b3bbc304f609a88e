"""Locate a member's value in a JSON text."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

# One token of a text that is known to be JSON. White space is what lies between.
# A string is matched run by run, not character by character: that is ten times as fast.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """The first token of a member's value.

    For a string, number or literal that is the whole value; for an object or array it is
    the opening bracket.

    Attributes:
        token: The token as written.
        start: Index of its first character in the text.
        end: Index after its last character.
    """

    token: str
    start: int
    end: int


def locate(text: str, path: KeyPath) -> list[Member]:
    """All members at `path`: none, one, or several where a key is repeated.

    Keys are compared decoded, so an escaped spelling of a key is found too. A repeated key
    on the way counts as well: with two objects `a`, path ("a", "b") finds every `b` in both.

    Args:
        text: JSON, already checked by a parser; the order of tokens is not checked here.
        path: Keys from the top-level object downward.

    Returns:
        The members in the order of the text.
    """
    return [member for found, member in _members(text) if found == path]


def _members(text: str) -> Iterator[tuple[tuple[str | None, ...], Member]]:
    """Every member of every object, with its path; None is an array on the way."""
    path: list[str | None] = []  # the key (None: an array) of every container open now
    key: str | None = None  # the last string seen where a key can be
    expects_value = False  # a colon came, its value did not
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == ":":
            expects_value = True
            continue
        if expects_value:
            yield (*path[1:], key), Member(token, match.start(), match.end())
        if token in "{[":
            path.append(key if expects_value else None)
        elif token in "}]":
            path.pop()
        elif token[0] == '"' and not expects_value:
            key = json.loads(token)
        expects_value = False
