r"""Makes JSON of arguments that are nearly JSON, where one edit at each place decides.

The text is read as JSON. Where it deviates in one of these ways, one edit makes
it follow the grammar again, and the reading goes on:

| reason | written | edit |
| --- | --- | --- |
| escape | `"\d"`, `"C:\users"` | the backslash is escaped; `\'` becomes `'` |
| control-character | a raw line break or tab in a string | its escape |
| python-literal | `True`, `False`, `None`, `'text'` | JSON's form |
| trailing-comma | `[1, 2,]` | the comma goes |
| closing-bracket-missing | `{"a": [1, 2}`, `{"a": "b"` | the bracket is added |
| closing-bracket-surplus | `{"a": 1}}` | the last bracket goes |

Backslashes have one reading in a string. Where `\d` shows that the model wrote them as text,
`\n` beside it may be text or a line break, so no edit decides, with one exception: in a path that
begins with a drive and doubles no backslash (`"C:\new\path"`), all are text.

Brackets are counted: more than one edit of them in a text leaves open which
structure was meant. So does a missing bracket that has two possible places, as
in `{"a": {"b": 1, "c": 2}`, and a number at the end of the text, which may lack
digits. Then, and where anything else deviates, nothing is changed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final, Literal, TypeAlias

Reason: TypeAlias = Literal[
    "escape",
    "control-character",
    "python-literal",
    "trailing-comma",
    "closing-bracket-missing",
    "closing-bracket-surplus",
]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.])"
)
_PYTHON_WORD: Final = re.compile(r"(?:True|False|None)(?!\w)")
_PYTHON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_PLAIN: Final = re.compile(r"[^\"'\\\x00-\x1f]+")
_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
# A drive, one backslash, and no white space or quote among the escapes.
_DRIVE_PATH: Final = re.compile(r"[A-Za-z]:(?:\\[^\\\"'\x00-\x1f/:*?<>|]+)+\\?")
_CONTROLS: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
_CLOSING: Final = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of the arguments.

    Attributes:
        at: its place in the text that was given, in characters.
        before: what was there; empty where something is added.
        after: what is there now; empty where something goes.
        reason: the kind of deviation.
    """

    at: int
    before: str
    after: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Repaired:
    """Arguments after `repair`.

    Attributes:
        arguments: the new text; the given one if there are no edits.
        edits: what was changed, from left to right.
        is_object: whether the new text is one whole JSON object.
    """

    arguments: str
    edits: tuple[Edit, ...]
    is_object: bool


def repair(arguments: str) -> Repaired:
    """Make one JSON object of a call's arguments, if few small edits do it.

    Valid JSON is never changed. Do not repair a call that was cut
    (`finish_reason` is "length"): its end is not known.

    Args:
        arguments: the call's arguments, as the model wrote them.

    Returns:
        The new arguments and the edits; the old ones and no edits where they
        are JSON already, or where edits do not decide what was meant. Time is
        linear in the text.
    """
    reading = _Reading(arguments)
    if not reading.read():
        return Repaired(arguments, (), is_object=False)
    pieces, at = [], 0
    for edit in reading.edits:
        pieces += [arguments[at : edit.at], edit.after]
        at = edit.at + len(edit.before)
    return Repaired("".join((*pieces, arguments[at:])), tuple(reading.edits), is_object=True)


class _Expect(IntEnum):
    """What the grammar allows next."""

    OBJECT = auto()
    VALUE = auto()
    VALUE_OR_END = auto()
    KEY = auto()
    KEY_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()
    NOTHING = auto()


class _Container:
    """An open object or array.

    Attributes:
        bracket: its opening bracket.
        count: how many members or items it has.
        last_splits: whether its last member is a container of the same kind that
            could have been closed earlier: then a missing closing bracket has
            more than one place.
    """

    __slots__ = ("bracket", "count", "last_splits")

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.count = 0
        self.last_splits = False


