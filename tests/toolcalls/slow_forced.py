"""The rules of a forced tool choice a second time: slow, over the whole text.

As in `slow_reading`, nothing of the parser is used but its event classes. An array
is cut into elements and members by the depth of its brackets; the values are left to
`json`. Arrays that are no JSON are not read here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart
from tests.toolcalls.json_oracle import as_json_decides, could_become_an_object, string_is_open
from tests.toolcalls.slow_reading import (
    END,
    TEXT,
    THINKS,
    WHITE,
    Said,
    SlowReading,
    Unit,
    joined,
    kept_of,
    place_of,
    required,
)

OBJECT = '{"":'  # an array is the beginning of an object behind it


class NotReadHereError(Exception):
    """The array is no JSON."""


class Member(NamedTuple):
    """One member of a call's object, as far as it was written."""

    key: str | None
    value: str
    offset: int
    value_offset: int
    text: str
    is_whole: bool


class SlowForced(SlowReading):
    """Reads a whole output of a forced form."""

    def __init__(self, text: str, form: str, name: str | None = None, **options: Any) -> None:
        self._form = form
        self._name = name
        super().__init__(text, **options)

    def _outside(self) -> None:
        pending: list[Unit] = []
        while (kind := self._kind(self._next)) != END:
            if self._thinking == "open" and kind == "section begin":
                self._thinking = "closed"
                pending.append(self._take())
            elif self._thinking == "open":
                self._step_outside([])
            elif kind in THINKS:
                if kind == "think":
                    self._read_before(pending)
                if self._next < len(self._units):
                    self._think(self._take())
            elif kind == TEXT and self._units[self._next].text.strip(WHITE):
                self._forced_or_not(pending)
                return
            else:
                pending.append(self._take())

    def _read_before(self, pending: list[Unit]) -> None:
        """Read what came before the reasoning as ever."""
        self._units = pending + self._units[self._next :]
        self._next = 0
        stray: list[Unit] = []
        while self._next < len(pending):
            self._step_outside(stray)
        self._stray("text-after-calls", stray)
        pending.clear()

    def _forced_or_not(self, pending: list[Unit]) -> None:
        unit = self._units[self._next]
        text = unit.text.lstrip(WHITE)
        at = unit.at + len(unit.text) - len(text)
        begun = (self._next, list(self._units), len(self.problems))
        self._units[self._next] = Unit(TEXT, text, at)
        if self._form == "arguments" and text.startswith("{"):
            self._arguments_alone(at)
        elif not (self._form == "calls" and text.startswith("[") and self._array()):
            self._next, self._units, known = begun
            del self.problems[known:]
            self._problem("form-different", at, text[0])
            self._units = pending + self._units[self._next :]
            self._next = 0
            super()._outside()

    def _json(self, prefix: str, last: str) -> tuple[list[Unit], str]:
        """Take the units of the JSON, and what ends it: "whole", "marker" or "end"."""
        parts: list[Unit] = []
        written = prefix
        while (kind := self._kind(self._next)) != END:
            unit = self._units[self._next]
            if kind == TEXT or (not self._certain and string_is_open(written)):
                for offset, character in enumerate(unit.text, start=1):
                    written += character
                    if character == last and as_json_decides(written + "}" * bool(prefix)):
                        parts.append(Unit(TEXT, unit.text[:offset], unit.at))
                        self._units[self._next] = Unit(TEXT, unit.text[offset:], unit.at + offset)
                        return parts, "whole"
                parts.append(unit)
            elif kind not in ("argument begin", "argument end"):
                self._take()
                self._problem("call-end-missing", unit.at, unit.text)
                return parts, "marker"
            self._take()
        return parts, END

    def _behind(self, before: list[Unit]) -> None:
        """Text behind the JSON; `before` is text in it that belongs to no call."""
        passage = before
        is_new = not before
        for unit in self._units[self._next :]:
            if unit.kind == TEXT:
                passage.append(unit)
            else:
                self._unused(passage, is_new=is_new)
                passage, is_new = [], True
        self._unused(passage, is_new=is_new)
        self._next = len(self._units)

    def _unused(self, parts: list[Unit], *, is_new: bool) -> None:
        text = joined(parts)
        if text.strip(WHITE):
            white = len(text) - len(text.lstrip(WHITE)) if is_new else 0
            at = place_of(parts, white, 0)
            self._problem("forced-text-unused", at, text[white:])

    def _arguments_alone(self, at: int) -> None:
        parts, ended = self._json("", "}")
        assert self._name
        self._forced_call(self._name, at, "", kept_of(joined(parts)), at, cut=ended == END)
        self._behind([])

    def _forced_call(
        self, name: str, at: int, raw: str, arguments: str, arguments_at: int | None, *, cut: bool
    ) -> None:
        if self._is_full():
            self._problem("call-surplus", at, raw)
            if arguments and arguments_at is not None:
                self._problem("call-arguments-dropped", arguments_at, arguments)
            return
        complete = as_json_decides(arguments)
        self.is_cut = self.is_cut or (cut and not complete)
        if self._known and name not in self._tools:
            self._problem("tool-undeclared", at, raw)
        index = len(self._ids)
        self._issue(Said(name, None), name, "")
        self.events.append(CallStart(index, self._ids[-1], name))
        self.events += [ArgumentsDelta(index, arguments)] if arguments else []
        if not (complete or (cut and could_become_an_object(arguments))):
            assert arguments_at is not None
            self._problem("arguments-not-object", arguments_at, arguments)
        self.events.append(CallEnd(index, complete))

    # An array of calls.

    def _array(self) -> bool:
        """Read an array; False if it is none of calls."""
        parts, ended = self._json(OBJECT, "]")
        text = joined(parts)
        if not could_become_an_object(OBJECT + text):
            raise NotReadHereError
        begun = False
        unused: list[Unit] = []
        for element, offset, whole in elements(text):
            if not element.startswith("{"):
                raise NotReadHereError
            members = list(members_so_far(element))
            name = next((each for each in members if self._is_name(each)), None)
            if whole and name is None:
                if not begun:
                    return False
                self._problem("forced-text-unused", place_of(parts, offset, 0), element)
                continue
            written = self._arguments_of(members, name, whole=whole, at_end=ended == END)
            if not whole and (name is None or written is None):
                if ended != END:
                    begun = True
                    unused = [Unit(TEXT, element, place_of(parts, offset, 0))]
                else:
                    self.is_cut = self.is_cut or not self._is_full()
                    self._problem("call-header-cut", place_of(parts, offset, 0), element)
                continue
            assert name
            begun = True
            if written is None and not self._is_full():
                tool = json.loads(name.value)
                if tool in self._tools and required(self._tools[tool]):
                    self._problem("call-header-broken", place_of(parts, offset, 0), element)
                    continue
                at = place_of(parts, offset + name.value_offset, 0)
                self._problem("call-arguments-missing", at, name.value)
            unused = self._element(parts, offset, members, name, written, cut=ended == END)
        self._behind(unused)
        return True

    def _is_name(self, member: Member) -> bool:
        if not (member.is_whole and member.key == "name" and member.value.startswith('"')):
            return False
        name = json.loads(member.value)
        return name in self._tools or re.fullmatch("[A-Za-z0-9_.-]+", name) is not None

    def _arguments_of(
        self, members: list[Member], name: Member | None, *, whole: bool, at_end: bool
    ) -> Member | None:
        held = [each for each in members if self._is_arguments(each, name, at_end=at_end)]
        if not whole:  # a null may still give way
            held = [each for each in held if each.value != "null" or not each.is_whole]
        written = next((each for each in held if each.value != "null"), None)
        return written or next(iter(held), None)

    def _is_arguments(self, member: Member, name: Member | None, *, at_end: bool) -> bool:
        if member.key not in ("arguments", "parameters"):
            return False
        begins = member.value[:1] not in ("", '"') if at_end else member.value[:1] in ("{", "[")
        return member.is_whole or (begins and name is not None and name.offset < member.offset)

    def _element(
        self,
        parts: list[Unit],
        offset: int,
        members: list[Member],
        name: Member,
        written: Member | None,
        *,
        cut: bool,
    ) -> list[Unit]:
        """Read a call's object; what of it is unused when it breaks off."""

        def place(inside: int) -> int:
            return place_of(parts, offset + inside, 0)

        unused: list[Unit] = []
        for member in members:
            if member in (name, written):
                continue
            part = Unit(TEXT, member.text, place(member.offset))
            if member.is_whole:
                if member.text.strip(WHITE):
                    self._problem("forced-text-unused", part.at, member.text)
            else:
                unused = [part]
        arguments, at = "{}", None  # no report of its own
        if written:
            value = written.value
            arguments = json.loads(value) if value.startswith('"') else value
            arguments = kept_of(arguments.lstrip(WHITE))
            at = place(written.value_offset + value.startswith('"'))
        is_cut = cut and not members[-1].is_whole
        text = name.value
        self._forced_call(
            json.loads(text), place(name.value_offset), text, arguments, at, cut=is_cut
        )
        return unused


