"""Looks at the members of a whole JSON object without converting its values."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from .markers import WHITE_SPACE

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]')


class Member(NamedTuple):
    """One member of the object.

    Attributes:
        key: its name.
        value: its value as written.
        source: the whole member as written.
    """

    key: str
    value: str
    source: str


def members(text: str) -> Iterator[Member]:
    """The members of a JSON object in their order, repeated names included.

    Args:
        text: one whole JSON object.
    """
    depth = begin = colon = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "}]":
            depth -= 1
        at_the_end = depth == (0 if mark == "}" else 1) and mark in ",}"
        if at_the_end and text[begin : token.start()].strip(WHITE_SPACE):
            source = text[begin : token.start()].strip(WHITE_SPACE)
            key = json.loads(text[begin:colon])
            yield Member(key, text[colon + 1 : token.start()].strip(WHITE_SPACE), source)
        if mark == ":" and depth == 1:
            colon = token.start()
        if mark in "{[":
            depth += 1
        if depth == 1 and mark in "{,":
            begin = token.end()


def joined(parts: Iterable[Member]) -> str:
    """The JSON object made of these members, each as it was written."""
    return "{" + ", ".join(member.source for member in parts) + "}"
