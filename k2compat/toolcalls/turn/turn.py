"""Reads one assistant turn, unit by unit."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from ..ids import CallId, read_id
from ..json_prefix import reads_as_object
from ..machine import State
from ..markers import CALL_OPENING, ROLE_MARKERS, WHITE_SPACE, Symbol
from .plans import PLANS
from .section import Thinking
from .state import TurnState
from .units import Unit

# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_OUTSIDE: Final = State.OUTSIDE
_BETWEEN: Final = State.BETWEEN
_HEADER: Final = State.HEADER
_ARGUMENTS: Final = State.ARGUMENTS
_ARGUMENT_BEGIN: Final = Symbol.ARGUMENT_BEGIN
_END_OF_TURN: Final = Symbol.END_OF_TURN
_THINK_BEGIN: Final = Symbol.THINK_BEGIN
_THINK_END: Final = Symbol.THINK_END
_TEXT_SYMBOL: Final = Symbol.TEXT

_FOUND_IN_HEADER: Final = frozenset({Symbol.NO_ID, Symbol.OBJECT_BEGIN, Symbol.ARGUMENT_OBJECT})
_IN_OBJECT: Final = frozenset({State.ARGUMENTS, State.OBJECT_HEADER})


class Turn(TurnState):
    """Reads one assistant turn, symbol by symbol and text by text."""

    __slots__ = ()

    # Units in, one by one, and those that are read again.

    def text(self, text: str, at: int, *, cut: bool = False) -> None:
        """Take text that is no marker.

        Args:
            text: the next characters, at least one.
            at: their place.
            cut: whether it is the beginning of a marker that the end of the output cuts.
        """
        if self.doubt is not None:
            self.doubt.units.append(Unit(None, text, at, cut=cut))
        self.read_text(text, at, cut=cut)
        if self.taken_back or self.again:
            self._catch_up()

    def symbol(self, symbol: Symbol, text: str, at: int, *, certain: bool) -> None:
        """Take a marker, or the end of the text.

        Args:
            symbol: which one.
            text: how it is written.
            at: its place.
            certain: whether it is known by its token id, so that it cannot be
                text inside a string.
        """
        if self.doubt is not None:
            self.doubt.units.append(Unit(symbol, text, at, certain))
        self.read_symbol(Unit(symbol, text, at, certain))
        if self.taken_back or self.again:
            self._catch_up()

    def calls_in_form(self, text: str, at: int, begin: int) -> int:
        """Read calls in the model's own form: a short way with the same result.

        Calls that are whole are passed on at once. Of the first other one, the
        header is read, and the arguments are open.

        Args:
            text: a chunk.
            at: where a call begin is in it, found BETWEEN calls.
            begin: the chunk's place in the output.

        Returns:
            Where what was read ends.
        """
        section, calls = self.prose.section, self.calls
        while (match := CALL_OPENING.match(text, at)) and not calls.exhausted:
            raw_id, name, number, arguments = match.groups()
            if name.isdigit():  # it may be no name
                break
            self.prose.end_passage_in_section()
            if not section.call_began:
                self.prose.begin_call()
            section.has_calls = True
            parsed_id = CallId(name, number, canonical=True)
            place = begin + match.start(1)
            # A bracket may begin a marker.
            if not arguments or "[E" in arguments or not reads_as_object(arguments):
                end = text.index(">", match.end(1)) + 1
                calls.begin(raw_id, place, parsed_id, begin + end)
                self.state = _ARGUMENTS
                return end
            calls.pass_on_whole(raw_id, parsed_id, arguments, place)
            at = match.end()
        return at

    def take_taken_back(self) -> list[Unit]:
        """Hand out what is to be read again outside of calls, if `hands_back` is set."""
        units, self.taken_back = self.taken_back, []
        return units[::-1]

    def _catch_up(self) -> None:
        while self.again or self.taken_back:
            if self.hands_back and not self.again and self.state is _OUTSIDE:
                return
            if self.again:
                unit = self.again.pop()
            else:
                unit = self.taken_back.pop()
                if self.doubt is not None:
                    self.doubt.units.append(unit)
            if unit.symbol is None:
                self.read_text(unit.text, unit.at, cut=unit.cut)
            else:
                self.read_symbol(unit)

    # What lies between markers.

    def read_text(self, text: str, at: int, *, cut: bool = False) -> None:
        if self.state is _HEADER:
            self._text_in_header(text, at, cut=cut)
        else:
            self._TEXT[self.state](self, text, at)

    def _text_outside(self, text: str, at: int) -> None:
        self.prose.write(text, at)

    def _text_between(self, text: str, at: int) -> None:
        latest = self.prose.section.latest
        latest.add(text, at)
        if not (self.prose.section.marked or latest.blank):
            text, at = latest.take(), latest.at
            self.read_symbol(Unit(Symbol.TEXT, text, at))

    def _text_in_header(self, text: str, at: int, *, cut: bool) -> None:
        header = self.header
        if cut and header.row(self.tools) is not _HEADER:
            header.add_cut_marker(text, at)
            return
        found = header.find(text)
        if found is None:
            header.add(text, at)
            return
        if found.offset:
            header.add(text[: found.offset], at)
        place = at + found.offset
        self.read_symbol(Unit(found.symbol, "", place))
        if found.symbol is not Symbol.NO_ID:
            self.read_text(text[found.offset :], place)

    def _text_in_object(self, text: str, at: int) -> None:
        begin = 0
        arguments = self.call.arguments
        while (end := text.find("}", begin) + 1) > 0:
            arguments.add(text[begin:end])
            if arguments.whole:
                self.header.add(text[:end], at)
                found = self.object = self.calls.read_object(arguments.text)
                symbol = Symbol.NO_OBJECT if found is None else Symbol.CALL_OBJECT
                self.read_symbol(Unit(symbol, "", at + end))
                if found is not None and end < len(text):
                    self.read_text(text[end:], at + end)
                return
            begin = end
        self.header.add(text, at)
        if begin < len(text):
            arguments.add(text[begin:])
        if not arguments.possible:
            self.read_symbol(Unit(Symbol.NO_OBJECT, "", at))

    def _text_in_arguments(self, text: str, at: int) -> None:
        call = self.calls.current
        if call.arguments.blank:
            call.arguments_at = at + len(text) - len(text.lstrip(WHITE_SPACE))
        self.calls.write(text)
        if self.doubt is not None and not call.arguments.possible:
            self.read_symbol(Unit(Symbol.NO_OBJECT, "", at))

    def _text_behind_held(self, text: str, at: int) -> None:
        if text.strip(WHITE_SPACE):
            self.read_symbol(Unit(Symbol.TEXT, text, at))
        else:
            self.held.append(Unit(None, text, at))

    def _text_behind_end_of_turn(self, text: str, at: int) -> None:
        if not self.role.parts:
            rest = text.lstrip(WHITE_SPACE)
            if white := text[: len(text) - len(rest)]:
                self.ending.add(white, at)
            if not rest:
                return
            text, at = rest, at + len(white)
        self.role.add(text, at)
        candidate = "".join(self.role.parts)
        found = candidate.startswith(ROLE_MARKERS)
        if found or not any(marker.startswith(candidate) for marker in ROLE_MARKERS):
            symbol = Symbol.ROLE_MARKER if found else Symbol.TEXT
            self.read_symbol(Unit(symbol, self.role.take(), self.role.at))

    def _text_behind_turn(self, text: str, at: int) -> None:
        rest = text.lstrip(WHITE_SPACE)
        if rest:
            self.read_symbol(Unit(Symbol.TEXT, rest, at + len(text) - len(rest)))

    def _text_after_turn(self, text: str, at: int) -> None:
        self.prose.write_after_turn(text, at)

    # Markers, the end of the text, and what text shows.

    def read_symbol(self, unit: Unit) -> None:
        if self.role.parts:
            # What looked like a role marker is none.
            in_doubt = self.doubt is not None
            self.read_symbol(Unit(Symbol.TEXT, self.role.take(), self.role.at))
            if in_doubt:
                return  # the call begin was taken back, and this unit is read again
        symbol = self._in_its_situation(unit)
        state = self._row(symbol, unit)
        plans, otherwise = PLANS[state]
        plan = plans.get(symbol, otherwise)
        if plan.holds and (unit.settled or unit.certain):
            plan = otherwise
        if not plan.holds_turn:
            if state is _OUTSIDE:
                self.prose.end_passage()
            elif state is _BETWEEN:
                self.prose.end_passage_in_section()
        self.before = self.state
        if plan.next is not None:
            self.state = plan.next
        for run in plan.runs:
            run(self, unit)

    def _in_its_situation(self, unit: Unit) -> Symbol:
        """The symbol by which the unit is looked up."""
        symbol = unit.symbol or _TEXT_SYMBOL
        if symbol is _END_OF_TURN:
            return Symbol.TURN_DONE if unit.certain else symbol
        if symbol is _THINK_BEGIN or symbol is _THINK_END:
            closed = self.prose.thinking is Thinking.CLOSED
            if closed is (symbol is _THINK_END):
                return Symbol.THINK_STRAY
        return symbol

    def _row(self, symbol: Symbol, unit: Unit) -> State:
        """The row that counts in this state."""
        state = self.state
        if state in _IN_OBJECT:
            # Only a marker can be text of a string.
            if unit.text and not unit.certain and self.call.arguments.in_string:
                return State.IN_STRING
        elif state is _HEADER:
            if symbol not in _FOUND_IN_HEADER:
                return self.header.row(self.tools)
        elif (
            state is _BETWEEN
            and symbol is _ARGUMENT_BEGIN
            and read_id("".join(self.prose.section.latest.parts).strip(WHITE_SPACE), self.tools)
        ):
            return State.ID_BETWEEN
        return state

    _TEXT: ClassVar[Mapping[State, Callable[["Turn", str, int], None]]] = {
        State.OUTSIDE: _text_outside,
        State.BETWEEN: _text_between,
        State.OBJECT_HEADER: _text_in_object,
        State.ARGUMENTS: _text_in_arguments,
        State.CALL_END_HELD: _text_behind_held,
        State.SECTION_END_HELD: _text_behind_held,
        State.TURN_END_HELD: _text_behind_held,
        State.TURN_ENDING: _text_behind_end_of_turn,
        State.HEADER_ENDING: _text_behind_end_of_turn,
        State.TURN_OVER: _text_behind_turn,
        State.AFTER_TURN: _text_after_turn,
    }
