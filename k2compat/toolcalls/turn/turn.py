"""What one assistant turn has said so far: carries out the actions of the state machine."""

from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from typing import ClassVar, Final, NamedTuple

from . import codes
from .argument_text import ArgumentText
from .ids import CallId, find_tool, read_id
from .machine import TABLE, Action, State, Step
from .markers import WHITE_SPACE, Symbol
from .record import Call, Record
from .tools import DeclaredTools


class Thinking(IntEnum):
    """Whether the model is reasoning; a section of calls interrupts it."""

    CLOSED = auto()
    OPEN = auto()
    INTERRUPTED = auto()


class Passage:
    """Text that is collected until it is known what to do with it.

    Attributes:
        at: where it begins.
        blank: whether it is white space alone.
        parts: its pieces.
    """

    __slots__ = ("at", "blank", "parts")

    def __init__(self) -> None:
        self.at = 0
        self.blank = True
        self.parts: list[str] = []

    def add(self, text: str, at: int) -> None:
        if not self.parts:
            self.at = at
        self.parts.append(text)
        self.blank = self.blank and not text.strip(WHITE_SPACE)

    def take(self) -> str:
        """The text; the passage is empty afterwards."""
        text = "".join(self.parts)
        self.clear()
        return text

    def clear(self) -> None:
        self.parts.clear()
        self.blank = True


class Held(NamedTuple):
    """A marker, or the white space behind it, that waits until it is decided what it is."""

    symbol: Symbol | None
    text: str
    at: int


_DOUBTS: Final = frozenset({(Action.HOLD,), (Action.CONFIRM,), (Action.RELEASE,)})


