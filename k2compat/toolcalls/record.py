"""What was read so far: hands out the events and puts the message together."""

import io
import sys
from bisect import bisect_right

from .argument_text import ArgumentText
from .events import (
    CallEnd,
    CallStart,
    Content,
    Event,
    Problem,
    Reasoning,
    arguments_delta,
    text_event,
)
from .ids import CallId
from .markers import WHITE_SPACE
from .message import FinishReason, Message, ToolCall


class Call:
    """A call from its id on.

    Attributes:
        at: the place of the id.
        raw_id: the id as written.
        parsed_id: its parts, or None if it is no id; then the call is dropped.
        index: its number, once it was announced.
        id: its canonical id, likewise.
        name: its tool, likewise.
        complete: whether the arguments are one whole JSON object.
        ended: whether it is over.
        arguments: their text.
        arguments_at: where they begin.
        is_filled: whether they need no report of their own if the call is dropped.
        is_surplus: whether the message has as many calls as it may without it.
    """

    __slots__ = (
        "arguments",
        "arguments_at",
        "at",
        "complete",
        "ended",
        "id",
        "index",
        "is_filled",
        "is_surplus",
        "name",
        "parsed_id",
        "raw_id",
    )

    def __init__(
        self,
        raw_id: str,
        at: int,
        parsed_id: CallId | None,
        arguments_at: int,
        arguments: ArgumentText | None = None,
    ) -> None:
        self.raw_id = raw_id
        self.at = at
        self.parsed_id = parsed_id
        self.index: int | None = None
        self.id = ""
        self.name = ""
        self.complete = False
        self.ended = False
        self.arguments = arguments or ArgumentText()
        self.arguments_at = arguments_at
        self.is_filled = False
        self.is_surplus = False


class Places:
    """Where in the output the parts of a text are."""

    __slots__ = ("_next", "_parts", "length")

    def __init__(self) -> None:
        self.length = 0
        self._next = -1
        # The offset and the place of each part that does not follow the one before.
        self._parts: list[tuple[int, int]] = []

    def add(self, length: int, at: int) -> None:
        """Add a part of so many characters, the first of them at that place."""
        if at != self._next:
            self._parts.append((self.length, at))
        self.length += length
        self._next = at + length

    def of(self, offset: int) -> int:
        """The place in the output of the character at an offset of the text."""
        begin, at = self._parts[bisect_right(self._parts, (offset, sys.maxsize)) - 1]
        return at + offset - begin


class Written:
    """The content or the reasoning.

    Attributes:
        places: where its parts are in the output.
    """

    __slots__ = ("_buffer", "places")

    def __init__(self) -> None:
        self._buffer = io.StringIO()
        self.places = Places()

    def write(self, text: str, at: int) -> None:
        """Add text whose first character is at that place."""
        self._buffer.write(text)
        self.places.add(len(text), at)

    @property
    def text(self) -> str:
        return self._buffer.getvalue()


class OpenProse:
    """Content or reasoning that the fast path of `StreamParser.feed` collects.

    How text is cut makes no difference to what is read, so the pieces are read later, as one.

    Attributes:
        pieces: the pieces that wait to be read.
        kind: the class of their events.
    """

    __slots__ = ("kind", "pieces")

    def __init__(self, kind: type[Content] | type[Reasoning]) -> None:
        self.kind = kind
        self.pieces: list[str] = []


class Record:
    """Everything that was read, as events and as a message.

    Each method but the last two records one thing and reports it as an event.

    Attributes:
        calls: the announced calls.
        written: the content.
        thought: the reasoning.
        is_cut: whether the end of the text cut a call.
    """

    __slots__ = ("_events", "_problems", "calls", "is_cut", "thought", "written")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.written = Written()
        self.thought = Written()
        self.is_cut = False
        self._events: list[Event] = []
        self._problems: list[Problem] = []

    def content(self, text: str, at: int) -> None:
        self.written.write(text, at)
        self._events.append(text_event(Content, text))

    def reasoning(self, text: str, at: int) -> None:
        self.thought.write(text, at)
        self._events.append(text_event(Reasoning, text))

    def problem(self, code: str, at: int, text: str) -> None:
        problem = Problem(code, at, text)
        self._problems.append(problem)
        self._events.append(problem)

    def call_start(self, call: Call, index: int) -> None:
        call.index = index
        self.calls.append(call)
        self._events.append(CallStart(index, call.id, call.name))

    def arguments(self, index: int, text: str) -> None:
        self._events.append(arguments_delta(index, text))

    def call_end(self, index: int, *, complete: bool) -> None:
        call = self.calls[index]
        call.complete, call.ended = complete, True
        self._events.append(CallEnd(index, complete))

    def take_events(self) -> list[Event]:
        """The events since the last time."""
        events = self._events
        self._events = []
        return events

    def message(self) -> Message:
        """What was read so far, put together."""
        content = self.written.text
        white = bool(self.calls) and not content.strip(WHITE_SPACE)
        return Message(
            content=None if white else content or None,
            reasoning=self.thought.text.rstrip(WHITE_SPACE) or None,
            tool_calls=tuple(
                ToolCall(call.id, call.name, call.arguments.text, call.complete, call.raw_id)
                for call in self.calls
            ),
            problems=tuple(self._problems),
            finish_reason=self._finish_reason(),
        )

    def _finish_reason(self) -> FinishReason:
        if self.is_cut or (self.calls and not self.calls[-1].ended):
            return "length"
        return "tool_calls" if self.calls else "stop"
