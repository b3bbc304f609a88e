"""Puts calls of two sources, text and native, in one order, and counts each of them once.

A server that leaks may send one call twice: as text, and natively. Two calls
are one where their tool and the JSON value of their arguments are equal and
one of them came as text, the other natively. Each call cancels one other.

A text call to which the model gave no arguments counts as the same as any native
call of its tool: the server left its header and took the arguments out.

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
from ..events import ArgumentsDelta, CallEnd, CallStart, Event, Problem, arguments_delta
from ..ids import CallId, IssuedIds
from .fields import value_key

_UNFIT_FOR_ID: Final = re.compile(r"[\x00-\x20\x7f-\x9f]+|<(?=\|)")


def canonical(call_id: str, name: str) -> CallId:
    """The parts of an id that has the model's own form."""
    return CallId(name, call_id.rpartition(":")[2], canonical=True)


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
        parsed_id: the parts of the id that it came with.
        raw_id: that id as written.
        at: the place of its beginning in the rebuilt text.
        arguments: its arguments so far.
        complete: whether they are one whole JSON object.
        is_blank: whether the model wrote no arguments for it.
        is_ended: whether nothing more comes.
        may_repeat: whether the other source had a call of the same tool before.
        has_partner: whether it was found to be the same call as another.
        number: how many calls began before.
        number_in_source: how many of them are of the same source.
        is_surplus: whether the message has as many calls as it may without it.
        index: its index in the message, once it was announced.
        id: its id in the message, likewise.
    """

    source: Source
    name: str
    parsed_id: CallId
    raw_id: str
    at: int
    arguments: io.StringIO = field(default_factory=io.StringIO)
    complete: bool = False
    is_blank: bool = False
    is_ended: bool = False
    may_repeat: bool = False
    has_partner: bool = False
    is_surplus: bool = False
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

    def __init__(self, first_index: int, max_calls: int | None, events: list[Event]) -> None:
        """Begin a message.

        Args:
            first_index: how many calls the conversation already holds.
            max_calls: how many calls are passed on; None means no limit.
            events: the list that takes the events.
        """
        self.calls: list[Call] = []
        self._events = events
        self._ids = IssuedIds(first_index)
        self._max_calls = max_calls
        self._begun = 0
        self._begun_by_source = dict.fromkeys(Source, 0)
        self._open: list[Call] = []
        self._waiting: deque[Call] = deque()
        self._without_partner: dict[tuple[Source, str], int] = {}
        self._of_kind: dict[tuple[Source, str], deque[Call]] = {}
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
        call.may_repeat = self.may_repeat(call)
        self._of_kind.setdefault(call.kind, deque()).append(call)
        self._count(call, 1)
        self._open.append(call)
        self._waiting.append(call)
        self._announce_decided()

    def may_repeat(self, call: Call) -> bool:
        """Whether the other source has a call of the same tool that has no partner yet."""
        return self._without_partner.get(call.other_kind, 0) > 0

    def add(self, call: Call, text: str) -> None:
        """More of a call's arguments."""
        call.arguments.write(text)
        if call.index is not None:
            self._events.append(arguments_delta(call.index, text))

    def end(self, call: Call, *, complete: bool) -> None:
        """A call is over."""
        call.is_ended = True
        call.complete = complete
        self._open.remove(call)
        self._ended.setdefault(call.kind, []).append(call)
        if call.index is not None:
            self._events.append(CallEnd(call.index, complete))
        elif call.is_surplus:
            self._report_arguments(call)
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
        if call.is_blank:
            return _first(self._of_kind.get(call.other_kind, deque()), call)
        for other in self._ended.pop(call.other_kind, ()):
            self._by_value.setdefault((*other.kind, other.value), deque()).append(other)
        return _first(self._by_value.get((*call.other_kind, call.value), deque()), call)

    def _pair(self, *calls: Call) -> None:
        for call in calls:
            call.has_partner = True
            self._count(call, -1)

    def _count(self, call: Call, difference: int) -> None:
        self._without_partner[call.kind] = self._without_partner.get(call.kind, 0) + difference

    def _announce(self, call: Call) -> None:
        index = len(self.calls)
        if self._max_calls is not None and index >= self._max_calls:
            self._drop(call)
            return
        call.index = index
        self.calls.append(call)
        name = _UNFIT_FOR_ID.sub("_", call.name)
        call.id, repeated = self._ids.issue(call.parsed_id, call.raw_id, name, index)
        if not call.parsed_id.canonical:
            self._events.append(Problem(codes.CALL_ID_REPAIRED, call.at, call.raw_id))
        if repeated:
            self._events.append(Problem(codes.CALL_ID_REPEATED, call.at, call.raw_id))
        self._events.append(CallStart(index, call.id, call.name))
        if arguments := call.arguments.getvalue():
            self._events.append(ArgumentsDelta(index, arguments))
        if call.is_ended:
            self._events.append(CallEnd(index, call.complete))

    def _drop(self, call: Call) -> None:
        call.is_surplus = True
        self._events.append(Problem(codes.CALL_SURPLUS, call.at, call.raw_id or call.name))
        if call.is_ended:
            self._report_arguments(call)

    def _report_arguments(self, call: Call) -> None:
        if arguments := call.arguments.getvalue():
            self._events.append(Problem(codes.CALL_ARGUMENTS_DROPPED, call.at, arguments))


def _first(others: deque[Call], call: Call) -> Call | None:
    """The first of the calls that has no partner, if it began before a call."""
    while others and others[0].has_partner:
        others.popleft()
    return others[0] if others and others[0].number < call.number else None
