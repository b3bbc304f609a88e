"""Says, while JSON text arrives, whether it can still become one JSON object.

Two questions are asked of a call's arguments: is this an open string (then a
marker is text), and is this one whole object (then the call is complete)?
`json` answers the second only once the text is whole, and the first never.
`ObjectPrefix` answers both at any place. Each character is read a bounded
number of times however the text is cut, no value is built from it, and
nesting costs one byte a level: no depth and no size makes it give up.

How it reads. Text that comes whole is tried with `json` first. Otherwise,
outside strings the place in the grammar is one of a few
`Expect` values, and the open containers are a stack. Runs of whole members or
items, themselves nested up to `_INLINE_DEPTH` levels, are skipped by one
regular expression; what no run covers (deeper nesting, the last element, the
place where the text ends) is read token by token. A token that the end of the
text cuts in two is carried over to the next piece.

The language is that of `json.loads`, without its extensions `NaN` and
`Infinity`, which are not JSON.
"""

import json
import re
from enum import IntEnum, auto
from functools import cache
from typing import Final

# Text that comes as one whole object is left to `json`, which is faster but builds
# the values: for larger text they would take too much memory.
_DECODE_AT_MOST: Final = 1 << 21

# Deeper values are read token by token. Each further level doubles the pattern.
_INLINE_DEPTH: Final = 3

_SPACE: Final = r"[ \t\n\r]*+"
_IN_STRING: Final = r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
_MORE_OF_STRING: Final = re.compile(rf"{_IN_STRING}++")
_STRING: Final = rf'"{_IN_STRING}*+"'
_NUMBER: Final = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_SCALAR: Final = rf"(?:{_STRING}|{_NUMBER}|true|false|null)"


class Expect(IntEnum):
    """What may come next, outside strings."""

    OBJECT = auto()
    FIRST_KEY = auto()
    KEY = auto()
    COLON = auto()
    VALUE = auto()
    NEXT_MEMBER = auto()
    FIRST_ITEM = auto()
    ITEM = auto()
    NEXT_ITEM = auto()
    NOTHING = auto()


# The grammar: the characters allowed next. Where a value is expected, a number
# or one of the names true, false, null is allowed too.
_ALLOWED: Final = {
    Expect.OBJECT: "{",
    Expect.FIRST_KEY: '"}',
    Expect.KEY: '"',
    Expect.COLON: ":",
    Expect.VALUE: '"{[',
    Expect.NEXT_MEMBER: ",}",
    Expect.FIRST_ITEM: '"{[]',
    Expect.ITEM: '"{[',
    Expect.NEXT_ITEM: ",]",
    Expect.NOTHING: "",
}
_KEYS: Final = (Expect.FIRST_KEY, Expect.KEY)
_VALUES: Final = (Expect.VALUE, Expect.FIRST_ITEM, Expect.ITEM)

# What is expected behind each mark, and behind a value by the container it is in.
_BEHIND_MARK: Final = {"{": Expect.FIRST_KEY, "[": Expect.FIRST_ITEM, ":": Expect.VALUE}
_BEHIND_COMMA: Final = {Expect.NEXT_MEMBER: Expect.KEY, Expect.NEXT_ITEM: Expect.ITEM}
_BEHIND_VALUE: Final = {ord("{"): Expect.NEXT_MEMBER, ord("["): Expect.NEXT_ITEM}


def _member(value: str) -> str:
    return rf"{_STRING}{_SPACE}:{_SPACE}{value}{_SPACE}"


def _whole_object(value: str) -> str:
    # A comma must be followed by another member, the last member by the end.
    return rf"\{{{_SPACE}(?:{_member(value)}(?:,{_SPACE}(?!\}})|(?=\}})))*+\}}"


def _whole_array(value: str) -> str:
    return rf"\[{_SPACE}(?:{value}{_SPACE}(?:,{_SPACE}(?!\])|(?=\])))*+\]"


class _Patterns:
    """The compiled expressions. They are built on first use: it takes milliseconds."""

    def __init__(self) -> None:
        value = _SCALAR
        for _ in range(_INLINE_DEPTH):
            value = rf"(?:{_SCALAR}|{_whole_array(value)}|{_whole_object(value)})"
        members = re.compile(rf"(?:{_member(value)},{_SPACE})++")
        items = re.compile(rf"(?:{value}{_SPACE},{_SPACE})++")
        self.runs = {
            Expect.FIRST_KEY: (members, Expect.KEY),
            Expect.KEY: (members, Expect.KEY),
            Expect.FIRST_ITEM: (items, Expect.ITEM),
            Expect.ITEM: (items, Expect.ITEM),
        }
        self.spaces = re.compile(r"[ \t\n\r]++")
        self.scalar = re.compile(rf"{_NUMBER}|true|false|null")
        # The beginnings of tokens, for what the end of the text cuts in two.
        self.cut_escape = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
        self.cut_scalar = re.compile(
            r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?[0-9]*)?)?"
            r"|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?|n(?:u(?:ll?)?)?"
        )
        self.further_digits = re.compile(r"(?<=[0-9])[0-9]+")


