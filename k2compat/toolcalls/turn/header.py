"""A call's header: what follows `<|tool_call_begin|>`, before its arguments."""

import re
from typing import Final, NamedTuple

from ..ids import CallId, is_canonical, read_id
from ..machine import State
from ..markers import WHITE_SPACE, Symbol
from ..tools import DeclaredTools
from .units import Unit

# What no id can hold, and the brace that may begin the arguments.
_STOP: Final = re.compile(r"[\x00-\x20\x7f-\x9f{]|<\|")
# What the end of the output may have left of an id.
_CUT_SHORT: Final = re.compile(r"functions.*|[A-Za-z0-9_.:-]*", re.DOTALL)


class Found(NamedTuple):
    """What a piece of the header shows, and the offset in that piece."""

    symbol: Symbol
    offset: int


class Header:
    """The header of one call, and all units since its call begin.

    The units are kept until the call is certain. If it is none, they are read
    again as if the call begin were not there (docs/format.md, row 2).

    Attributes:
        begin: the call begin.
        before: the state in which it was read.
        units: all that arrived after it, as long as the call is in doubt.
        problems: what is to be reported as soon as the call is certain.
        at: the place of the header's first character.
    """

    __slots__ = (
        "_angle",
        "_begun",
        "_brace",
        "_cut",
        "_parsed",
        "_parts",
        "_space",
        "at",
        "before",
        "begin",
        "problems",
        "units",
    )

    def __init__(self, begin: Unit, before: State) -> None:
        self.begin = begin
        self.before = before
        self.units: list[Unit] = []
        self.problems: list[Unit] = []
        self.at = begin.at + len(begin.text)
        self._parts: list[str] = []
        self._begun = False
        self._space = False
        self._brace = False
        self._angle = False
        self._cut = ""
        self._parsed: tuple[str, CallId | None] | None = None

    @property
    def text(self) -> str:
        """The header as written, white space and a cut marker included."""
        return "".join(self._parts) + self._cut

    @property
    def raw_id(self) -> str:
        """The header without white space around it, and without a cut marker."""
        return self._parsed[0] if self._parsed else "".join(self._parts).strip(WHITE_SPACE)

    @property
    def id_at(self) -> int:
        """The place of the header's first character that is no white space."""
        text = self.text
        return self.at + len(text) - len(text.lstrip(WHITE_SPACE))

    def add(self, text: str, at: int) -> None:
        """Keep a piece of the header."""
        if not self._parts:
            self.at = at
        self._parts.append(text)
        self._parsed = None

    def add_cut_marker(self, text: str, at: int) -> None:
        """Keep the beginning of a marker, which the end of the output cut."""
        if not self._parts:
            self.at = at
        self._cut = text

    def find(self, text: str) -> Found | None:
        """Look for the first character of the next piece that no id can hold.

        Args:
            text: the next piece; it is not kept.

        Returns:
            NO_ID, OBJECT_BEGIN or ARGUMENT_OBJECT with their place, or None.
        """
        if not self._begun:
            rest = text.lstrip(WHITE_SPACE)
            self._begun = bool(rest)
            if rest.startswith("{"):
                return Found(Symbol.OBJECT_BEGIN, len(text) - len(rest))
            return self._stop(text, len(text) - len(rest))
        if self._space:
            return self._behind_space(text, 0)
        if self._angle and text.startswith("|"):
            return Found(Symbol.NO_ID, 0)
        return self._stop(text, 0)

    def _stop(self, text: str, at: int) -> Found | None:
        while match := _STOP.search(text, at):
            if match[0] in WHITE_SPACE:
                return self._behind_space(text, match.start())
            if match[0] != "{":
                return Found(Symbol.NO_ID, match.start())
            # Only a NAME without `{` can be separated from its arguments.
            if not self._brace and is_canonical(self._id_before(text, match.start())):
                return Found(Symbol.ARGUMENT_OBJECT, match.start())
            self._brace = True
            at = match.end()
        self._angle = text.endswith("<")
        return None

    def _behind_space(self, text: str, at: int) -> Found | None:
        rest = text[at:].lstrip(WHITE_SPACE)
        if not rest:
            self._space = True
            return None
        place = len(text) - len(rest)
        if rest[0] == "{" and not self._brace and is_canonical(self._id_before(text, place)):
            return Found(Symbol.ARGUMENT_OBJECT, place)
        return Found(Symbol.NO_ID, place)

    def _id_before(self, text: str, at: int) -> str:
        return (self.text + text[:at]).strip(WHITE_SPACE)

    def parsed_id(self, tools: DeclaredTools) -> CallId | None:
        """Read the header as an id.

        Args:
            tools: the declared tools.

        Returns:
            The id's parts, or None if it is no id.
        """
        if self._parsed is None:
            raw_id = self.raw_id
            self._parsed = raw_id, read_id(raw_id, tools)
        return self._parsed[1]

    def row(self, tools: DeclaredTools) -> State:
        """The row of the state table that counts for a marker after this header."""
        if self.parsed_id(tools) is not None:
            return State.ID_HEADER
        return State.SHORT_HEADER if _CUT_SHORT.fullmatch(self.raw_id) else State.HEADER
