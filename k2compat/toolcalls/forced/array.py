"""The form "calls": a JSON array of `{"name": …, "arguments" or "parameters": …}`."""

import json
import re
from typing import Final

from .. import codes
from ..json_prefix import ObjectPrefix
from ..markers import WHITE_SPACE
from ..record import Record
from ..turn.calls import ARGUMENT_KEYS, Calls
from ..turn.units import Passage

# What may begin or end a value, a member or a key; each is read with the text before it.
_STRUCTURE: Final = re.compile(r'[{}\[\],:"]')
_NULL: Final = "null"
# Only these are passed on before they end: of a number or a word, the next character can show
# that it is none, and then the output is no array of calls.
_CONTAINERS: Final = ("{", "[")
# The array is read as the value of an object's member. These are the depths inside of it.
_IN_ARRAY: Final = 2
_BETWEEN_CALLS: Final = ("", ",", "{", "]")
_IN_CALL: Final = 3


class Member:
    """One member of a call's object, while it arrives.

    Attributes:
        parts: its text as written.
        key: its name, once it was read.
        value_at: how many characters of the text precede its value.
        first: the value's first character that is no white space.
        first_at: the place of that character.
        streams: whether its value is passed on as the call's arguments.
    """

    __slots__ = ("at", "first", "first_at", "key", "parts", "streams", "value_at")

    def __init__(self, at: int) -> None:
        self.at = at
        self.parts: list[str] = []
        self.key: str | None = None
        self.value_at = 0
        self.first = ""
        self.first_at = at
        self.streams = False

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def value(self) -> str:
        return self.text[self.value_at :].strip(WHITE_SPACE)


