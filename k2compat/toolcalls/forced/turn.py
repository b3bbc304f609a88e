"""One assistant turn of which a tool choice forced the form."""

from collections import deque
from enum import IntEnum, auto
from typing import Final, Protocol

from .. import codes
from ..events import Content, Reasoning
from ..machine import State
from ..markers import WHITE_SPACE, Symbol
from ..record import Call
from ..turn import Thinking, Turn
from ..turn.units import Passage, Unit
from .arguments import ArgumentsForm
from .array import ArrayForm

_THINKING: Final = (Symbol.THINK_BEGIN, Symbol.THINK_END)


class Phase(IntEnum):
    """How far the turn is; MARKERS if its form is another."""

    BEFORE_JSON = auto()
    JSON = auto()
    BEHIND_JSON = auto()
    MARKERS = auto()


class FormReader(Protocol):
    """Reads the JSON of one form.

    Attributes:
        is_over: whether the JSON is whole, or broken off.
        differs: whether the output is not of this form. Nothing was reported
            then, and all of it is to be read as another form.
        unused: text, with its place, that was read and belongs to no call.
    """

    is_over: bool
    differs: bool
    unused: Passage

    @property
    def in_string(self) -> bool:
        """Whether the text so far ends inside a JSON string."""

    def read(self, text: str, at: int) -> int:
        """Read text whose first character is at that place.

        Returns:
            The number of characters that belong to the JSON.
        """

    def end(self, *, by_end_of_text: bool) -> None:
        """End the JSON, whole or not."""


