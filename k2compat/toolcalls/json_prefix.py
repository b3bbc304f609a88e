"""Decides, while JSON text arrives, whether it can still become one JSON object.

Two questions are asked of a call's arguments: is this an open string (then a
marker is text), and is this one whole object (then the call is complete)?
`json` answers the second only once the text is whole, and the first never.
`ObjectPrefix` answers both at any place. Each character is read a bounded
number of times however the text is cut, no value is built from it, and
nesting costs one byte a level: no depth and no size makes it give up.

How it reads. Text that comes whole is tried with `json` first. Otherwise the
place in the grammar is one of a few `Expect` values, and the open containers
are a stack. For each of these values one regular expression reads as far as no
container is opened or closed, and names the place it came to. Within it, runs
of whole members or items, themselves nested up to `_INLINE_DEPTH` levels, are
skipped at once. The brackets between, and scalars that the end of the text may
have cut in two, are read one by one. A token that is cut is carried over to
the next piece.

The language is that of `json.loads`, without its extensions `NaN` and
`Infinity`, which are not JSON.
"""

import json
import re
from collections.abc import Callable
from enum import IntEnum, auto
from functools import cache
from typing import Final, TypeAlias, cast

# Text that comes as one whole object is left to `json`, which is faster but builds
# the values: for larger text they would take too much memory.
_DECODE_AT_MOST: Final = 1 << 21

# Deeper values are read token by token. Each further level doubles the pattern.
_INLINE_DEPTH: Final = 3

_SPACE: Final = r"[ \t\n\r]*+"
_PLAIN: Final = r'[^"\\\x00-\x1f]*+'
# Not one loop over both kinds: this way plain text is skipped without leaving its loop.
_IN_STRING: Final = rf'{_PLAIN}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_PLAIN})*+'
_MORE_OF_STRING: Final = re.compile(_IN_STRING)
_STRING: Final = rf'"{_IN_STRING}"'
_NUMBER: Final = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_NAME_OR_NUMBER: Final = rf"(?:{_NUMBER}|true|false|null)"
_SCALAR: Final = rf"(?:{_STRING}|{_NAME_OR_NUMBER})"


# A compiled expression that always matches, possibly the empty string.
_Matching: TypeAlias = Callable[[str, int], re.Match[str]]


class Expect(IntEnum):
    """What may come next; the last three: more of a string that is a key, a value, an item."""

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
    IN_KEY = auto()
    IN_VALUE = auto()
    IN_ITEM = auto()


# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_OBJECT: Final = Expect.OBJECT
_NOTHING: Final = Expect.NOTHING
_STRINGS: Final = (Expect.IN_KEY, Expect.IN_VALUE, Expect.IN_ITEM)
_VALUES: Final = (Expect.VALUE, Expect.FIRST_ITEM, Expect.ITEM)

# The brackets allowed next, and what is expected after a bracket that opens.
_BRACKETS: Final = {
    Expect.OBJECT: "{",
    Expect.FIRST_KEY: "}",
    Expect.KEY: "",
    Expect.COLON: "",
    Expect.VALUE: "{[",
    Expect.NEXT_MEMBER: "}",
    Expect.FIRST_ITEM: "{[]",
    Expect.ITEM: "{[",
    Expect.NEXT_ITEM: "]",
    Expect.NOTHING: "",
    **dict.fromkeys(_STRINGS, ""),
}
_BEHIND_OPENING: Final = {"{": Expect.FIRST_KEY, "[": Expect.FIRST_ITEM}
# What is expected after a value, by the container it is in.
_BEHIND_VALUE: Final = {ord("{"): Expect.NEXT_MEMBER, ord("["): Expect.NEXT_ITEM}
# What is expected where a group of the expressions below stands.
_REACHED: Final = {
    **{expect.name: expect for expect in Expect},
    "KEY_CLOSED": Expect.COLON,
    "VALUE_CLOSED": Expect.NEXT_MEMBER,
    "ITEM_CLOSED": Expect.NEXT_ITEM,
}


def _member(value: str) -> str:
    return rf"{_STRING}{_SPACE}:{_SPACE}{value}{_SPACE}"


def _whole_object(value: str) -> str:
    # A comma must be followed by another member, the last member by the end.
    return rf"\{{{_SPACE}(?:{_member(value)}(?:,{_SPACE}(?!\}})|(?=\}})))*+\}}"


def _whole_array(value: str) -> str:
    return rf"\[{_SPACE}(?:{value}{_SPACE}(?:,{_SPACE}(?!\])|(?=\])))*+\]"


def _value(depth: int) -> str:
    value = _SCALAR
    for _ in range(depth):
        value = rf"(?:{_SCALAR}|{_whole_array(value)}|{_whole_object(value)})"
    return value


def _scalar(behind: str, inside: str) -> str:
    # A string need not be closed. The rest is read only if it is seen to end.
    return (
        rf"(?:(?:{_STRING}|{_NAME_OR_NUMBER}(?=[ \t\n\r,\]}}])){_SPACE}(?P<{behind}>)"
        rf'|"{_IN_STRING}(?P<{inside}>))?'
    )


