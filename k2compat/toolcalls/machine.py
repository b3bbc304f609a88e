"""The parser's state machine, as data.

The theory
----------

The text is cut into markers and what lies between them. A marker, the end of
the text, and a few things that text shows are symbols. `TABLE` gives for a
state and a symbol the next state and the actions on the way. A symbol that a
state does not list is treated by the state's `otherwise`. So every state
has an answer to everything, which is why nothing a model writes can raise.

The states follow the format:

- OUTSIDE any section; text is content (after a section with calls: a problem).
- BETWEEN calls, inside a section.
- HEADER: after `<|tool_call_begin|>`, where the id is. It is read whole.
- OBJECT_HEADER: the header begins with `{`, and is read as one JSON object.
- ARGUMENTS: after the argument marker.
- TURN_OVER: after an end of turn. AFTER_TURN: text follows it, and is reported.
- FINISHED: after the end of the text.

Some rows count in place of a state's own row. Which one counts is asked only
when a marker arrives:

- ID_HEADER for HEADER, if the header is an id. SHORT_HEADER, if it may be the
  beginning of one.
- ID_BETWEEN for BETWEEN, if an argument marker follows an id there.
- IN_STRING for ARGUMENTS and OBJECT_HEADER inside an open JSON string. A marker
  is text there, because models write about this very format.

A doubt holds what arrives until a later symbol decides. BEFORE is no state but
the name of the state in which the doubt arose.

- A call begin opens a doubt: the model may only write about the marker. The
  doubt lasts through HEADER and OBJECT_HEADER, and through ARGUMENTS if the
  header is no id. TAKE_BACK reads all that followed the call begin again, as
  if the call begin were not there. An id and its argument marker end the doubt.
- TURN_ENDING holds an end of turn. Only the end of the text or a role marker
  after it confirms it. HEADER_ENDING is the same after a header.
- In an open string the model may have forgotten the closing quote.
  CALL_END_HELD holds `<|tool_call_end|>`, SECTION_END_HELD a section end after
  it, TURN_END_HELD ends of turn after these or alone. CONFIRM reads all that
  was held as markers. RELEASE takes the first marker for text and looks the
  others up, since white space may have broken the string in between.

A marker known by its token id leaves no doubt: no string hides it, and an end
of turn is TURN_DONE at once. NATIVE_CALL is a call that the server took out of
the text: the turn goes on, as at any other marker. If the text ends in a header
before it, with or without its argument marker, that header is the call's own:
LEAVE_HEADER and LEAVE_CALL make no call of it. READ_AGAIN looks the symbol
up in the next state.

Reasoning is not in the table, for it is independent of it: closed, open, or
interrupted by a section. A thinking marker that changes nothing is looked up
as THINK_STRAY. While reasoning is open, text OUTSIDE is reasoning.
"""

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import Final, NamedTuple

from .markers import Symbol


class State(IntEnum):
    """Where in the format the parser is."""

    OUTSIDE = auto()
    BETWEEN = auto()
    ID_BETWEEN = auto()
    HEADER = auto()
    ID_HEADER = auto()
    SHORT_HEADER = auto()
    OBJECT_HEADER = auto()
    ARGUMENTS = auto()
    IN_STRING = auto()
    CALL_END_HELD = auto()
    SECTION_END_HELD = auto()
    TURN_END_HELD = auto()
    TURN_ENDING = auto()
    HEADER_ENDING = auto()
    TURN_OVER = auto()
    AFTER_TURN = auto()
    FINISHED = auto()
    BEFORE = auto()


class Action(IntEnum):
    """What is done on the way."""

    BEGIN_SECTION = auto()
    END_SECTION = auto()
    BEGIN_HEADER = auto()
    TAKE_BACK = auto()
    DROP_HEADER = auto()
    CUT_HEADER = auto()
    END_HEADER = auto()
    BEGIN_OBJECT = auto()
    CALL_OF_OBJECT = auto()
    MISS_CALL_BEGIN = auto()
    MISS_ARGUMENT_MARKER = auto()
    BEGIN_ARGUMENTS = auto()
    REPEAT_ARGUMENT_MARKER = auto()
    MISS_CALL_END = auto()
    FILL_BLANK = auto()
    END_CALL = auto()
    CUT_CALL = auto()
    KEEP_AS_TEXT = auto()
    HOLD = auto()
    CONFIRM = auto()
    RELEASE = auto()
    HOLD_TURN = auto()
    CONFIRM_TURN = auto()
    RELEASE_TURN = auto()
    OPEN_REASONING = auto()
    CLOSE_REASONING = auto()
    REPORT_THINK_MARKER = auto()
    NOTE_NATIVE_CALL = auto()
    LEAVE_HEADER = auto()
    LEAVE_CALL = auto()
    END_MESSAGE = auto()
    READ_AGAIN = auto()


class Step(NamedTuple):
    """What a symbol makes the parser do: the next state, and the actions on the way."""

    next: State
    actions: tuple[Action, ...] = ()


