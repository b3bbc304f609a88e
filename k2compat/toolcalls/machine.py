"""The parser's state machine, as data.

The theory
----------

The text is cut into markers and what lies between them. What lies between
markers never changes the state (with one exception, named below); a marker
and the end of the text do, and `TABLE` says how: for a state and a symbol,
what to do and where to go. A marker not listed for a state is treated as the
state's `otherwise` says. So every state has an answer to everything, which is
why nothing a model writes can raise.

The states follow the format:

- OUTSIDE any section; text is content (after a section with calls: a problem).
- BETWEEN calls, inside a section.
- HEADER: behind `<|tool_call_begin|>`, where the id stands. It is read whole.
- ARGUMENTS: behind the argument marker.
- TURN_OVER: behind an end of turn. Whatever comes is reported, not read.
- FINISHED: behind the end of the text.

Inside an open JSON string of the arguments a marker is text, because models
write about this very format. Whether a string is open is asked only when a
marker arrives: if so, the row of IN_STRING counts in place of ARGUMENTS. Two
markers leave a doubt there, since a model may also have forgotten the closing
quote. They are held until what follows decides:

- CALL_END_HELD: `<|tool_call_end|>` was read. A call begin or an end of turn
  or of text shows that it was real.
- SECTION_END_HELD: a section end came behind it. The end of turn or of text
  or another section shows that both were real.
- TURN_END_HELD: an end of turn was read. Only the end of text confirms it.

Anything else shows that the first held marker was text. White space waits with
what is held. Once the doubt is over, all that was held is read again, beginning
in ARGUMENTS: CONFIRM reads its markers as markers, RELEASE takes the first for
text and looks the others up, since white space may have broken the string in
between. Then the symbol that decided is looked up where that has led. A marker
known by its token id leaves no doubt and is looked up in ARGUMENTS at once.

The exception: a section that never had a begin marker ends at the first text
behind a call. There text leads from BETWEEN to OUTSIDE.

Reasoning is not in the table, for it is independent of it: closed, open, or
interrupted by a section. OPEN_REASONING and CLOSE_REASONING switch it, calls
interrupt it, and the end of the section resumes it. While it is open, text
OUTSIDE and BETWEEN is reasoning.
"""

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import Final, NamedTuple

from .markers import Symbol


class State(IntEnum):
    """Where in the format the parser is."""

    OUTSIDE = auto()
    BETWEEN = auto()
    HEADER = auto()
    ARGUMENTS = auto()
    IN_STRING = auto()
    CALL_END_HELD = auto()
    SECTION_END_HELD = auto()
    TURN_END_HELD = auto()
    TURN_OVER = auto()
    FINISHED = auto()


class Action(IntEnum):
    """What is done on the way."""

    BEGIN_SECTION = auto()
    BEGIN_UNMARKED_SECTION = auto()
    END_SECTION = auto()
    BEGIN_HEADER = auto()
    DROP_HEADER = auto()
    CUT_HEADER = auto()
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
    OPEN_REASONING = auto()
    CLOSE_REASONING = auto()


class Step(NamedTuple):
    """What a symbol makes the parser do: the next state, and the actions on the way."""

    next: State
    actions: tuple[Action, ...] = ()


class Row(NamedTuple):
    """One state's answers to all symbols."""

    steps: Mapping[Symbol, Step]
    otherwise: Step