class ForcedTurn:
    """Reads one assistant turn as bare JSON; same doors as `Turn`.

    Reasoning is read by the turn itself. White space and markers around the
    JSON are stripped. If the output is not of the form, all of it after the
    reasoning is read by the turn.
    """

    def __init__(self, turn: Turn, name: str | None) -> None:
        """Begin a turn.

        Args:
            turn: the turn that reads what is not of the form.
            name: the tool whose arguments are read, or None for an array of calls.
        """
        self._turn = turn
        turn.hands_back = True
        self._taken_back: list[Unit] = []  # a stack: the last unit is read next
        self._phase = Phase.BEFORE_JSON
        self._begin = "[" if name is None else "{"
        self._form: FormReader = (
            ArrayForm(turn.calls, turn.record) if name is None else ArgumentsForm(turn.calls, name)
        )
        self._units: list[Unit] = []  # all after the reasoning, until the form is certain
        self._calls_before = 0  # calls in the reasoning
        self._behind = Passage()

    @property
    def state(self) -> State:
        """The turn's state."""
        return self._turn.state

    @property
    def call(self) -> Call:
        """The turn's call."""
        return self._turn.call

    @property
    def reasoning_is_open(self) -> bool:
        """Whether the model is reasoning."""
        return self._turn.reasoning_is_open

    @property
    def open_call(self) -> Call | None:
        """The open call that takes text without a look at it, or None."""
        return self._turn.open_call if self._phase is Phase.MARKERS else None

    @property
    def prose_kind(self) -> type[Content] | type[Reasoning] | None:
        """The kind of text without a marker, as in `Turn.prose_kind`; None in the JSON."""
        return self._turn.prose_kind if self._phase is Phase.MARKERS else None

    def text(self, text: str, at: int, *, cut: bool = False) -> None:
        """Take text that is no marker, as `Turn.text` does."""
        self._take(Unit(None, text, at, cut=cut))

    def symbol(self, symbol: Symbol, text: str, at: int, *, certain: bool) -> None:
        """Take a marker, or the end of the text, as `Turn.symbol` does."""
        self._take(Unit(symbol, text, at, certain))

    def _take(self, unit: Unit) -> None:
        self._read(unit)
        while self._taken_back:
            self._read(self._taken_back.pop())

    def _read(self, unit: Unit) -> None:
        if self._phase is Phase.MARKERS:
            self._pass_on(unit)
        elif unit.symbol is None:
            self._read_text(unit)
        elif unit.symbol is Symbol.END_OF_TEXT:
            self._end(unit)
        elif self._phase is Phase.BEFORE_JSON:
            self._symbol_before(unit)
        elif self._phase is Phase.JSON:
            self._symbol_in_json(unit)
        else:
            self._report_behind()

    def _read_text(self, unit: Unit) -> None:
        if self._phase is Phase.BEFORE_JSON:
            self._text_before(unit)
        elif self._phase is Phase.JSON:
            self._text_in_json(unit)
        else:
            self._text_behind(unit.text, unit.at)

    def calls_in_form(self, text: str, at: int, begin: int) -> int:
        """Read calls in the model's own form, as `Turn.calls_in_form` does."""
        return self._turn.calls_in_form(text, at, begin) if self._phase is Phase.MARKERS else at

    @property
    def _in_reasoning(self) -> bool:
        return (
            self._turn.prose.thinking is not Thinking.CLOSED
            or self._turn.state is not State.OUTSIDE
        )

    def _text_before(self, unit: Unit) -> None:
        if self._in_reasoning:
            self._pass_on(unit)
            return
        rest = unit.text.lstrip(WHITE_SPACE)
        if not rest:
            self._units.append(unit)
        elif rest.startswith(self._begin):
            self._phase = Phase.JSON
            self._calls_before = len(self._turn.record.calls)
            white = len(unit.text) - len(rest)
            if white:
                self._units.append(unit._replace(text=unit.text[:white]))
            self._text_in_json(unit._replace(text=rest, at=unit.at + white))
        else:
            self._units.append(unit)
            self._differ()

    def _symbol_before(self, unit: Unit) -> None:
        opens = self._turn.prose.thinking is Thinking.OPEN and self._turn.state is State.OUTSIDE
        if opens and unit.symbol is Symbol.SECTION_BEGIN:
            self._turn.prose.thinking = Thinking.CLOSED
            self._units.append(unit)
        elif self._in_reasoning or unit.symbol in _THINKING:
            if unit.symbol is Symbol.THINK_BEGIN:
                self._pass_on_units()  # what comes before the reasoning is not around the JSON
            self._pass_on(unit)
        else:
            self._units.append(unit)

    def _pass_on(self, unit: Unit) -> None:
        # What followed a call begin in the reasoning may hold the end of the reasoning.
        self._taken_back += reversed(self._given(unit))

    def _given(self, unit: Unit) -> list[Unit]:
        """Give a unit to the turn; the units that it hands back, to be read next."""
        if unit.symbol is None:
            self._turn.text(unit.text, unit.at, cut=unit.cut)
        else:
            self._turn.symbol(unit.symbol, unit.text, unit.at, certain=unit.certain)
        return [] if self._phase is Phase.MARKERS else self._turn.take_taken_back()

    def _differ(self) -> None:
        """The output is of another form: read as markers all that followed the reasoning."""
        self._phase = Phase.MARKERS
        self._turn.hands_back = False
        first = next(
            unit for unit in self._units if unit.symbol is None and unit.text.strip(WHITE_SPACE)
        )
        text = first.text.lstrip(WHITE_SPACE)
        place = first.at + len(first.text) - len(text)
        self._turn.record.problem(codes.FORM_DIFFERENT, place, text[0])
        self._pass_on_units()

    def _pass_on_units(self) -> None:
        units, self._units = deque(self._units), []
        while units:
            units.extendleft(reversed(self._given(units.popleft())))

    def _text_in_json(self, unit: Unit) -> None:
        if len(self._turn.record.calls) == self._calls_before:
            # A marker in a string stays one: if the form is another, it is read as such.
            self._units.append(unit)
        used = self._form.read(unit.text, unit.at)
        if self._form.differs:
            self._differ()
        elif self._form.is_over:
            self._leave_json()
            if used < len(unit.text):
                self._text_behind(unit.text[used:], unit.at + used)

    def _symbol_in_json(self, unit: Unit) -> None:
        if self._form.in_string and not unit.certain:
            self._text_in_json(unit)
            return
        if unit.symbol in (Symbol.ARGUMENT_BEGIN, Symbol.ARGUMENT_END):
            return
        self._turn.record.problem(codes.CALL_END_MISSING, unit.at, unit.text)
        self._form.end(by_end_of_text=False)
        self._leave_json()

    def _leave_json(self) -> None:
        self._phase = Phase.BEHIND_JSON
        self._units = []
        self._behind = self._form.unused

    def _text_behind(self, text: str, at: int) -> None:
        if not self._behind.parts:
            rest = text.lstrip(WHITE_SPACE)
            text, at = rest, at + len(text) - len(rest)
        if text:
            self._behind.add(text, at)

    def _report_behind(self) -> None:
        blank, text = self._behind.blank, self._behind.take()
        if not blank:
            self._turn.record.problem(codes.FORCED_TEXT_UNUSED, self._behind.at, text)

    def _end(self, unit: Unit) -> None:
        if self._phase is Phase.JSON:
            self._form.end(by_end_of_text=True)
            self._leave_json()
        self._report_behind()
        self._pass_on(unit)