class Turn:
    """Reads one assistant turn, symbol by symbol and text by text.

    Attributes:
        state: where in the format the turn is.
        record: what was read.
        call: the call that is open, or the last one.
    """

    def __init__(
        self,
        tools: DeclaredTools,
        thinking: Thinking,
        first_index: int,
        keep_text_after_calls: bool,
    ) -> None:
        self.state = State.OUTSIDE
        self.record = Record()
        self.call = Call("", 0, None, 0)
        self._tools = tools
        self._thinking = thinking
        self._first_index = first_index
        self._keep_text_after_calls = keep_text_after_calls
        self._after_calls = False
        self._section_is_marked = False
        self._section_in_reasoning = False
        self._section_has_calls = False
        self._header = Passage()
        self._stray = Passage()
        self._held: list[Held] = []

    @property
    def flow(self) -> list[str] | None:
        """The list that takes pieces of an announced call's arguments, once they have begun."""
        call = self.call
        if self.state is State.ARGUMENTS and call.index is not None and not call.arguments.blank:
            return call.arguments.pieces
        return None

    # What lies between markers.

    def text(self, text: str, at: int) -> None:
        """Take text that is no marker.

        Args:
            text: the next characters, at least one.
            at: where they stand.
        """
        self._TEXT[self.state](self, text, at)

    def _text_outside(self, text: str, at: int) -> None:
        if self._thinking is Thinking.OPEN:
            self.record.reasoning(text)
        elif self._after_calls and not self._keep_text_after_calls:
            self._stray.add(text, at)
        else:
            self.record.content(text)

    def _text_between(self, text: str, at: int) -> None:
        if self._thinking is Thinking.OPEN:
            self._text_outside(text, at)
            return
        self._stray.add(text, at)
        if not (self._section_is_marked or self._stray.blank):
            self._end_section("", at)
            self.state = State.OUTSIDE
            self._text_outside(self._stray.take(), self._stray.at)

    def _text_in_header(self, text: str, at: int) -> None:
        self._header.add(text, at)

    def _text_in_arguments(self, text: str, at: int) -> None:
        call = self.call
        if call.arguments.blank:
            call.arguments_at = at + len(text) - len(text.lstrip(WHITE_SPACE))
        written = call.arguments.add(text)
        if written and call.index is not None:
            self.record.arguments(call.index, written)

    def _text_behind_held(self, text: str, at: int) -> None:
        if not text.strip(WHITE_SPACE):
            self._held.append(Held(None, text, at))
            return
        self.state = State.ARGUMENTS
        self._release()
        self.text(text, at)

    def _text_behind_turn(self, text: str, at: int) -> None:
        self._stray.add(text, at)

    # Markers and the end of the text.

    def symbol(self, symbol: Symbol, text: str, at: int, *, certain: bool) -> None:
        """Take a marker, or the end of the text.

        Args:
            symbol: which one.
            text: how it is written.
            at: where it stands.
            certain: whether it is known by its token id, so that it cannot be
                text inside a string.
        """
        step = self._step(symbol, certain=certain)
        if self._stray.parts and Action.KEEP_AS_TEXT not in step.actions:
            self._report_stray()
        self.state = step.next
        if step.actions in _DOUBTS:
            if Action.HOLD in step.actions:
                self._held.append(Held(symbol, text, at))
                return
            if Action.CONFIRM in step.actions:
                self._read_held(certain=True)
            else:
                self._release()
            self.symbol(symbol, text, at, certain=certain)
            return
        for action in step.actions:
            self._ACTIONS[action](self, text, at)

    def _step(self, symbol: Symbol, *, certain: bool) -> Step:
        row = TABLE[self.state]
        if self.state is State.ARGUMENTS and not certain and self.call.arguments.in_string:
            row = TABLE[State.IN_STRING]
        step = row.steps.get(symbol, row.otherwise)
        return row.otherwise if certain and Action.HOLD in step.actions else step

    def _keep_as_text(self, text: str, at: int) -> None:
        self.text(text, at)

    def _release(self) -> None:
        """Read again what was held: its first marker was text."""
        self._held[0] = self._held[0]._replace(symbol=None)
        self._read_held(certain=False)

    def _read_held(self, *, certain: bool) -> None:
        held, self._held = self._held, []
        for symbol, text, at in held:
            if symbol is None:
                self.text(text, at)
            else:
                self.symbol(symbol, text, at, certain=certain)

    def _open_reasoning(self, text: str, at: int) -> None:
        if self._thinking is Thinking.OPEN:
            self.record.problem(codes.THINK_MARKER_STRAY, at, text)
        self._thinking = Thinking.OPEN

    def _close_reasoning(self, text: str, at: int) -> None:
        if self._thinking is Thinking.CLOSED:
            self.record.problem(codes.THINK_MARKER_STRAY, at, text)
        self._thinking = Thinking.CLOSED

    def _begin_section(self, _text: str, _at: int) -> None:
        self._section_is_marked = True
        self._section_has_calls = False
        self._section_in_reasoning = False
        self._interrupt_reasoning()

    def _begin_unmarked_section(self, text: str, at: int) -> None:
        self.record.problem(codes.SECTION_BEGIN_MISSING, at, text)
        self._begin_section(text, at)
        self._section_is_marked = False

    def _end_section(self, _text: str, _at: int) -> None:
        if self._section_in_reasoning:
            self._after_calls = False
        elif self._section_has_calls:
            self._after_calls = True
        if self._thinking is Thinking.INTERRUPTED:
            self._thinking = Thinking.OPEN

    def _interrupt_reasoning(self) -> None:
        if self._thinking is Thinking.OPEN:
            self._thinking = Thinking.INTERRUPTED
            self._section_in_reasoning = True

    def _begin_header(self, text: str, at: int) -> None:
        self._interrupt_reasoning()
        self._header.at = at + len(text)  # stays, if the header is empty

    def _drop_header(self, _text: str, _at: int) -> None:
        self.record.problem(codes.CALL_HEADER_BROKEN, self._header.at, self._header.take())

    def _cut_header(self, _text: str, _at: int) -> None:
        self.record.problem(codes.CALL_HEADER_CUT, self._header.at, self._header.take())

    def _begin_arguments(self, text: str, at: int) -> None:
        header = self._header.take()
        raw_id = header.strip(WHITE_SPACE)
        id_at = self._header.at + len(header) - len(header.lstrip(WHITE_SPACE))
        says = read_id(raw_id, self._tools)
        call = self.call = Call(raw_id, id_at, says, at + len(text))
        if says is None:
            self.record.problem(codes.CALL_ID_INVALID, id_at, raw_id)
            return
        name = says.name if says.name is not None else self._tools.only()
        if name is not None:
            self._announce(call, says, name)

    def _announce(self, call: Call, says: CallId, name: str) -> None:
        call.name = name
        index = len(self.record.calls)
        if says.canonical:
            call.id = call.raw_id
        else:
            call.id = f"functions.{name}:{says.number or self._first_index + index}"
            self.record.problem(codes.CALL_ID_REPAIRED, call.at, call.raw_id)
        if self._tools.known and name not in self._tools:
            self.record.problem(codes.TOOL_UNDECLARED, call.at, call.raw_id)
        self._section_has_calls = True
        self.record.call_start(call, index)

    def _repeat_argument_marker(self, text: str, at: int) -> None:
        self.record.problem(codes.ARGUMENT_MARKER_REPEATED, at, text)

    def _miss_call_end(self, text: str, at: int) -> None:
        self.record.problem(codes.CALL_END_MISSING, at, text)

    def _fill_blank(self, _text: str, at: int) -> None:
        if self.call.says is not None and self.call.arguments.blank:
            self.call.is_filled = True
            self._text_in_arguments("{}", at)

    def _end_call(self, _text: str, _at: int) -> None:
        self._finish_call(may_be_cut=False)

    def _cut_call(self, _text: str, _at: int) -> None:
        self._finish_call(may_be_cut=True)

    def _finish_call(self, *, may_be_cut: bool) -> None:
        call = self.call
        if call.index is None:
            self._decide(call)
        if call.index is None:
            return
        complete = call.arguments.whole
        if not (complete or (may_be_cut and call.arguments.possible)):
            self.record.problem(codes.ARGUMENTS_NOT_OBJECT, call.arguments_at, call.arguments.text)
        self.record.call_end(call.index, complete=complete)

    def _decide(self, call: Call) -> None:
        """Announce a call of which only the whole arguments tell the tool, or drop it."""
        text = call.arguments.text
        found = None
        if call.says is not None and call.arguments.whole:
            found = find_tool(call.says, text, self._tools)
        if call.says is not None and found is None:
            self.record.problem(codes.CALL_TOOL_UNKNOWN, call.at, call.raw_id)
        if call.says is not None and found is not None:
            self._announce(call, call.says, found.name)
            call.arguments = ArgumentText()
            self._text_in_arguments(found.arguments, call.arguments_at)
        elif text and not call.is_filled:
            self.record.problem(codes.CALL_ARGUMENTS_DROPPED, call.arguments_at, text)

    def _report_stray(self) -> None:
        blank, text = self._stray.blank, self._stray.take()
        if not blank:
            self.record.problem(self._STRAY[self.state], self._stray.at, text)

    _STRAY: ClassVar[Mapping[State, str]] = {
        State.OUTSIDE: codes.TEXT_AFTER_CALLS,
        State.BETWEEN: codes.TEXT_BETWEEN_CALLS,
        State.TURN_OVER: codes.TEXT_AFTER_TURN,
    }
    _TEXT: ClassVar[Mapping[State, Callable[["Turn", str, int], None]]] = {
        State.OUTSIDE: _text_outside,
        State.BETWEEN: _text_between,
        State.HEADER: _text_in_header,
        State.ARGUMENTS: _text_in_arguments,
        State.CALL_END_HELD: _text_behind_held,
        State.SECTION_END_HELD: _text_behind_held,
        State.TURN_END_HELD: _text_behind_held,
        State.TURN_OVER: _text_behind_turn,
    }
    _ACTIONS: ClassVar[Mapping[Action, Callable[["Turn", str, int], None]]] = {
        Action.BEGIN_SECTION: _begin_section,
        Action.BEGIN_UNMARKED_SECTION: _begin_unmarked_section,
        Action.END_SECTION: _end_section,
        Action.BEGIN_HEADER: _begin_header,
        Action.DROP_HEADER: _drop_header,
        Action.CUT_HEADER: _cut_header,
        Action.BEGIN_ARGUMENTS: _begin_arguments,
        Action.REPEAT_ARGUMENT_MARKER: _repeat_argument_marker,
        Action.MISS_CALL_END: _miss_call_end,
        Action.FILL_BLANK: _fill_blank,
        Action.END_CALL: _end_call,
        Action.CUT_CALL: _cut_call,
        Action.KEEP_AS_TEXT: _keep_as_text,
        Action.OPEN_REASONING: _open_reasoning,
        Action.CLOSE_REASONING: _close_reasoning,
    }
