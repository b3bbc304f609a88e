"""Finds calls at the end of the content whose markers the engine dropped.

Without its markers a call reads `functions.NAME:IDX{"a": "JSON object"}`. Such
calls count only if nothing but white space follows the last of them.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum, auto
from typing import Final, NamedTuple, cast

from ..ids import is_canonical, read_id
from ..json_prefix import ObjectPrefix
from ..record import Places
from ..tools import DeclaredTools

_PREFIX: Final = "functions."
# An id ends where its arguments begin. `{` is left out of NAME for that.
_WHITE: Final = cast("Callable[[str, int], re.Match[str]]", re.compile(r"[ \t\r\n]*").match)
_ID_END: Final = re.compile(r"[\x00-\x20\x7f-\x9f{]")


class Expect(IntEnum):
    """What comes next: a call's id, the rest of it, its arguments, the rest of them."""

    PREFIX = auto()
    ID = auto()
    OBJECT = auto()
    IN_OBJECT = auto()


class StrippedCall(NamedTuple):
    """A call without markers.

    Attributes:
        raw_id: its id.
        arguments: its arguments, one whole JSON object.
        offset: where the id begins in the content.
        arguments_offset: where the arguments begin in it.
    """

    raw_id: str
    arguments: str
    offset: int
    arguments_offset: int


class StrippedCalls:
    """Holds content from `functions.` on, as long as it may be calls and nothing else.

    Attributes:
        found: the whole calls in the held text.
        is_end: whether the held text is one or more whole calls and white space.
    """

    __slots__ = (
        "_expect",
        "_object",
        "_offset",
        "_open",
        "_raw_id",
        "_settled",
        "_start",
        "_tools",
        "found",
    )

    def __init__(self, tools: DeclaredTools) -> None:
        self._tools = tools
        self._offset = 0  # of the next character in the content
        self._reset()

    def _reset(self) -> None:
        self.found: list[StrippedCall] = []
        self._settled: list[str] = []  # the whole calls, and white space after them
        self._open: list[str] = []  # what is held after these
        self._start = (0, 0)  # the offsets of the open call's id and arguments
        self._raw_id = ""
        self._expect = Expect.PREFIX
        self._object = ObjectPrefix()

    @property
    def is_end(self) -> bool:
        return bool(self.found) and not self._open

    def clear(self) -> None:
        """Hold nothing any more: the held text is content."""
        self._reset()

    def feed(self, text: str) -> str:
        """Read the next content.

        Args:
            text: any characters.

        Returns:
            The content that is certain: it is held no longer.
        """
        released: list[str] = []
        pieces = [(text, 0)]  # with the place from which on; the last one is read first
        while pieces:
            piece, at = pieces.pop()
            while at < len(piece):
                if not (self._settled or self._open):
                    begin = _possible_begin(piece, at)
                    released.append(piece[at:begin])
                    self._offset += begin - at
                    at = begin
                    if at == len(piece):
                        break
                end = self._read(piece, at)
                if end is not None:
                    self._offset += end - at
                    at = end
                    continue
                first, rest = self._give_up()
                released.append(first)
                if rest:
                    pieces += (piece, at), (rest, 0)
                    break
        return "".join(released)

    def settle(self) -> str:
        """End the content: hold only what ends it in calls.

        Returns:
            The content that is certain.
        """
        released = ""
        while self._open:
            first, rest = self._give_up()
            released += first + self.feed(rest)
        return released

    def _give_up(self) -> tuple[str, str]:
        """What is held is no call: the next candidate begins after its first character.

        Returns:
            The content that is certain, and what is to be read again.
        """
        settled, failed = "".join(self._settled), "".join(self._open)
        self._offset -= len(failed[1:])
        self._reset()
        return settled + failed[:1], failed[1:]

    def _read(self, text: str, at: int) -> int | None:
        """Read a part of the text.

        Returns:
            Where the next part begins, or None if this is no call.
        """
        match self._expect:
            case Expect.PREFIX:
                return self._read_prefix(text, at)
            case Expect.ID:
                return self._read_id(text, at)
            case Expect.OBJECT:
                return self._read_brace(text, at)
        return self._read_object(text, at)

    def _read_prefix(self, text: str, at: int) -> int | None:
        if not self._open:
            behind = _WHITE(text, at).end()
            if behind > at:
                self._settled.append(text[at:behind])
                return behind
            self._start = (self._offset, 0)
        seen = "".join(self._open)
        end = min(len(text), at + len(_PREFIX) - len(seen))
        if not _PREFIX.startswith(seen + text[at:end]):
            return None
        self._open.append(text[at:end])
        if len(seen) + end - at == len(_PREFIX):
            self._expect = Expect.ID
        return end

    def _read_id(self, text: str, at: int) -> int | None:
        found = _ID_END.search(text, at)
        end = found.start() if found else len(text)
        if found:
            self._raw_id = "".join(self._open) + text[at:end]
            if not self._names_a_tool(self._raw_id):
                return None
            self._expect = Expect.OBJECT
        if end > at:
            self._open.append(text[at:end])
        return end

    def _names_a_tool(self, raw_id: str) -> bool:
        parsed_id = read_id(raw_id, self._tools) if is_canonical(raw_id) else None
        if parsed_id is None or parsed_id.name is None:
            return False
        return not self._tools.known or parsed_id.name in self._tools

    def _read_brace(self, text: str, at: int) -> int | None:
        behind = _WHITE(text, at).end()
        if behind < len(text) and text[behind] != "{":
            return None
        if behind > at:
            self._open.append(text[at:behind])
        if behind < len(text):
            self._start = (self._start[0], self._offset + behind - at)
            self._expect = Expect.IN_OBJECT
        return behind

    def _read_object(self, text: str, at: int) -> int | None:
        end = text.find("}", at) + 1 or len(text)
        piece = text[at:end]
        self._object.read(piece)
        if not self._object.possible:
            return None
        self._open.append(piece)
        if self._object.whole:
            held = "".join(self._open)
            offset, arguments_offset = self._start
            arguments = held[arguments_offset - offset :]
            self.found.append(StrippedCall(self._raw_id, arguments, offset, arguments_offset))
            self._settled.append(held)
            self._open = []
            self._expect = Expect.PREFIX
            self._object = ObjectPrefix()
        return end