class Row(NamedTuple):
    """One state's answers to all symbols."""

    steps: Mapping[Symbol, Step]
    otherwise: Step


_TAKEN_BACK: Final = Step(State.BEFORE, (Action.TAKE_BACK,))
_HEADER_CUT: Final = Step(State.BETWEEN, (Action.CUT_HEADER, Action.READ_AGAIN))
_HEADER_LEFT: Final = Step(State.BETWEEN, (Action.LEAVE_HEADER,))
_SECTION_OVER: Final = Step(State.OUTSIDE, (Action.END_SECTION, Action.READ_AGAIN))
_CALL_END_MISSING: Final = Step(
    State.BETWEEN, (Action.MISS_CALL_END, Action.END_CALL, Action.READ_AGAIN)
)
_CONFIRMED: Final = Step(State.BEFORE, (Action.CONFIRM,))
_RELEASED: Final = Step(State.BEFORE, (Action.RELEASE,))
_TURN_CONFIRMED: Final = Step(State.BEFORE, (Action.CONFIRM_TURN, Action.READ_AGAIN))

TABLE: Final[Mapping[State, Row]] = {
    State.OUTSIDE: Row(
        {
            Symbol.SECTION_BEGIN: Step(State.BETWEEN, (Action.BEGIN_SECTION,)),
            Symbol.CALL_BEGIN: Step(State.HEADER, (Action.BEGIN_HEADER,)),
            Symbol.END_OF_TURN: Step(State.TURN_ENDING, (Action.HOLD_TURN,)),
            Symbol.TURN_DONE: Step(State.TURN_OVER),
            Symbol.THINK_BEGIN: Step(State.OUTSIDE, (Action.OPEN_REASONING,)),
            Symbol.THINK_END: Step(State.OUTSIDE, (Action.CLOSE_REASONING,)),
            Symbol.THINK_STRAY: Step(State.OUTSIDE, (Action.REPORT_THINK_MARKER,)),
            Symbol.NATIVE_CALL: Step(State.OUTSIDE, (Action.NOTE_NATIVE_CALL,)),
            Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.END_MESSAGE,)),
        },
        otherwise=Step(State.OUTSIDE),
    ),
    State.BETWEEN: Row(
        {
            Symbol.SECTION_BEGIN: _SECTION_OVER,
            Symbol.SECTION_END: Step(State.OUTSIDE, (Action.END_SECTION,)),
            Symbol.CALL_BEGIN: Step(State.HEADER, (Action.BEGIN_HEADER,)),
            Symbol.END_OF_TURN: Step(State.TURN_ENDING, (Action.HOLD_TURN,)),
            Symbol.TURN_DONE: _SECTION_OVER,
            Symbol.THINK_BEGIN: _SECTION_OVER,
            Symbol.THINK_END: _SECTION_OVER,
            Symbol.THINK_STRAY: Step(State.BETWEEN, (Action.REPORT_THINK_MARKER,)),
            Symbol.TEXT: _SECTION_OVER,
            Symbol.END_OF_TEXT: _SECTION_OVER,
        },
        otherwise=Step(State.BETWEEN),
    ),
    State.ID_BETWEEN: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(
                State.ARGUMENTS, (Action.MISS_CALL_BEGIN, Action.BEGIN_ARGUMENTS)
            ),
        },
        otherwise=Step(State.BETWEEN),
    ),
    State.HEADER: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.BEGIN_ARGUMENTS,)),
            Symbol.ARGUMENT_END: Step(State.HEADER),
            Symbol.OBJECT_BEGIN: Step(State.OBJECT_HEADER, (Action.BEGIN_OBJECT,)),
            Symbol.ARGUMENT_OBJECT: Step(
                State.ARGUMENTS, (Action.MISS_ARGUMENT_MARKER, Action.BEGIN_ARGUMENTS)
            ),
        },
        otherwise=_TAKEN_BACK,
    ),
    State.ID_HEADER: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.BEGIN_ARGUMENTS,)),
            Symbol.ARGUMENT_END: Step(State.HEADER),
            Symbol.CALL_END: Step(State.BETWEEN, (Action.END_HEADER,)),
            Symbol.END_OF_TURN: Step(State.HEADER_ENDING),
            Symbol.TURN_DONE: _HEADER_CUT,
            Symbol.NATIVE_CALL: _HEADER_LEFT,
            Symbol.END_OF_TEXT: _HEADER_CUT,
        },
        otherwise=Step(State.BETWEEN, (Action.DROP_HEADER, Action.READ_AGAIN)),
    ),
    State.SHORT_HEADER: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.BEGIN_ARGUMENTS,)),
            Symbol.ARGUMENT_END: Step(State.HEADER),
            Symbol.END_OF_TURN: Step(State.HEADER_ENDING),
            Symbol.TURN_DONE: _HEADER_CUT,
            Symbol.NATIVE_CALL: _HEADER_LEFT,
            Symbol.END_OF_TEXT: _HEADER_CUT,
        },
        otherwise=_TAKEN_BACK,
    ),
    State.OBJECT_HEADER: Row(
        {
            Symbol.ARGUMENT_END: Step(State.OBJECT_HEADER),
            Symbol.CALL_OBJECT: Step(State.BETWEEN, (Action.CALL_OF_OBJECT,)),
            Symbol.END_OF_TEXT: _HEADER_CUT,
        },
        otherwise=_TAKEN_BACK,
    ),
    State.ARGUMENTS: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.REPEAT_ARGUMENT_MARKER,)),
            Symbol.ARGUMENT_END: Step(State.ARGUMENTS),
            Symbol.CALL_END: Step(State.BETWEEN, (Action.FILL_BLANK, Action.END_CALL)),
            Symbol.CALL_BEGIN: _CALL_END_MISSING,
            Symbol.SECTION_BEGIN: _CALL_END_MISSING,
            Symbol.SECTION_END: Step(
                State.BETWEEN,
                (Action.MISS_CALL_END, Action.FILL_BLANK, Action.END_CALL, Action.READ_AGAIN),
            ),
            Symbol.END_OF_TURN: _CALL_END_MISSING,
            Symbol.TURN_DONE: _CALL_END_MISSING,
            Symbol.NO_OBJECT: _TAKEN_BACK,
            Symbol.NATIVE_CALL: Step(State.BETWEEN, (Action.LEAVE_CALL,)),
            Symbol.END_OF_TEXT: Step(State.BETWEEN, (Action.CUT_CALL, Action.READ_AGAIN)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.KEEP_AS_TEXT,)),
    ),
    State.IN_STRING: Row(
        {
            Symbol.CALL_END: Step(State.CALL_END_HELD, (Action.HOLD,)),
            Symbol.END_OF_TURN: Step(State.TURN_END_HELD, (Action.HOLD,)),
        },
        otherwise=Step(State.BEFORE, (Action.KEEP_AS_TEXT,)),
    ),
    State.CALL_END_HELD: Row(
        {
            Symbol.CALL_BEGIN: _CONFIRMED,
            Symbol.SECTION_END: Step(State.SECTION_END_HELD, (Action.HOLD,)),
            Symbol.END_OF_TURN: Step(State.TURN_END_HELD, (Action.HOLD,)),
            Symbol.TURN_DONE: _CONFIRMED,
            Symbol.END_OF_TEXT: _CONFIRMED,
        },
        otherwise=_RELEASED,
    ),
    State.SECTION_END_HELD: Row(
        {
            Symbol.SECTION_BEGIN: _CONFIRMED,
            Symbol.END_OF_TURN: Step(State.TURN_END_HELD, (Action.HOLD,)),
            Symbol.TURN_DONE: _CONFIRMED,
            Symbol.END_OF_TEXT: _CONFIRMED,
        },
        otherwise=_RELEASED,
    ),
    State.TURN_END_HELD: Row(
        {
            Symbol.END_OF_TURN: Step(State.TURN_END_HELD, (Action.HOLD,)),
            Symbol.TURN_DONE: _CONFIRMED,
            Symbol.END_OF_TEXT: _CONFIRMED,
        },
        otherwise=_RELEASED,
    ),
    State.TURN_ENDING: Row(
        {
            Symbol.END_OF_TURN: Step(State.TURN_ENDING, (Action.HOLD_TURN,)),
            Symbol.TURN_DONE: _TURN_CONFIRMED,
            Symbol.ROLE_MARKER: _TURN_CONFIRMED,
            Symbol.END_OF_TEXT: _TURN_CONFIRMED,
        },
        otherwise=Step(State.BEFORE, (Action.RELEASE_TURN, Action.READ_AGAIN)),
    ),
    State.HEADER_ENDING: Row(
        {
            Symbol.END_OF_TURN: Step(State.HEADER_ENDING),
            Symbol.TURN_DONE: _HEADER_CUT,
            Symbol.ROLE_MARKER: Step(
                State.BETWEEN, (Action.CUT_HEADER, Action.CONFIRM_TURN, Action.READ_AGAIN)
            ),
            Symbol.END_OF_TEXT: Step(
                State.BETWEEN, (Action.CUT_HEADER, Action.CONFIRM_TURN, Action.READ_AGAIN)
            ),
        },
        otherwise=_TAKEN_BACK,
    ),
    State.TURN_OVER: Row(
        {
            Symbol.END_OF_TURN: Step(State.TURN_OVER),
            Symbol.TURN_DONE: Step(State.TURN_OVER),
            Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.END_MESSAGE,)),
        },
        otherwise=Step(State.AFTER_TURN, (Action.KEEP_AS_TEXT,)),
    ),
    State.AFTER_TURN: Row(
        {Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.END_MESSAGE,))},
        otherwise=Step(State.AFTER_TURN, (Action.KEEP_AS_TEXT,)),
    ),
    State.FINISHED: Row({}, otherwise=Step(State.FINISHED)),
}