class _Patterns:
    """The compiled expressions. They are built on first use: it takes milliseconds.

    Each pattern of `reading` always matches, possibly the empty string. Its last group names
    what is expected after the match, as in `_REACHED`; without a group the
    same as before.
    """

    def __init__(self) -> None:
        deep, shallow = _value(_INLINE_DEPTH), _value(1)
        value = _scalar("NEXT_MEMBER", "IN_VALUE")
        colon = rf"(?::{_SPACE}(?P<VALUE>){value})?"
        key = rf'(?:{_STRING}{_SPACE}(?P<COLON>){colon}|"{_IN_STRING}(?P<IN_KEY>))?'
        keys = rf"(?:(?:{_member(deep)},{_SPACE})++(?P<KEY>))?{key}"
        item = _scalar("NEXT_ITEM", "IN_ITEM")
        items = rf"(?:(?:{deep}{_SPACE},{_SPACE})++(?P<ITEM>))?{item}"
        further_keys = rf"(?:,{_SPACE}(?P<KEY>)(?:{_member(shallow)},{_SPACE})*+{key})?"
        further_items = rf"(?:,{_SPACE}(?P<ITEM>)(?:{shallow}{_SPACE},{_SPACE})*+{item})?"
        patterns = {
            Expect.OBJECT: _SPACE,
            Expect.FIRST_KEY: _SPACE + keys,
            Expect.KEY: _SPACE + keys,
            Expect.COLON: _SPACE + colon,
            Expect.VALUE: _SPACE + value,
            Expect.NEXT_MEMBER: _SPACE + further_keys,
            Expect.FIRST_ITEM: _SPACE + items,
            Expect.ITEM: _SPACE + items,
            Expect.NEXT_ITEM: _SPACE + further_items,
            Expect.NOTHING: _SPACE,
            Expect.IN_KEY: rf'{_IN_STRING}(?:"{_SPACE}(?P<KEY_CLOSED>){colon})?',
            Expect.IN_VALUE: rf'{_IN_STRING}(?:"{_SPACE}(?P<VALUE_CLOSED>){further_keys})?',
            Expect.IN_ITEM: rf'{_IN_STRING}(?:"{_SPACE}(?P<ITEM_CLOSED>){further_items})?',
        }
        self.reading: dict[Expect, _Matching] = {
            expect: cast("_Matching", re.compile(pattern).match)
            for expect, pattern in patterns.items()
        }
        self.scalar = re.compile(_NAME_OR_NUMBER)
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


def reads_as_object(text: str) -> bool:
    """Whether `json` reads the text as one object; False also where it gives up."""
    if not (text.startswith("{") and text.endswith("}") and len(text) <= _DECODE_AT_MOST):
        return False
    try:
        _, end = _decode(text)
    except (ValueError, RecursionError):
        return False
    return end == len(text)


def stays_in_string(text: str) -> bool:
    """Whether a string is open after the text if one is open before it."""
    # Three quick questions answer it for most text, the expression for all.
    return (
        '"' not in text and "\\" not in text and text.isprintable()
    ) or _MORE_OF_STRING.fullmatch(text) is not None


class ObjectPrefix:
    """Reads text that may be one JSON object, and tells how far it is one.

    Attributes:
        possible: whether what was read can still become one JSON object.
    """

    __slots__ = ("_carried", "_expect", "_open", "possible")

    def __init__(self) -> None:
        self.possible = True
        self._expect = _OBJECT
        self._open = bytearray()
        self._carried = ""

    @property
    def in_string(self) -> bool:
        """Whether it ends inside a string of such an object, and not inside an escape."""
        return self.quote_is_open and not self._carried

    @property
    def quote_is_open(self) -> bool:
        """Whether it ends inside a string of such an object, or inside an escape of one."""
        return self.possible and self._expect in _STRINGS

    @property
    def depth(self) -> int:
        """How many objects and arrays are open."""
        return len(self._open)

    @property
    def whole(self) -> bool:
        """Whether what was read is one whole JSON object."""
        return self.possible and self._expect is _NOTHING

    def read(self, text: str) -> None:
        """Read the next piece of the text.

        Args:
            text: any characters; how the text is cut makes no difference.
        """
        if not self.possible:
            return
        if self._carried:
            text = self._carried + text
            self._carried = ""
        if self._expect is _OBJECT and reads_as_object(text):
            self._expect = _NOTHING
            return
        at = 0
        while at < len(text) and self.possible:
            at = self._read_on(text, at)

    def _read_on(self, text: str, at: int) -> int:
        """Read as far as no container opens or closes, then what is there; the place after it."""
        patterns = _patterns()
        match = patterns.reading[self._expect](text, at)
        if match.lastgroup:
            self._expect = _REACHED[match.lastgroup]
        at = match.end()
        if at == len(text):
            return at
        if text[at] in _BRACKETS[self._expect]:
            self._read_bracket(text[at])
            return at + 1
        if match.lastgroup:
            return at
        if self._expect in _STRINGS and patterns.cut_escape.fullmatch(text, at):
            self._carried = text[at:]
            return len(text)
        return self._read_scalar(text, at) if self._expect in _VALUES else self._fail()

    def _read_bracket(self, bracket: str) -> None:
        if bracket in "}]":
            self._open.pop()
            self._expect = self._behind_value()
        else:
            self._open.append(ord(bracket))
            self._expect = _BEHIND_OPENING[bracket]

    def _read_scalar(self, text: str, at: int) -> int:
        patterns = _patterns()
        if patterns.cut_scalar.fullmatch(text, at):
            # A number may go on for megabytes: only its shape is carried over.
            self._carried = patterns.further_digits.sub("", text[at:])
            return len(text)
        if match := patterns.scalar.match(text, at):
            self._expect = self._behind_value()
            return match.end()
        return self._fail()

    def _behind_value(self) -> Expect:
        return _BEHIND_VALUE[self._open[-1]] if self._open else _NOTHING

    def _fail(self) -> int:
        self.possible = False
        return 0


def is_object(text: str) -> bool:
    """Whether the text is one whole JSON object."""
    prefix = ObjectPrefix()
    prefix.read(text)
    return prefix.whole