_patterns = cache(_Patterns)


def _no_json(constant: str) -> None:
    raise ValueError(constant)


# Numbers are not converted: that could fail (CPython limits an integer's digits).
_decode: Final = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_no_json
).raw_decode


def _is_whole_object(text: str) -> bool:
    """Whether `json` reads the text as one object; False also where it gives up."""
    if not (text.startswith("{") and text.endswith("}") and len(text) <= _DECODE_AT_MOST):
        return False
    try:
        _, end = _decode(text)
    except (ValueError, RecursionError):
        return False
    return end == len(text)


class ObjectPrefix:
    """Reads text and says how it stands to being one JSON object.

    Attributes:
        possible: whether what was read can still become one JSON object.
    """

    __slots__ = ("_carried", "_expect", "_in_string", "_open", "possible")

    def __init__(self) -> None:
        self.possible = True
        self._in_string = False
        self._expect = Expect.OBJECT
        self._open = bytearray()
        self._carried = ""

    @property
    def in_string(self) -> bool:
        """Whether it ends inside a string of such an object, and not inside an escape."""
        return self._in_string and not self._carried

    @property
    def quote_is_open(self) -> bool:
        """Whether it ends inside a string of such an object, be it inside an escape."""
        return self._in_string

    @property
    def whole(self) -> bool:
        """Whether what was read is one whole JSON object."""
        return self.possible and self._expect is Expect.NOTHING

    def read(self, text: str) -> None:
        """Read the next piece of the text.

        Args:
            text: any characters; how the text is cut makes no difference.
        """
        if not self.possible:
            return
        text = self._carried + text
        self._carried = ""
        at = 0
        if self._expect is Expect.OBJECT and _is_whole_object(text):
            self._expect = Expect.NOTHING
            return
        while at < len(text) and self.possible:
            at = self._read_string(text, at) if self._in_string else self._read_structure(text, at)

    def stays_in_string(self, text: str) -> bool:
        """Whether the text ends inside a string now and would, if this came next, do so still."""
        return self.in_string and _MORE_OF_STRING.fullmatch(text) is not None

    def _read_string(self, text: str, at: int) -> int:
        """Read the rest of an open string, as far as it goes; the place behind it."""
        if match := _MORE_OF_STRING.match(text, at):
            at = match.end()
        if at == len(text):
            return at
        if text[at] == '"':
            self._in_string = False
            self._expect = Expect.COLON if self._expect in _KEYS else self._behind_value()
            return at + 1
        if _patterns().cut_escape.fullmatch(text, at):
            self._carried = text[at:]
            return len(text)
        return self._fail(at)

    def _read_structure(self, text: str, at: int) -> int:
        """Read a run of elements if there is one, then one token; the place behind it."""
        patterns = _patterns()
        if match := patterns.spaces.match(text, at):
            at = match.end()
        run, behind = patterns.runs.get(self._expect, (None, self._expect))
        if run and (match := run.match(text, at)):
            self._expect = behind
            at = match.end()
        if at == len(text):
            return at
        if text[at] in _ALLOWED[self._expect]:
            self._read_mark(text[at])
            return at + 1
        if self._expect in _VALUES:
            return self._read_scalar(text, at)
        return self._fail(at)

    def _read_mark(self, mark: str) -> None:
        if mark == '"':
            self._in_string = True
        elif mark == ",":
            self._expect = _BEHIND_COMMA[self._expect]
        elif mark in "}]":
            self._open.pop()
            self._expect = self._behind_value()
        else:
            if mark in "{[":
                self._open.append(ord(mark))
            self._expect = _BEHIND_MARK[mark]

    def _read_scalar(self, text: str, at: int) -> int:
        patterns = _patterns()
        if patterns.cut_scalar.fullmatch(text, at):
            # A number may go on for megabytes: only its shape is carried over.
            self._carried = patterns.further_digits.sub("", text[at:])
            return len(text)
        if match := patterns.scalar.match(text, at):
            self._expect = self._behind_value()
            return match.end()
        return self._fail(at)

    def _behind_value(self) -> Expect:
        return _BEHIND_VALUE[self._open[-1]] if self._open else Expect.NOTHING

    def _fail(self, at: int) -> int:
        self.possible = self._in_string = False
        return at
