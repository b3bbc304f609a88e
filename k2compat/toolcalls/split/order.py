"""Puts calls of two sources, text and native, in one order, and counts each of them once.

A server that leaks may send one call twice: as text, and natively. Two calls
are one where their tool and the JSON value of their arguments are equal and
one of them came as text, the other natively. Each call cancels one other.

The first of the two streams on. A later call waits only while it may turn out
to be a repetition: a call of its tool came before it from the other source,
and has no partner yet. Calls that come after a waiting call wait with it,
because an index that was given stays.
"""

import io
import re
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum, auto
from functools import cached_property
from typing import Final

from .. import codes
from ..events import ArgumentsDelta, CallEnd, CallStart, Event, Problem
from .fields import value_key

# A longer number is never compared: reading it takes time that grows with its square.
_DIGITS_COMPARED: Final = 15


_UNFIT_FOR_ID: Final = re.compile(r"[\x00-\x20\x7f-\x9f]+|<(?=\|)")


def make_id(name: str, number: object) -> str:
    """An id in the model's own form; what no id can hold is left out of the name."""
    return f"functions.{_UNFIT_FOR_ID.sub('_', name)}:{number}"


class Source(IntEnum):
    """Where a call was found."""

    TEXT = auto()
    NATIVE = auto()


@dataclass(eq=False)
class Call:
    """A call while it arrives.

    Attributes:
        source: where it was found.
        name: its tool.
        given_id: the id that was given, in the model's own form; None where the
            conversation's next number is to be used.
        raw_id: the id as the model or the server wrote it.
        at: the place of its beginning in the rebuilt text.
        arguments: its arguments so far.
        complete: whether they are one whole JSON object.
        is_ended: whether nothing more comes.
        may_repeat: whether the other source had a call of the same tool before.
        has_partner: whether it was found to be the same call as another.
        number: how many calls began before.
        number_in_source: how many of them are of the same source.
        index: its index in the message, once it was announced.
        id: its id in the message, likewise.
    """

    source: Source
    name: str
    given_id: str | None
    raw_id: str
    at: int
    arguments: io.StringIO = field(default_factory=io.StringIO)
    complete: bool = False
    is_ended: bool = False
    may_repeat: bool = False
    has_partner: bool = False
    number: int = 0
    number_in_source: int = 0
    index: int | None = None
    id: str = ""

    @property
    def kind(self) -> tuple[Source, str]:
        """The source and the tool."""
        return self.source, self.name

    @property
    def other_kind(self) -> tuple[Source, str]:
        """The kind of the calls that this one may repeat."""
        return Source.NATIVE if self.source is Source.TEXT else Source.TEXT, self.name

    @cached_property
    def value(self) -> str:
        """What equal arguments share; for an ended call."""
        return value_key(self.arguments.getvalue())


class CallOrder:
    """The calls of one message.

    Attributes:
        calls: the calls that were announced, by index.
    """

    def __init__(self, first_index: int, events: list[Event]) -> None:
        """Begin a message.

        Args:
            first_index: how many calls the conversation already holds.
            events: the list that takes the events.
        """
        self.calls: list[Call] = []
        self._events = events
        self._ids = _Ids(first_index)
        self._begun = 0
        self._begun_by_source = dict.fromkeys(Source, 0)
        self._open: list[Call] = []
        self._waiting: deque[Call] = deque()
        self._without_partner: dict[tuple[Source, str], int] = {}
        # Values are compared only where both sources have calls of one tool:
        # until then ended calls are kept by kind alone.
        self._ended: dict[tuple[Source, str], list[Call]] = {}
        self._by_value: dict[tuple[Source, str, str], deque[Call]] = {}

    def begin(self, call: Call) -> None:
        """A call begins: its tool is known."""
        call.number = self._begun
        self._begun += 1
        call.number_in_source = self._begun_by_source[call.source]
        self._begun_by_source[call.source] += 1
        call.may_repeat = self._without_partner.get(call.other_kind, 0) > 0
        self._count(call, 1)
        self._open.append(call)
        self._waiting.append(call)
        self._announce_decided()

    def add(self, call: Call, text: str) -> None:
        """More of a call's arguments."""
        call.arguments.write(text)
        if call.index is not None:
            self._events.append(ArgumentsDelta(call.index, text))

    def end(self, call: Call, *, complete: bool) -> None:
        """A call is over."""
        call.is_ended = True
        call.complete = complete
        self._open.remove(call)
        self._ended.setdefault(call.kind, []).append(call)
        if call.index is not None:
            self._events.append(CallEnd(call.index, complete))
        self._announce_decided()

    def _announce_decided(self) -> None:
        while self._waiting:
            call = self._waiting[0]
            partner = self._partner(call) if call.may_repeat and call.is_ended else None
            if partner is None and call.may_repeat and self._may_find_partner(call):
                return
            self._waiting.popleft()
            if partner is None:
                self._announce(call)
            else:
                self._pair(call, partner)

    def _may_find_partner(self, call: Call) -> bool:
        return not call.is_ended or any(
            other.kind == call.other_kind and other.number < call.number for other in self._open
        )

    def _partner(self, call: Call) -> Call | None:
        """The earliest equal call of the other source that began before and has no partner."""
        for other in self._ended.pop(call.other_kind, ()):
            self._by_value.setdefault((*other.kind, other.value), deque()).append(other)
        others = self._by_value.get((*call.other_kind, call.value), deque())
        while others and others[0].has_partner:
            others.popleft()
        return others[0] if others and others[0].number < call.number else None

    def _pair(self, *calls: Call) -> None:
        for call in calls:
            call.has_partner = True
            self._count(call, -1)

    def _count(self, call: Call, difference: int) -> None:
        self._without_partner[call.kind] = self._without_partner.get(call.kind, 0) + difference

    def _announce(self, call: Call) -> None:
        index = call.index = len(self.calls)
        self.calls.append(call)
        call.id = self._ids.take(call.given_id, call.name, index)
        if call.id != call.raw_id:
            self._events.append(Problem(codes.CALL_ID_REPAIRED, call.at, call.raw_id))
        self._events.append(CallStart(index, call.id, call.name))
        if arguments := call.arguments.getvalue():
            self._events.append(ArgumentsDelta(index, arguments))
        if call.is_ended:
            self._events.append(CallEnd(index, call.complete))


class _Ids:
    """The ids of one message: each is used once."""

    def __init__(self, first_index: int) -> None:
        self._first_index = first_index
        self._largest = -1
        self._used: set[str] = set()

    def take(self, given: str | None, name: str, index: int) -> str:
        """The id of a call.

        Args:
            given: the id in the model's own form, or None.
            name: the call's tool.
            index: the call's index in the message.

        Returns:
            The given id if it was not used before, else one with a new number.
        """
        call_id = given
        if call_id is None or call_id in self._used:
            number = self._first_index + index
            call_id = make_id(name, number)
            if given is not None or call_id in self._used:
                call_id = make_id(name, max(number, self._largest + 1))
        self._used.add(call_id)
        digits = call_id.rpartition(":")[2]
        if len(digits) <= _DIGITS_COMPARED:
            self._largest = max(self._largest, int(digits))
        return call_id
