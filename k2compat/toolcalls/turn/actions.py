"""The actions of the state machine, each a function of its name."""

from .. import codes
from ..machine import State
from ..markers import Symbol
from ..record import Call
from .header import Header
from .section import Thinking
from .state import TurnState
from .units import FOUND_IN_TEXT, Unit


def read_again(turn: TurnState, unit: Unit) -> None:
    if unit.symbol in FOUND_IN_TEXT:
        turn.read_text(unit.text, unit.at)
    else:
        turn.read_symbol(unit)


def keep_as_text(turn: TurnState, unit: Unit) -> None:
    if unit.text:
        turn.read_text(unit.text, unit.at)


# Doubts in an open string.


def hold(turn: TurnState, unit: Unit) -> None:
    if not turn.held:
        turn.held_before = turn.before
    turn.held.append(unit)


def confirm(turn: TurnState, unit: Unit) -> None:
    _read_held(turn, [held._replace(certain=True) for held in turn.held], unit)


def release(turn: TurnState, unit: Unit) -> None:
    first, *others = turn.held
    units = [first._replace(symbol=None), *(held._replace(settled=True) for held in others)]
    _read_held(turn, units, unit)


def _read_held(turn: TurnState, units: list[Unit], unit: Unit) -> None:
    turn.held = []
    turn.state = turn.held_before
    if unit.symbol in FOUND_IN_TEXT:
        unit = unit._replace(symbol=None)
    turn.again += reversed([*units, unit])


# Doubts about an end of turn.


def hold_turn(turn: TurnState, unit: Unit) -> None:
    if not turn.ending.parts:
        turn.ending_before = turn.before
    turn.ending.add(unit.text, unit.at)


def confirm_turn(turn: TurnState, unit: Unit) -> None:
    if turn.state is State.TURN_ENDING:
        turn.state = turn.ending_before
    turn.ending.clear()
    turn.read_symbol(Unit(Symbol.TURN_DONE, "", unit.at))


def release_turn(turn: TurnState, _unit: Unit) -> None:
    turn.state = turn.ending_before
    turn.read_text(turn.ending.take(), turn.ending.at)


# Reasoning and sections.


def open_reasoning(turn: TurnState, _unit: Unit) -> None:
    turn.prose.thinking = Thinking.OPEN


def close_reasoning(turn: TurnState, _unit: Unit) -> None:
    turn.prose.thinking = Thinking.CLOSED


def report_think_marker(turn: TurnState, unit: Unit) -> None:
    turn.record.problem(codes.THINK_MARKER_STRAY, unit.at, unit.text)


def begin_section(turn: TurnState, unit: Unit) -> None:
    if turn.hands_back and turn.prose.thinking is Thinking.OPEN:
        # A forced form follows: for its reader the marker ends the reasoning.
        turn.state = State.OUTSIDE
        turn.taken_back.append(unit)
    else:
        turn.prose.enter_section(marked=True)


def end_section(turn: TurnState, _unit: Unit) -> None:
    turn.prose.end_section()


# Headers.


def begin_header(turn: TurnState, unit: Unit) -> None:
    turn.header = turn.doubt = Header(unit, turn.before)


def take_back(turn: TurnState, _unit: Unit) -> None:
    header = turn.header
    turn.record.problem(codes.CALL_BEGIN_QUOTED, header.begin.at, header.begin.text)
    turn.state = header.before
    turn.doubt = None
    turn.held = []
    turn.again.clear()
    turn.ending.clear()
    turn.taken_back += reversed(header.units)


def _accept(turn: TurnState) -> None:
    """The call begin was none that the model only wrote about."""
    header = turn.doubt
    if header is None:
        return
    turn.doubt = None
    if header.before is State.OUTSIDE:
        turn.record.problem(codes.SECTION_BEGIN_MISSING, header.begin.at, header.begin.text)
        turn.prose.enter_section(marked=False)
    for marker in header.problems:
        repeat_argument_marker(turn, marker)


def drop_header(turn: TurnState, _unit: Unit) -> None:
    _accept(turn)
    turn.record.problem(codes.CALL_HEADER_BROKEN, turn.header.at, turn.header.text)


def cut_header(turn: TurnState, unit: Unit) -> None:
    _accept(turn)
    turn.ending.clear()
    if not turn.calls.exhausted:
        turn.prose.begin_call()
        if unit.symbol is Symbol.END_OF_TEXT and turn.before is not State.HEADER_ENDING:
            turn.record.is_cut = True
    turn.record.problem(codes.CALL_HEADER_CUT, turn.header.at, turn.header.text)