class ArrayForm:
    """Reads an array of calls.

    Attributes:
        is_over: whether the array is whole, or broken off.
        differs: whether the output is no such array. This is found out before
            the first call is announced, or never.
        unused: text, with its place, that was read and belongs to no call.
    """

    __slots__ = (
        "_argument_member",
        "_arguments",
        "_begun",
        "_calls",
        "_element",
        "_is_open",
        "_member",
        "_name",
        "_name_at",
        "_name_text",
        "_null",
        "_prefix",
        "_record",
        "_unknown",
        "differs",
        "is_over",
        "unused",
    )

    def __init__(self, calls: Calls, record: Record) -> None:
        self._calls = calls
        self._record = record
        self._prefix = ObjectPrefix()
        self._prefix.read('{"":')
        self._begun = False  # whether there was a call
        self._is_open = False  # whether a call is open
        self.is_over = False
        self.differs = False
        self.unused = Passage()
        self._begin_element(0)

    def _begin_element(self, at: int) -> None:
        self._element = Passage()  # its text, until its call begins
        self._element.add("{", at)
        self._member = Member(at + 1)
        self._unknown: list[Member] = []
        self._name: str | None = None
        self._name_at = at
        self._name_text = ""
        self._arguments: str | None = None
        self._argument_member = self._member
        self._null: Member | None = None  # counts if no other member holds the arguments

    @property
    def in_string(self) -> bool:
        return self._prefix.in_string

    def read(self, text: str, at: int) -> int:
        begin = 0
        while begin < len(text) and not (self.is_over or self.differs):
            found = _STRUCTURE.search(text, begin)
            end = found.end() if found else len(text)
            if not self._read_piece(text[begin:end], at + begin):
                break
            begin = end
        return begin

    def _read_piece(self, piece: str, at: int) -> bool:
        """Read on up to the next bracket, comma, colon or quote; False if it does not fit."""
        depth = self._prefix.depth
        if depth == _IN_ARRAY and piece.strip(WHITE_SPACE) not in _BETWEEN_CALLS:
            self._break_off()
            return False
        self._prefix.read(piece)
        if not self._prefix.possible:
            if self._is_open and self._member.streams:  # broken arguments
                self._calls.write(piece)  # as all that follows
                return True
            self._break_off()
            return False
        mark = "" if self._prefix.quote_is_open else piece[-1]
        if depth < _IN_CALL:
            if mark == "{":
                self._begin_element(at + len(piece) - 1)
            self.is_over = self._prefix.depth < _IN_ARRAY and mark == "]"
            return True
        if not self._is_open:
            self._element.add(piece, at)
        if self._member.key is None:
            self._read_key(piece, mark)
        else:
            self._read_value(piece, mark, at)
        if self._prefix.depth < _IN_CALL:
            self._end_element()
        elif mark == "," and self._prefix.depth == _IN_CALL:
            self._member = Member(at + len(piece))
        return True

    def _read_key(self, piece: str, mark: str) -> None:
        member = self._member
        member.parts.append(piece)
        if mark == ":":
            member.key = json.loads(member.text[:-1])
            member.value_at = len(member.text)

    def _read_value(self, piece: str, mark: str, at: int) -> None:
        member, depth = self._member, self._prefix.depth
        ends = depth < _IN_CALL or (mark == "," and depth == _IN_CALL)
        written = piece[:-1] if ends else piece
        member.parts.append(written)
        begun = written.lstrip(WHITE_SPACE)
        if begun and not member.first:
            member.first = begun[0]
            member.first_at = at + len(written) - len(begun)
        if member.streams:
            self._calls.write(written)
        elif self._name is not None and member.first in _CONTAINERS and self._may_hold_arguments:
            self._begin_arguments(self._name)
        if ends and not member.streams:
            self._end_member(member)

    @property
    def _may_hold_arguments(self) -> bool:
        return self._member.key in ARGUMENT_KEYS and self._arguments is None

    def _begin_arguments(self, name: str) -> None:
        """Pass on the open member's value as the arguments, as it comes."""
        self._begin_call(name, self._member)
        self._member.streams = True
        self._arguments = ""
        self._calls.write(self._member.value)

    def _begin_cut_word(self) -> None:
        """Pass on a number or a word that the end of the text cuts."""
        is_word = self._member.first not in ("", '"')
        if is_word and self._name is not None and self._may_hold_arguments:
            self._begin_arguments(self._name)

    def _end_member(self, member: Member) -> None:
        value = member.value
        if member.key == "name" and self._name is None and self._may_be_called(value):
            self._name = json.loads(value)
            self._name_at = member.first_at
            self._name_text = value
        elif member.key not in ARGUMENT_KEYS or self._arguments is not None:
            self._unknown.append(member)
        elif value != _NULL:
            self._arguments = json.loads(value) if value.startswith('"') else value
            self._argument_member = member
        elif self._null is None:
            self._null = member
        else:
            self._unknown.append(member)
        self._begin_whole_call()

    def _begin_whole_call(self) -> None:
        """Begin the call if its name and its arguments are known, and pass these on."""
        if self._name is not None and self._arguments is not None and not self._is_open:
            self._begin_call(self._name, self._argument_member)
            self._calls.write(self._arguments)

    def _may_be_called(self, value: str) -> bool:
        return value.startswith('"') and self._calls.may_be_called(json.loads(value))

    def _begin_call(self, name: str, member: Member) -> None:
        self._begun = self._is_open = True
        call = self._calls.begin_unnumbered(name, self._name_at, self._name_text)
        # Arguments that are a string are passed on without its quotes.
        call.arguments_at = member.first_at + (member.first == '"')

    def _end_element(self) -> None:
        if self._name is None:
            self.differs = not self._begun
            if self._begun:
                self._report(self._element)
            return
        if self._null is not None and self._arguments is None:
            self._arguments, self._argument_member, self._null = _NULL, self._null, None
            self._begin_whole_call()
        if not self._is_open and not self._begin_without_arguments(self._name):
            return
        self._end_call(by_end_of_text=False)

    def _begin_without_arguments(self, name: str) -> bool:
        """Begin a call to which the model wrote no arguments (docs/format.md, row 4).

        Returns:
            False if the call is dropped: its tool requires arguments.
        """
        calls = self._calls
        if not calls.exhausted:
            if calls.requires_arguments(name):
                self._begun = True
                self._record.problem(
                    codes.CALL_HEADER_BROKEN, self._element.at, self._element.take()
                )
                return False
            self._record.problem(codes.CALL_ARGUMENTS_MISSING, self._name_at, self._name_text)
        self._begin_call(name, self._member)
        calls.fill_blank()
        return True

    def _end_call(self, *, by_end_of_text: bool) -> None:
        # In the text's order: a null may wait longer than a member after it.
        unused = [*self._unknown, *filter(None, (self._null,))]
        for member in sorted(unused, key=lambda member: member.at):
            passage = Passage()
            passage.add(member.text, member.at)
            self._report(passage)
        self._unknown = []
        self._null = None
        self._calls.end(by_end_of_text=by_end_of_text)
        self._is_open = False

    def _report(self, passage: Passage) -> None:
        self._record.problem(codes.FORCED_TEXT_UNUSED, passage.at, passage.take())

    def _break_off(self) -> None:
        """What follows cannot belong to such an array."""
        self.differs = not self._begun
        if self._begun:
            self.end(by_end_of_text=False)

    def end(self, *, by_end_of_text: bool) -> None:
        self.is_over = True
        in_element = self._prefix.depth >= _IN_CALL
        if by_end_of_text and in_element and not self._is_open:
            self._begin_cut_word()
        if self._is_open:
            if in_element and not self._member.streams:
                self.unused.add(self._member.text, self._member.at)
            self._end_call(by_end_of_text=by_end_of_text)
        elif in_element and by_end_of_text:
            if not self._calls.exhausted:
                self._record.is_cut = True
            self._record.problem(codes.CALL_HEADER_CUT, self._element.at, self._element.take())
        elif in_element:
            self.unused = self._element