class HeldContent:
    """Content that is held by `StrippedCalls`.

    Attributes:
        places: where the parts of all content are in the output.
    """

    __slots__ = ("_parts", "places")

    def __init__(self) -> None:
        self.places = Places()
        self._parts: deque[tuple[str, int]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._parts

    def add(self, text: str, at: int) -> None:
        """Hold text whose first character is at that place."""
        self.places.add(len(text), at)
        self._parts.append((text, at))

    def release(self, length: int | None = None) -> Iterator[tuple[str, int]]:
        """Take the first characters, or all, part by part, each with its place."""
        while self._parts and length != 0:
            text, at = self._parts.popleft()
            released = text[:length]
            if len(released) < len(text):
                self._parts.appendleft((text[len(released) :], at + len(released)))
            length = None if length is None else length - len(released)
            yield released, at


def _possible_begin(text: str, at: int) -> int:
    """Where the prefix begins, or the beginning of it at the text's end."""
    found = text.find(_PREFIX, at)
    if found >= 0:
        return found
    lengths = range(min(len(text) - at, len(_PREFIX) - 1), 0, -1)
    return len(text) - next((n for n in lengths if text.endswith(_PREFIX[:n])), 0)


def stripped_calls(content: str, tools: DeclaredTools) -> list[StrippedCall]:
    """Find the calls at the end of a whole content.

    Args:
        content: the content.
        tools: the declared tools.
    """
    if _PREFIX not in content:
        return []
    reader = StrippedCalls(tools)
    reader.feed(content)
    reader.settle()
    return reader.found if reader.is_end else []