class _Reading:
    """One pass over the text.

    Attributes:
        edits: the edits so far.
    """

    def __init__(self, text: str) -> None:
        self.edits: list[Edit] = []
        self._text = text
        self._at = 0
        self._expect = _Expect.OBJECT
        self._open: list[_Container] = []
        self._bracket_edits = 0
        self._may_be_cut = False

    def read(self) -> bool:
        """Whether the text, with the edits, is one JSON object."""
        text = self._text
        self._skip()
        while self._at < len(text):
            if not self._READ[self._expect](self, text[self._at]):
                return False
            self._skip()
        return self._expect is _Expect.NOTHING or self._close_at_end()

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _edit(self, before: str, after: str, reason: Reason) -> None:
        self.edits.append(Edit(self._at, before, after, reason))
        self._at += len(before)

    # What is read, by what the grammar allows. Each returns whether it could be.

    def _object(self, character: str) -> bool:
        return character == "{" and self._open_container(character)

    def _value(self, character: str) -> bool:
        self._may_be_cut = False
        if character in _CLOSING:
            return self._open_container(character)
        if character in "\"'":
            return self._string(character) and self._value_is_over()
        match = _SCALAR.match(self._text, self._at)
        if match:
            self._at = match.end()
            self._may_be_cut = self._at == len(self._text) and match[0][-1].isdigit()
            return self._value_is_over()
        return self._python_word() and self._value_is_over()

    def _value_or_end(self, character: str) -> bool:
        return self._close(character) if character == "]" else self._value(character)

    def _key(self, character: str) -> bool:
        if character not in "\"'" or not self._string(character):
            return False
        self._expect = _Expect.COLON
        return True

    def _key_or_end(self, character: str) -> bool:
        return self._close(character) if character == "}" else self._key(character)

    def _colon(self, character: str) -> bool:
        self._at += 1
        self._expect = _Expect.VALUE
        return character == ":"

    def _comma_or_end(self, character: str) -> bool:
        if character != ",":
            return self._close(character)
        comma = self._at
        self._at += 1
        self._skip()
        if self._text[self._at : self._at + 1] in ("}", "]"):
            self.edits.append(Edit(comma, ",", "", "trailing-comma"))
            return True
        in_object = self._open[-1].bracket == "{"
        self._expect = _Expect.KEY if in_object else _Expect.VALUE
        return True

    def _nothing(self, character: str) -> bool:
        self._edit(character, "", "closing-bracket-surplus")
        return character in "}]" and self._count_bracket_edit()

    _READ: Final[Mapping[_Expect, Callable[["_Reading", str], bool]]] = {
        _Expect.OBJECT: _object,
        _Expect.VALUE: _value,
        _Expect.VALUE_OR_END: _value_or_end,
        _Expect.KEY: _key,
        _Expect.KEY_OR_END: _key_or_end,
        _Expect.COLON: _colon,
        _Expect.COMMA_OR_END: _comma_or_end,
        _Expect.NOTHING: _nothing,
    }

    # Brackets.

    def _open_container(self, bracket: str) -> bool:
        self._open.append(_Container(bracket))
        self._at += 1
        in_object = bracket == "{"
        self._expect = _Expect.KEY_OR_END if in_object else _Expect.VALUE_OR_END
        return True

    def _close(self, character: str) -> bool:
        top = self._open[-1]
        if character not in "}]":
            return False
        if character != _CLOSING[top.bracket]:
            # The top's own bracket is missing, if this one closes the container around it.
            around = self._open[-2].bracket if len(self._open) > 1 else ""
            if _CLOSING.get(around) != character or not self._add_closing():
                return False
        self._at += 1
        self._pop()
        return True

    def _close_at_end(self) -> bool:
        """Add the object's closing bracket, if that alone is missing."""
        is_decided = self._expect is _Expect.COMMA_OR_END and not self._may_be_cut
        if not is_decided or len(self._open) != 1:
            return False
        self._at = len(self._text.rstrip(" \t\r\n"))
        return self._add_closing()

    def _add_closing(self) -> bool:
        top = self._open[-1]
        if top.last_splits:
            return False
        self._edit("", _CLOSING[top.bracket], "closing-bracket-missing")
        self._pop()
        return self._count_bracket_edit()

    def _pop(self) -> None:
        closed = self._open.pop()
        self._value_is_over(closed)

    def _count_bracket_edit(self) -> bool:
        self._bracket_edits += 1
        return self._bracket_edits == 1

    def _value_is_over(self, closed: _Container | None = None) -> bool:
        if not self._open:
            self._expect = _Expect.NOTHING
            return True
        around = self._open[-1]
        around.count += 1
        around.last_splits = (
            closed is not None
            and closed.bracket == around.bracket
            and (closed.count > 1 or closed.last_splits)
        )
        self._expect = _Expect.COMMA_OR_END
        return True

    # Strings and words.

    def _string(self, quote: str) -> bool:
        if quote == "'":
            self._edit("'", '"', "python-literal")
        else:
            self._at += 1
        begin, first_edit = self._at, len(self.edits)
        escapes: list[int] = []
        while self._at < len(self._text):
            if match := _PLAIN.match(self._text, self._at):
                self._at = match.end()
                continue
            if match := _ESCAPE.match(self._text, self._at):
                escapes.append(self._at)
                self._at = match.end()
                continue
            character = self._text[self._at]
            if character == quote:
                if not self._decide_backslashes(begin, first_edit, escapes):
                    return False
                self._close_string(quote)
                return True
            if not self._edit_in_string(character, quote):
                return False
        return False

    def _decide_backslashes(self, begin: int, first_edit: int, escapes: list[int]) -> bool:
        """Give the string that ends here one reading of its backslashes, or fail.

        Args:
            begin: the place of its first character.
            first_edit: how many edits there were before it.
            escapes: the places of its valid escapes.
        """
        text, edits = self._text, self.edits[first_edit:]
        if not any(edit.after == "\\\\" for edit in edits):
            return True
        # An escaped quote cannot be text: the string would end there.
        unclear = [at for at in escapes if text[at + 1] != '"']
        if not unclear and not any(edit.before == "\\'" for edit in edits):
            return True
        if not _DRIVE_PATH.fullmatch(text, begin, self._at):
            return False
        edits += [Edit(at, "\\", "\\\\", "escape") for at in escapes]
        self.edits[first_edit:] = sorted(edits, key=lambda edit: edit.at)
        return True

    def _close_string(self, quote: str) -> None:
        if quote == "'":
            self._edit("'", '"', "python-literal")
        else:
            self._at += 1

    def _edit_in_string(self, character: str, quote: str) -> bool:
        if character == "'":
            self._at += 1
        elif character == '"':
            self._edit('"', '\\"', "python-literal")
        elif character < " ":
            after = _CONTROLS.get(character, f"\\u{ord(character):04x}")
            self._edit(character, after, "control-character")
        elif self._text[self._at + 1 : self._at + 2] == "'":
            self._edit("\\'", "'", "escape")
        elif quote == '"':
            self._edit("\\", "\\\\", "escape")
        else:
            # Python's other escapes (`\\x41`) have a meaning that JSON lacks.
            return False
        return True

    def _python_word(self) -> bool:
        match = _PYTHON_WORD.match(self._text, self._at)
        if match:
            self._edit(match[0], _PYTHON_WORDS[match[0]], "python-literal")
        return match is not None
