"""Carries out the actions of the state machine for one assistant turn."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple

from .. import codes
from ..ids import CallId, read_id
from ..json_prefix import reads_as_object
from ..machine import TABLE, Action, State, Step
from ..markers import ROLE_MARKERS, WHITE_SPACE, WHOLE_CALL, Symbol
from ..record import Call, Record
from ..tools import DeclaredTools
from .calls import Calls, ObjectCall
from .content import ContentWriter
from .header import Header
from .prose import Prose
from .section import Thinking
from .units import Passage, Unit

# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_OUTSIDE: Final = State.OUTSIDE
_BETWEEN: Final = State.BETWEEN
_HEADER: Final = State.HEADER
_ARGUMENTS: Final = State.ARGUMENTS
_END_OF_TURN: Final = Symbol.END_OF_TURN
_THINK_BEGIN: Final = Symbol.THINK_BEGIN
_THINK_END: Final = Symbol.THINK_END

_FOUND_IN_TEXT: Final = frozenset({Symbol.TEXT, Symbol.ROLE_MARKER})
_FOUND_IN_HEADER: Final = frozenset({Symbol.NO_ID, Symbol.OBJECT_BEGIN, Symbol.ARGUMENT_OBJECT})
_IN_OBJECT: Final = frozenset({State.ARGUMENTS, State.OBJECT_HEADER})

# Before the first header. Parsers share it: none writes to it.
_NO_HEADER: Final = Header(Unit(Symbol.CALL_BEGIN, "", 0), State.OUTSIDE)


class Turn:
    """Reads one assistant turn, symbol by symbol and text by text.

    Attributes:
        state: where in the format the turn is.
        record: what was read.
        calls: what announces and ends the calls.
        prose: what takes the text outside of calls.
        hands_back: whether another reader takes what is to be read again outside of calls.
    """

    __slots__ = (
        "_again",
        "_before",
        "_doubt",
        "_ending",
        "_ending_before",
        "_header",
        "_held",
        "_held_before",
        "_object",
        "_role",
        "_taken_back",
        "_tools",
        "calls",
        "hands_back",
        "prose",
        "record",
        "state",
    )

    def __init__(
        self,
        tools: DeclaredTools,
        thinking: Thinking,
        first_index: int = 0,
        keep_text_after_calls: bool = False,
        max_calls: int | None = None,
        recover_stripped: bool = False,
    ) -> None:
        self.state = State.OUTSIDE
        self.record = Record()
        self.calls = Calls(self.record, tools, first_index, max_calls)
        self.hands_back = False
        self._tools = tools
        self._before = State.OUTSIDE  # the state in which the current symbol was looked up
        self._header = _NO_HEADER
        self._doubt: Header | None = None  # the header, as long as its call is in doubt
        self.prose = Prose(
            self.record,
            ContentWriter(self.record, tools, self.calls, recover=recover_stripped),
            thinking,
            keep_text_after_calls=keep_text_after_calls,
        )
        self._object: ObjectCall | None = None  # the call that a header's object is
        self._held: list[Unit] = []  # markers in an open string, and white space behind them
        self._held_before = State.ARGUMENTS
        self._ending = Passage()  # ends of turn, and white space behind them
        self._ending_before = State.OUTSIDE
        self._role = Passage()  # the beginning of a role marker behind these
        # What is read again: units of a call begin that was taken back, and, before them,
        # units that were held in a string. The latter are kept in `_doubt` already.
        # Both are stacks: the last unit is read next.
        self._taken_back: list[Unit] = []
        self._again: list[Unit] = []

    @property
    def call(self) -> Call:
        """The call that is open, or the last one."""
        return self.calls.current

    @property
    def reasoning_is_open(self) -> bool:
        """Whether the model is reasoning; a section of calls may interrupt it."""
        return self.prose.thinking is not Thinking.CLOSED

    @property
    def open_call(self) -> Call | None:
        """The announced call whose arguments have begun and are open, or None."""
        call = self.calls.current
        if self.state is _ARGUMENTS and call.index is not None and not call.arguments.blank:
            return call
        return None

    # Units in, one by one, and those that are read again.

    def text(self, text: str, at: int, *, cut: bool = False) -> None:
        """Take text that is no marker.

        Args:
            text: the next characters, at least one.
            at: their place.
            cut: whether it is the beginning of a marker that the end of the output cuts.
        """
        if self._doubt is not None:
            self._doubt.units.append(Unit(None, text, at, cut=cut))
        self._read_text(text, at, cut=cut)
        if self._taken_back or self._again:
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
        if self._doubt is not None:
            self._doubt.units.append(Unit(symbol, text, at, certain))
        self._read_symbol(Unit(symbol, text, at, certain))
        if self._taken_back or self._again:
            self._catch_up()

    def whole_calls(self, text: str, at: int, begin: int) -> int:
        """Read calls that are whole and in the model's own form: a short way with the same result.

        Args:
            text: a chunk.
            at: where a call begin is in it, found BETWEEN calls.
            begin: the chunk's place in the output.

        Returns:
            Where the calls that were read end.
        """
        section, calls = self.prose.section, self.calls
        while (match := WHOLE_CALL.match(text, at)) and not calls.exhausted:
            raw_id, name, number, arguments = match.groups()
            # A NAME of digits may be no name, and a bracket the beginning of a marker.
            if name.isdigit() or "[E" in arguments or not reads_as_object(arguments):
                break
            self.prose.end_passage_in_section()
            if not section.call_began:
                self.prose.begin_call()
            place = begin + match.start(1)
            calls.pass_on_whole(raw_id, CallId(name, number, canonical=True), arguments, place)
            section.has_calls = True
            at = match.end()
        return at

    def take_taken_back(self) -> list[Unit]:
        """Hand out what is to be read again outside of calls, if `hands_back` is set."""
        units, self._taken_back = self._taken_back, []
        return units[::-1]

    def _catch_up(self) -> None:
        while self._again or self._taken_back:
            if self.hands_back and not self._again and self.state is _OUTSIDE:
                return
            if self._again:
                unit = self._again.pop()
            else:
                unit = self._taken_back.pop()
                if self._doubt is not None:
                    self._doubt.units.append(unit)
            if unit.symbol is None:
                self._read_text(unit.text, unit.at, cut=unit.cut)
            else:
                self._read_symbol(unit)

    # What lies between markers.

    def _read_text(self, text: str, at: int, *, cut: bool = False) -> None:
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
            self._read_symbol(Unit(Symbol.TEXT, text, at))

    def _text_in_header(self, text: str, at: int, *, cut: bool) -> None:
        header = self._header
        if cut and header.row(self._tools) is not _HEADER:
            header.add_cut_marker(text, at)
            return
        found = header.find(text)
        if found is None:
            header.add(text, at)
            return
        if found.offset:
            header.add(text[: found.offset], at)
        place = at + found.offset
        self._read_symbol(Unit(found.symbol, "", place))
        if found.symbol is not Symbol.NO_ID:
            self._read_text(text[found.offset :], place)

    def _text_in_object(self, text: str, at: int) -> None:
        begin = 0
        arguments = self.call.arguments
        while (end := text.find("}", begin) + 1) > 0:
            arguments.add(text[begin:end])
            if arguments.whole:
                self._header.add(text[:end], at)
                found = self._object = self.calls.read_object(arguments.text)
                symbol = Symbol.NO_OBJECT if found is None else Symbol.CALL_OBJECT
                self._read_symbol(Unit(symbol, "", at + end))
                if found is not None and end < len(text):
                    self._read_text(text[end:], at + end)
                return
            begin = end
        self._header.add(text, at)
        if begin < len(text):
            arguments.add(text[begin:])
        if not arguments.possible:
            self._read_symbol(Unit(Symbol.NO_OBJECT, "", at))

    def _text_in_arguments(self, text: str, at: int) -> None:
        call = self.calls.current
        if call.arguments.blank:
            call.arguments_at = at + len(text) - len(text.lstrip(WHITE_SPACE))
        self.calls.write(text)
        if self._doubt is not None and not call.arguments.possible:
            self._read_symbol(Unit(Symbol.NO_OBJECT, "", at))

    def _text_behind_held(self, text: str, at: int) -> None:
        if text.strip(WHITE_SPACE):
            self._read_symbol(Unit(Symbol.TEXT, text, at))
        else:
            self._held.append(Unit(None, text, at))

    def _text_behind_end_of_turn(self, text: str, at: int) -> None:
        if not self._role.parts:
            rest = text.lstrip(WHITE_SPACE)
            if white := text[: len(text) - len(rest)]:
                self._ending.add(white, at)
            if not rest:
                return
            text, at = rest, at + len(white)
        self._role.add(text, at)
        candidate = "".join(self._role.parts)
        found = candidate.startswith(ROLE_MARKERS)
        if found or not any(marker.startswith(candidate) for marker in ROLE_MARKERS):
            symbol = Symbol.ROLE_MARKER if found else Symbol.TEXT
            self._read_symbol(Unit(symbol, self._role.take(), self._role.at))

    def _text_behind_turn(self, text: str, at: int) -> None:
        rest = text.lstrip(WHITE_SPACE)
        if rest:
            self._read_symbol(Unit(Symbol.TEXT, rest, at + len(text) - len(rest)))

    def _text_after_turn(self, text: str, at: int) -> None:
        self.prose.write_after_turn(text, at)

    # Markers, the end of the text, and what text shows.

    def _read_symbol(self, unit: Unit) -> None:
        if self._role.parts:
            # What looked like a role marker is none.
            in_doubt = self._doubt is not None
            self._read_symbol(Unit(Symbol.TEXT, self._role.take(), self._role.at))
            if in_doubt:
                return  # the call begin was taken back, and this unit is read again
        symbol = self._in_its_situation(unit)
        state = self._row(symbol, unit)
        plans, otherwise = _PLANS[state]
        plan = plans.get(symbol, otherwise)
        if plan.holds and (unit.settled or unit.certain):
            plan = otherwise
        if not plan.holds_turn:
            if state is _OUTSIDE:
                self.prose.end_passage()
            elif state is _BETWEEN:
                self.prose.end_passage_in_section()
        self._before = self.state
        if plan.next is not None:
            self.state = plan.next
        for run in plan.runs:
            run(self, unit)

    def _in_its_situation(self, unit: Unit) -> Symbol:
        """The symbol by which the unit is looked up."""
        symbol = unit.symbol or Symbol.TEXT
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
                return self._header.row(self._tools)
        elif (
            state is _BETWEEN
            and symbol is Symbol.ARGUMENT_BEGIN
            and read_id("".join(self.prose.section.latest.parts).strip(WHITE_SPACE), self._tools)
        ):
            return State.ID_BETWEEN
        return state

    def _read_again(self, unit: Unit) -> None:
        if unit.symbol in _FOUND_IN_TEXT:
            self._read_text(unit.text, unit.at)
        else:
            self._read_symbol(unit)

    def _keep_as_text(self, unit: Unit) -> None:
        if unit.text:
            self._read_text(unit.text, unit.at)

    # Doubts in an open string.

    def _hold(self, unit: Unit) -> None:
        if not self._held:
            self._held_before = self._before
        self._held.append(unit)

    def _confirm(self, unit: Unit) -> None:
        self._read_held([held._replace(certain=True) for held in self._held], unit)

    def _release(self, unit: Unit) -> None:
        first, *others = self._held
        units = [first._replace(symbol=None), *(held._replace(settled=True) for held in others)]
        self._read_held(units, unit)

    def _read_held(self, units: list[Unit], unit: Unit) -> None:
        self._held = []
        self.state = self._held_before
        if unit.symbol in _FOUND_IN_TEXT:
            unit = unit._replace(symbol=None)
        self._again += reversed([*units, unit])

    # Doubts about an end of turn.

    def _hold_turn(self, unit: Unit) -> None:
        if not self._ending.parts:
            self._ending_before = self._before
        self._ending.add(unit.text, unit.at)

    def _confirm_turn(self, unit: Unit) -> None:
        if self.state is State.TURN_ENDING:
            self.state = self._ending_before
        self._ending.clear()
        self._read_symbol(Unit(Symbol.TURN_DONE, "", unit.at))

    def _release_turn(self, _unit: Unit) -> None:
        self.state = self._ending_before
        self._read_text(self._ending.take(), self._ending.at)

    # Reasoning and sections.

    def _open_reasoning(self, _unit: Unit) -> None:
        self.prose.thinking = Thinking.OPEN

    def _close_reasoning(self, _unit: Unit) -> None:
        self.prose.thinking = Thinking.CLOSED

    def _report_think_marker(self, unit: Unit) -> None:
        self.record.problem(codes.THINK_MARKER_STRAY, unit.at, unit.text)

    def _begin_section(self, _unit: Unit) -> None:
        self.prose.enter_section(marked=True)

    def _end_section(self, _unit: Unit) -> None:
        self.prose.end_section()

    # Headers.

    def _begin_header(self, unit: Unit) -> None:
        self._header = self._doubt = Header(unit, self._before)

    def _take_back(self, _unit: Unit) -> None:
        header = self._header
        self.record.problem(codes.CALL_BEGIN_QUOTED, header.begin.at, header.begin.text)
        self.state = header.before
        self._doubt = None
        self._held = []
        self._again.clear()
        self._ending.clear()
        self._taken_back += reversed(header.units)

    def _accept(self) -> None:
        """The call begin was none that the model only wrote about."""
        if self._doubt is not None and self._doubt.before is State.OUTSIDE:
            begin = self._doubt.begin
            self.record.problem(codes.SECTION_BEGIN_MISSING, begin.at, begin.text)
            self.prose.enter_section(marked=False)
        self._doubt = None
        for marker in self._header.problems:
            self._repeat_argument_marker(marker)
        self._header.problems = []

    def _drop_header(self, _unit: Unit) -> None:
        self._accept()
        self.record.problem(codes.CALL_HEADER_BROKEN, self._header.at, self._header.text)

    def _cut_header(self, unit: Unit) -> None:
        self._accept()
        self._ending.clear()
        if not self.calls.exhausted:
            self.prose.begin_call()
            if unit.symbol is Symbol.END_OF_TEXT and self._before is not State.HEADER_ENDING:
                self.record.is_cut = True
        self.record.problem(codes.CALL_HEADER_CUT, self._header.at, self._header.text)

    def _end_header(self, unit: Unit) -> None:
        parsed_id = self._header.parsed_id(self._tools)
        name = parsed_id and parsed_id.name
        if name is None or name not in self._tools or self._tools.parameters[name].required:
            self._drop_header(unit)
            return
        self.record.problem(codes.CALL_ARGUMENTS_MISSING, self._header.id_at, self._header.raw_id)
        self._begin_arguments(unit)
        self.calls.fill_blank()
        self._end_call(unit)

    def _begin_object(self, unit: Unit) -> None:
        self.calls.current = Call("", unit.at, None, unit.at)

    def _call_of_object(self, _unit: Unit) -> None:
        text, at, found = self.call.arguments.text, self.call.at, self._object
        if found is None:
            raise AssertionError("CALL_OBJECT is found with its tool only")
        self._accept()
        if not self.calls.exhausted:
            self.prose.begin_call()
            self.prose.section.has_calls = True
        self.record.problem(codes.CALL_HEADER_OBJECT, at, text)
        call = self.calls.begin_unnumbered(found.name, at, text)
        call.is_filled = True  # a problem holds its arguments already
        self.calls.write(found.arguments)
        self.calls.end(by_end_of_text=False)

    # Calls.

    def _miss_call_begin(self, unit: Unit) -> None:
        latest = self.prose.section.latest
        header = self._header = Header(Unit(Symbol.CALL_BEGIN, "", unit.at), State.BETWEEN)
        header.add(latest.take(), latest.at)
        self.record.problem(codes.CALL_BEGIN_MISSING, header.id_at, header.raw_id)

    def _miss_argument_marker(self, _unit: Unit) -> None:
        header = self._header
        self.record.problem(codes.ARGUMENT_MARKER_MISSING, header.id_at, header.raw_id)

    def _begin_arguments(self, unit: Unit) -> None:
        header = self._header
        parsed_id = header.parsed_id(self._tools)
        if parsed_id is not None:
            self._accept()
            if not self.calls.exhausted:
                self.prose.begin_call()
        call = self.calls.begin(header.raw_id, header.id_at, parsed_id, unit.at + len(unit.text))
        self._note_call(call)

    def _note_call(self, call: Call) -> None:
        if call.index is not None:
            self.prose.section.has_calls = True

    def _repeat_argument_marker(self, unit: Unit) -> None:
        if self._doubt is None:
            self.record.problem(codes.ARGUMENT_MARKER_REPEATED, unit.at, unit.text)
        else:
            self._doubt.problems.append(unit)

    def _miss_call_end(self, unit: Unit) -> None:
        self.record.problem(codes.CALL_END_MISSING, unit.at, unit.text)

    def _fill_blank(self, unit: Unit) -> None:
        if self.call.arguments.blank:
            self.call.arguments_at = unit.at
        self.calls.fill_blank()

    def _end_call(self, _unit: Unit) -> None:
        self._accept()
        self.calls.end(by_end_of_text=False)
        self._note_call(self.call)

    def _cut_call(self, _unit: Unit) -> None:
        self._accept()
        self.calls.end(by_end_of_text=True)
        self._note_call(self.call)

    def _end_message(self, _unit: Unit) -> None:
        self.prose.end_message()

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


class Plan(NamedTuple):
    """A step of the table, ready to run.

    Attributes:
        next: the next state, or None for BEFORE: an action sets it.
        runs: what carries out the actions.
        holds: whether HOLD is one of them.
        holds_turn: whether HOLD_TURN is one of them.
    """

    next: State | None
    runs: tuple[Callable[[Turn, Unit], None], ...]
    holds: bool
    holds_turn: bool


def _plan(step: Step) -> Plan:
    # Each action is the method of its name.
    return Plan(
        None if step.next is State.BEFORE else step.next,
        tuple(vars(Turn)[f"_{action.name.lower()}"] for action in step.actions),
        Action.HOLD in step.actions,
        Action.HOLD_TURN in step.actions,
    )


# The table is looked up for each marker, so its actions are resolved once.
_PLANS: Final[Mapping[State, tuple[Mapping[Symbol, Plan], Plan]]] = {
    state: (
        {symbol: _plan(step) for symbol, step in row.steps.items()},
        _plan(row.otherwise),
    )
    for state, row in TABLE.items()
}