TABLE: Final[Mapping[State, Row]] = {
    State.OUTSIDE: Row(
        {
            Symbol.SECTION_BEGIN: Step(State.BETWEEN, (Action.BEGIN_SECTION,)),
            Symbol.CALL_BEGIN: Step(
                State.HEADER, (Action.BEGIN_UNMARKED_SECTION, Action.BEGIN_HEADER)
            ),
            Symbol.END_OF_TURN: Step(State.TURN_OVER),
            Symbol.THINK_BEGIN: Step(State.OUTSIDE, (Action.OPEN_REASONING,)),
            Symbol.THINK_END: Step(State.OUTSIDE, (Action.CLOSE_REASONING,)),
            Symbol.END_OF_TEXT: Step(State.FINISHED),
        },
        otherwise=Step(State.OUTSIDE),
    ),
    State.BETWEEN: Row(
        {
            Symbol.SECTION_BEGIN: Step(State.BETWEEN, (Action.END_SECTION, Action.BEGIN_SECTION)),
            Symbol.SECTION_END: Step(State.OUTSIDE, (Action.END_SECTION,)),
            Symbol.CALL_BEGIN: Step(State.HEADER, (Action.BEGIN_HEADER,)),
            Symbol.END_OF_TURN: Step(State.TURN_OVER),
            Symbol.THINK_BEGIN: Step(State.BETWEEN, (Action.OPEN_REASONING,)),
            Symbol.THINK_END: Step(State.BETWEEN, (Action.CLOSE_REASONING,)),
            Symbol.END_OF_TEXT: Step(State.FINISHED),
        },
        otherwise=Step(State.BETWEEN),
    ),
    State.HEADER: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.BEGIN_ARGUMENTS,)),
            Symbol.ARGUMENT_END: Step(State.HEADER),
            Symbol.CALL_END: Step(State.BETWEEN, (Action.DROP_HEADER,)),
            Symbol.CALL_BEGIN: Step(State.HEADER, (Action.DROP_HEADER, Action.BEGIN_HEADER)),
            Symbol.SECTION_BEGIN: Step(
                State.BETWEEN, (Action.DROP_HEADER, Action.END_SECTION, Action.BEGIN_SECTION)
            ),
            Symbol.SECTION_END: Step(State.OUTSIDE, (Action.DROP_HEADER, Action.END_SECTION)),
            Symbol.END_OF_TURN: Step(State.TURN_OVER, (Action.DROP_HEADER,)),
            Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.CUT_HEADER,)),
        },
        otherwise=Step(State.HEADER, (Action.KEEP_AS_TEXT,)),
    ),
    State.ARGUMENTS: Row(
        {
            Symbol.ARGUMENT_BEGIN: Step(State.ARGUMENTS, (Action.REPEAT_ARGUMENT_MARKER,)),
            Symbol.ARGUMENT_END: Step(State.ARGUMENTS),
            Symbol.CALL_END: Step(State.BETWEEN, (Action.FILL_BLANK, Action.END_CALL)),
            Symbol.CALL_BEGIN: Step(
                State.HEADER, (Action.MISS_CALL_END, Action.END_CALL, Action.BEGIN_HEADER)
            ),
            Symbol.SECTION_BEGIN: Step(
                State.BETWEEN,
                (
                    Action.MISS_CALL_END,
                    Action.END_CALL,
                    Action.END_SECTION,
                    Action.BEGIN_SECTION,
                ),
            ),
            Symbol.SECTION_END: Step(
                State.OUTSIDE,
                (Action.MISS_CALL_END, Action.FILL_BLANK, Action.END_CALL, Action.END_SECTION),
            ),
            Symbol.END_OF_TURN: Step(State.TURN_OVER, (Action.MISS_CALL_END, Action.END_CALL)),
            Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.CUT_CALL,)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.KEEP_AS_TEXT,)),
    ),
    State.IN_STRING: Row(
        {
            Symbol.CALL_END: Step(State.CALL_END_HELD, (Action.HOLD,)),
            Symbol.END_OF_TURN: Step(State.TURN_END_HELD, (Action.HOLD,)),
            Symbol.END_OF_TEXT: Step(State.FINISHED, (Action.CUT_CALL,)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.KEEP_AS_TEXT,)),
    ),
    State.CALL_END_HELD: Row(
        {
            Symbol.CALL_BEGIN: Step(State.ARGUMENTS, (Action.CONFIRM,)),
            Symbol.SECTION_END: Step(State.SECTION_END_HELD, (Action.HOLD,)),
            Symbol.END_OF_TURN: Step(State.ARGUMENTS, (Action.CONFIRM,)),
            Symbol.END_OF_TEXT: Step(State.ARGUMENTS, (Action.CONFIRM,)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.RELEASE,)),
    ),
    State.SECTION_END_HELD: Row(
        {
            Symbol.SECTION_BEGIN: Step(State.ARGUMENTS, (Action.CONFIRM,)),
            Symbol.END_OF_TURN: Step(State.ARGUMENTS, (Action.CONFIRM,)),
            Symbol.END_OF_TEXT: Step(State.ARGUMENTS, (Action.CONFIRM,)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.RELEASE,)),
    ),
    State.TURN_END_HELD: Row(
        {
            Symbol.END_OF_TEXT: Step(State.ARGUMENTS, (Action.CONFIRM,)),
        },
        otherwise=Step(State.ARGUMENTS, (Action.RELEASE,)),
    ),
    State.TURN_OVER: Row(
        {
            Symbol.END_OF_TURN: Step(State.TURN_OVER),
            Symbol.END_OF_TEXT: Step(State.FINISHED),
        },
        otherwise=Step(State.TURN_OVER, (Action.KEEP_AS_TEXT,)),
    ),
    State.FINISHED: Row({}, otherwise=Step(State.FINISHED)),
}
