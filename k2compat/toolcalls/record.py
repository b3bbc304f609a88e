"""What was read so far: hands out the events and puts the message together."""

import io

from .argument_text import ArgumentText
from .events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Problem,
    Reasoning,
)
from .ids import CallId
from .markers import WHITE_SPACE
from .message import FinishReason, Message, ToolCall


class Call:
    """A call from its id on.

    Attributes:
        at: where the id stands.
        raw_id: the id as written.
        says: what the id says, or None if it is no id; then the call is dropped.
        index: its number, once it was announced.
        id: its canonical id, likewise.
        name: its tool, likewise.
        complete: whether the arguments are one whole JSON object.
        arguments: their text.
        arguments_at: where they begin.
        is_filled: whether they were blank and became `{}`.
    """

    __slots__ = (
        "arguments",
        "arguments_at",
        "at",
        "complete",
        "id",
        "index",
        "is_filled",
        "name",
        "raw_id",
        "says",
    )

    def __init__(self, raw_id: str, at: int, says: CallId | None, arguments_at: int) -> None:
        self.raw_id = raw_id
        self.at = at
        self.says = says
        self.index: int | None = None
        self.id = ""
        self.name = ""
        self.complete = False
        self.arguments = ArgumentText()
        self.arguments_at = arguments_at
        self.is_filled = False


class Record:
    """Everything that was read, as events and as a message.

    Each method but the last two records one thing and reports it as an event.

    Attributes:
        calls: the announced calls.
    """

    __slots__ = ("_content", "_events", "_problems", "_reasoning", "calls")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._events: list[Event] = []
        self._content = io.StringIO()
        self._reasoning = io.StringIO()
        self._problems: list[Problem] = []

    def content(self, text: str) -> None:
        self._content.write(text)
        self._events.append(Content(text))

    def reasoning(self, text: str) -> None:
        self._reasoning.write(text)
        self._events.append(Reasoning(text))

    def problem(self, code: str, at: int, text: str) -> None:
        problem = Problem(code, at, text)
        self._problems.append(problem)
        self._events.append(problem)

    def call_start(self, call: Call, index: int) -> None:
        call.index = index
        self.calls.append(call)
        self._events.append(CallStart(index, call.id, call.name))

    def arguments(self, index: int, text: str) -> None:
        self._events.append(ArgumentsDelta(index, text))

    def call_end(self, index: int, *, complete: bool) -> None:
        self.calls[index].complete = complete
        self._events.append(CallEnd(index, complete))

    def take_events(self) -> list[Event]:
        """The events since the last time."""
        events = self._events
        self._events = []
        return events

    def message(self) -> Message:
        """What was said so far, put together."""
        content = self._content.getvalue()
        white = bool(self.calls) and not content.strip(WHITE_SPACE)
        return Message(
            content=None if white else content or None,
            reasoning=self._reasoning.getvalue().rstrip(WHITE_SPACE) or None,
            tool_calls=tuple(
                ToolCall(call.id, call.name, call.arguments.text, call.complete, call.raw_id)
                for call in self.calls
            ),
            problems=tuple(self._problems),
            finish_reason=self._finish_reason(),
        )

    def _finish_reason(self) -> FinishReason:
        if not self.calls:
            return "stop"
        if not self.calls[-1].complete:
            return "length"
        return "tool_calls" if all(call.complete for call in self.calls) else "stop"