def elements(array: str) -> Iterator[tuple[str, int, bool]]:
    """The elements of an array, their offsets, and whether each is whole."""
    begin = None
    depth = 0
    for at, character in enumerate(array):
        if string_is_open(OBJECT + array[:at]) or character not in "{}[]":
            if depth == 1 and character not in WHITE + ",":
                raise NotReadHereError
            continue
        if depth == 1 and character in "{[":
            begin = at
        depth += 1 if character in "{[" else -1
        if depth == 1 and begin is not None:
            yield array[begin : at + 1], begin, True
            begin = None
    if begin is not None:
        yield array[begin:], begin, False


def members_so_far(element: str) -> Iterator[Member]:
    """The members of an object, the last perhaps not whole."""
    begin, depth = 1, 0
    colon: int | None = None
    for at, character in enumerate(element):
        if string_is_open(element[:at]):
            continue
        if character in "{[":
            depth += 1
        elif character == ":" and depth == 1 and colon is None:
            colon = at
        elif depth == 1 and character in ",}":
            yield member_of(element, begin, colon, at, is_whole=True)
            begin, colon = at + 1, None
            depth -= character == "}"
        elif character in "}]":
            depth -= 1
    if depth:
        yield member_of(element, begin, colon, len(element), is_whole=False)


def member_of(element: str, begin: int, colon: int | None, end: int, *, is_whole: bool) -> Member:
    text = element[begin:end]
    if colon is None:
        return Member(None, "", begin, end, text, is_whole)
    value = element[colon + 1 : end]
    at = colon + 1 + len(value) - len(value.lstrip(WHITE))
    return Member(json.loads(element[begin:colon]), value.strip(WHITE), begin, at, text, is_whole)
