"""The calls of one turn: which are announced, under which id, and how each ends."""

import json
from typing import Final, NamedTuple

from .. import codes
from ..argument_text import ArgumentText, WholeText
from ..ids import CallId, IssuedIds, find_tool, is_plain_name
from ..json_members import members
from ..json_prefix import is_object
from ..record import Call, Record
from ..tools import DeclaredTools

# The members of a call's object that may hold its arguments.
ARGUMENT_KEYS: Final = ("arguments", "parameters")

# Before the first call. Parsers share it: none writes to it.
_NO_CALL: Final = Call("", 0, None, 0)


class ObjectCall(NamedTuple):
    """The tool and the arguments that a header's JSON object names."""

    name: str
    arguments: str


class Calls:
    """Announces the calls of one turn and ends them.

    Attributes:
        current: the call that is open, or the last one.
    """

    __slots__ = ("_ids", "_max_calls", "_record", "_tools", "current")

    def __init__(
        self, record: Record, tools: DeclaredTools, first_index: int, max_calls: int | None
    ) -> None:
        self.current = _NO_CALL
        self._record = record
        self._tools = tools
        self._ids = IssuedIds(first_index)
        self._max_calls = max_calls

    @property
    def exhausted(self) -> bool:
        """Whether the message already has as many calls as it may."""
        return self._max_calls is not None and len(self._record.calls) >= self._max_calls

    def begin(self, raw_id: str, at: int, parsed_id: CallId | None, arguments_at: int) -> Call:
        """Begin a call, and announce it if its id decides its tool.

        Args:
            raw_id: the id as written.
            at: its place.
            parsed_id: its parts, or None if it is no id.
            arguments_at: where the arguments may begin.
        """
        call = self.current = Call(raw_id, at, parsed_id, arguments_at)
        if parsed_id is None:
            return call
        if self.exhausted:
            call.is_surplus = True
            self._record.problem(codes.CALL_SURPLUS, at, raw_id)
            return call
        name = parsed_id.name
        if name is None and not parsed_id.foreign:
            name = self._tools.only()
        if name is not None:
            self._announce(call, parsed_id, name)
        return call

    def begin_unnumbered(self, name: str, at: int, text: str) -> Call:
        """Begin a call to which the model gave a name and no id.

        Args:
            name: its tool.
            at: the place of `text`.
            text: what the model wrote in place of an id.
        """
        call = self.current = Call("", at, CallId(name, None), at)
        if self.exhausted:
            call.is_surplus = True
            self._record.problem(codes.CALL_SURPLUS, at, text)
            return call
        index = len(self._record.calls)
        call.name = name
        call.id, _ = self._ids.issue(CallId(name, None), "", name, index)
        if self._tools.known and name not in self._tools:
            self._record.problem(codes.TOOL_UNDECLARED, at, text)
        self._record.call_start(call, index)
        return call

    def pass_on_whole(self, raw_id: str, parsed_id: CallId, arguments: str, at: int) -> None:
        """Pass on a call whose id is canonical and whose arguments are one whole JSON object.

        Args:
            raw_id: the id as written.
            parsed_id: its parts, with a name.
            arguments: the arguments.
            at: the place of the id.
        """
        record = self._record
        call = self.current = Call(raw_id, at, parsed_id, at, WholeText(arguments))
        index = len(record.calls)
        self._announce(call, parsed_id, parsed_id.name or "")
        record.arguments(index, arguments)
        record.call_end(index, complete=True)

    def _announce(self, call: Call, parsed_id: CallId, name: str) -> None:
        call.name = name
        index = len(self._record.calls)
        call.id, repeated = self._ids.issue(parsed_id, call.raw_id, name, index)
        if not parsed_id.canonical:
            self._record.problem(codes.CALL_ID_REPAIRED, call.at, call.raw_id)
        if repeated:
            self._record.problem(codes.CALL_ID_REPEATED, call.at, call.raw_id)
        if self._tools.known and name not in self._tools:
            self._record.problem(codes.TOOL_UNDECLARED, call.at, call.raw_id)
        self._record.call_start(call, index)

    def write(self, text: str) -> None:
        """Add text to the arguments of the current call, and pass on what is certain."""
        call = self.current
        written = call.arguments.add(text)
        if written and call.index is not None:
            self._record.arguments(call.index, written)

    def fill_blank(self) -> None:
        """Make the arguments, which are blank, `{}`: an end marker shows that there are none."""
        call = self.current
        if call.parsed_id is not None:
            call.is_filled = True
            self.write("{}")

    def end(self, *, by_end_of_text: bool) -> None:
        """End the current call.

        Args:
            by_end_of_text: whether the end of the text ends it.
        """
        call = self.current
        complete = call.arguments.whole
        if by_end_of_text and not (complete or call.is_surplus):
            self._record.is_cut = True
        if call.index is None and not call.is_surplus:
            self._decide(call)
            complete = call.arguments.whole
        if call.index is None:
            if not (call.is_filled or call.arguments.blank):
                text = call.arguments.text
                self._record.problem(codes.CALL_ARGUMENTS_DROPPED, call.arguments_at, text)
            return
        if not (complete or (by_end_of_text and call.arguments.possible)):
            text = call.arguments.text
            self._record.problem(codes.ARGUMENTS_NOT_OBJECT, call.arguments_at, text)
        self._record.call_end(call.index, complete=complete)

    def leave(self) -> None:
        """End the current call, which has no arguments yet: a server passes it on natively."""
        call = self.current
        self._record.problem(codes.SERVER_MARKERS_LEFT, call.at, call.raw_id)
        if call.index is not None:
            self._record.call_end(call.index, complete=False)

    def _decide(self, call: Call) -> None:
        """Announce a call whose tool only the whole arguments decide, or report it."""
        if call.parsed_id is None:
            self._record.problem(codes.CALL_ID_INVALID, call.at, call.raw_id)
            return
        text, whole = call.arguments.text, call.arguments.whole
        found = find_tool(call.parsed_id, text, self._tools, whole=whole)
        if found is None:
            self._record.problem(codes.CALL_TOOL_UNKNOWN, call.at, call.raw_id)
            return
        self._announce(call, call.parsed_id, found.name)
        call.arguments = ArgumentText()
        self.write(found.arguments)

    def read_object(self, text: str) -> ObjectCall | None:
        """Read a header that is one JSON object as a call (docs/format.md, row 4a).

        Args:
            text: the whole object.

        Returns:
            Its tool and its arguments, or None if it is no call.
        """
        values = {member.key: member.value for member in members(text)}
        name = _string(values.get("name", ""))
        written = (_object(values.get(key, "")) for key in ARGUMENT_KEYS)
        arguments = next(filter(None, written), None)
        if name is None or arguments is None:
            return None
        known = name in self._tools if self._tools.known else is_plain_name(name)
        return ObjectCall(name, arguments) if known else None

    def requires_arguments(self, name: str) -> bool:
        """Whether the tool is declared and has a parameter that it requires."""
        return name in self._tools and bool(self._tools.parameters[name].required)

    def may_be_called(self, name: str) -> bool:
        """Whether the name of a call without an id may be that of a tool."""
        return name in self._tools or is_plain_name(name)


def _object(value: str) -> str | None:
    """The object that a JSON value is or holds as a string, or None if it is another value."""
    text = value if value.startswith("{") else _string(value)
    return text if text is not None and is_object(text) else None


def _string(value: str) -> str | None:
    """The string that a JSON value is, or None if it is another value."""
    if not value.startswith('"'):
        return None
    decoded: str = json.loads(value)
    return decoded
