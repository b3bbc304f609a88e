"""The state of one assistant turn while it is read."""

from typing import Final

from ..events import Content, Reasoning
from ..machine import State
from ..markers import Symbol
from ..record import Call, Record
from ..tools import DeclaredTools
from .calls import Calls, ObjectCall
from .content import ContentWriter
from .header import Header
from .prose import Prose
from .section import Thinking
from .units import Passage, Unit

# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_ARGUMENTS: Final = State.ARGUMENTS
_OUTSIDE: Final = State.OUTSIDE

# Before the first header. Parsers share it: none writes to it.
_NO_HEADER: Final = Header(Unit(Symbol.CALL_BEGIN, "", 0), State.OUTSIDE)


class TurnState:
    """Where in the format a turn is, what was read, and what waits.

    Attributes:
        state: the state of the machine.
        before: the state in which the current symbol was looked up.
        tools: the declared tools.
        record: what was read.
        calls: what announces and ends the calls.
        prose: what takes the text outside of calls.
        hands_back: whether another reader takes what is to be read again outside of calls.
        header: the last header.
        doubt: the header, as long as its call is in doubt.
        object: the call that a header's object is.
        held: markers in an open string, and white space after them.
        held_before: the state in which the first of them was read.
        ending: ends of turn, and white space after them.
        ending_before: the state in which the first of them was read.
        role: the beginning of a role marker after these.
        taken_back: units of a call begin that was taken back, to be read again. A stack:
            the last unit is read next.
        again: units that were held in a string, to be read again before `taken_back`.
            Likewise a stack. They are kept in `doubt` already.
    """

    __slots__ = (
        "again",
        "before",
        "calls",
        "doubt",
        "ending",
        "ending_before",
        "hands_back",
        "header",
        "held",
        "held_before",
        "object",
        "prose",
        "record",
        "role",
        "state",
        "taken_back",
        "tools",
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
        self.state = _OUTSIDE
        self.record = Record()
        self.calls = Calls(self.record, tools, first_index, max_calls)
        self.hands_back = False
        self.tools = tools
        self.before = _OUTSIDE
        self.header = _NO_HEADER
        self.doubt: Header | None = None
        self.prose = Prose(
            self.record,
            ContentWriter(self.record, tools, self.calls, recover=recover_stripped),
            thinking,
            keep_text_after_calls=keep_text_after_calls,
        )
        self.object: ObjectCall | None = None
        self.held: list[Unit] = []
        self.held_before = _ARGUMENTS
        self.ending = Passage()
        self.ending_before = _OUTSIDE
        self.role = Passage()
        self.taken_back: list[Unit] = []
        self.again: list[Unit] = []

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

    @property
    def prose_kind(self) -> type[Content] | type[Reasoning] | None:
        """The kind of text without a marker, if it passes through unchanged."""
        if self.state is _OUTSIDE and self.doubt is None:
            return self.prose.kind
        return None

    def read_text(self, text: str, at: int, *, cut: bool = False) -> None:
        """Read text that is no marker, by the state."""

    def read_symbol(self, unit: Unit) -> None:
        """Read a marker, the end of the text, or what text shows, by the table."""