def end_header(turn: TurnState, unit: Unit) -> None:
    parsed_id = turn.header.parsed_id(turn.tools)
    name = parsed_id and parsed_id.name
    if name is None or name not in turn.tools or turn.tools.parameters[name].required:
        drop_header(turn, unit)
        return
    turn.record.problem(codes.CALL_ARGUMENTS_MISSING, turn.header.id_at, turn.header.raw_id)
    begin_arguments(turn, unit)
    turn.calls.fill_blank()
    end_call(turn, unit)


def begin_object(turn: TurnState, unit: Unit) -> None:
    turn.calls.current = Call("", unit.at, None, unit.at)


def call_of_object(turn: TurnState, _unit: Unit) -> None:
    text, at, found = turn.call.arguments.text, turn.call.at, turn.object
    if found is None:
        raise AssertionError("CALL_OBJECT is found with its tool only")
    _accept(turn)
    if not turn.calls.exhausted:
        turn.prose.begin_call()
        turn.prose.section.has_calls = True
    turn.record.problem(codes.CALL_HEADER_OBJECT, at, text)
    call = turn.calls.begin_unnumbered(found.name, at, text)
    call.is_filled = True  # a problem holds its arguments already
    turn.calls.write(found.arguments)
    turn.calls.end(by_end_of_text=False)


# Calls.


def miss_call_begin(turn: TurnState, unit: Unit) -> None:
    latest = turn.prose.section.latest
    header = turn.header = Header(Unit(Symbol.CALL_BEGIN, "", unit.at), State.BETWEEN)
    header.add(latest.take(), latest.at)
    turn.record.problem(codes.CALL_BEGIN_MISSING, header.id_at, header.raw_id)


def miss_argument_marker(turn: TurnState, _unit: Unit) -> None:
    header = turn.header
    turn.record.problem(codes.ARGUMENT_MARKER_MISSING, header.id_at, header.raw_id)


def begin_arguments(turn: TurnState, unit: Unit) -> None:
    header = turn.header
    parsed_id = header.parsed_id(turn.tools)
    if parsed_id is not None:
        _accept(turn)
        if not turn.calls.exhausted:
            turn.prose.begin_call()
    call = turn.calls.begin(header.raw_id, header.id_at, parsed_id, unit.at + len(unit.text))
    _note_call(turn, call)


def _note_call(turn: TurnState, call: Call) -> None:
    if call.index is not None:
        turn.prose.section.has_calls = True


def repeat_argument_marker(turn: TurnState, unit: Unit) -> None:
    if turn.doubt is None:
        turn.record.problem(codes.ARGUMENT_MARKER_REPEATED, unit.at, unit.text)
    else:
        turn.doubt.problems.append(unit)


def miss_call_end(turn: TurnState, unit: Unit) -> None:
    turn.record.problem(codes.CALL_END_MISSING, unit.at, unit.text)


def fill_blank(turn: TurnState, unit: Unit) -> None:
    if turn.call.arguments.blank:
        turn.call.arguments_at = unit.at
        turn.calls.fill_blank()


def end_call(turn: TurnState, _unit: Unit) -> None:
    _accept(turn)
    turn.calls.end(by_end_of_text=False)
    _note_call(turn, turn.call)


def cut_call(turn: TurnState, _unit: Unit) -> None:
    _accept(turn)
    turn.calls.end(by_end_of_text=True)
    _note_call(turn, turn.call)


def note_native_call(turn: TurnState, _unit: Unit) -> None:
    turn.prose.note_native_call()


def leave_header(turn: TurnState, _unit: Unit) -> None:
    """The header belongs to a native call: its text is noise."""
    header = turn.header
    _leave_doubt(turn)
    turn.record.problem(codes.SERVER_MARKERS_LEFT, header.begin.at, header.begin.text + header.text)


def leave_call(turn: TurnState, _unit: Unit) -> None:
    """The call, which has no arguments yet, is a native one."""
    _leave_doubt(turn)
    turn.calls.leave()


def _leave_doubt(turn: TurnState) -> None:
    header, turn.doubt = turn.doubt, None
    if header is not None and header.before is State.OUTSIDE:
        turn.prose.enter_section(marked=False)
    turn.prose.begin_call()


def end_message(turn: TurnState, _unit: Unit) -> None:
    turn.prose.end_message()
