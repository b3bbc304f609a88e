"""Reads the tool calls that a server read by itself, whole or in deltas.

A native call is written again as the model wrote it, markers around its
arguments, and read with a parser of its own. So arguments are judged here by
the same rules as in text: blank ones become `{}`, broken ones are reported,
and a further call that the server took for arguments is found.

The markers that we write are certain, as markers known by token id are.

Some servers send a name in pieces. So a call begins with its name only where that is
a declared tool's and no other tool's name begins with it; otherwise with its arguments,
with the next call or at the end.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from .. import codes
from ..events import ArgumentsDelta, CallEnd, CallStart, Event, Problem
from ..ids import CallId, read_id
from ..json_prefix import is_object
from ..markers import MARKERS, WHITE_SPACE
from ..parser import StreamParser
from ..tools import DeclaredTools
from .fields import arguments_of, index_of, shown
from .order import Call, CallOrder, Source, canonical

# Each open call has a parser. No server interleaves more calls than a few.
_OPEN_AT_MOST: Final = 64

_SECTION_BEGIN, _CALL_BEGIN, _ARGUMENT_BEGIN, _CALL_END = range(4)
_MARKER_IDS: Final = {
    _SECTION_BEGIN: "<|tool_calls_section_begin|>",
    _CALL_BEGIN: "<|tool_call_begin|>",
    _ARGUMENT_BEGIN: "<|tool_call_argument_begin|>",
    _CALL_END: "<|tool_call_end|>",
}
# The tool's real name may be one that no id can hold.
_ANY_ID: Final = "functions.x:0"

_MARKER: Final = re.compile("|".join(map(re.escape, MARKERS)))

_SAFE_ID: Final = re.compile(r"(?P<name>.+)_(?P<number>[0-9]+)")

Report = Callable[[str, str], None]


class _NativeCall:
    """A native call while its deltas arrive.

    Attributes:
        given_id: the id that the server gave, or an empty string.
        written_name: the tool's name as far as it was written.
        name: the tool, or None while it is not known.
        calls: the call, and those that were found in its arguments.
        parser: reads the arguments, once there are some.
        early: arguments that came before the name.
        given: the arguments as the server gave them.
        is_reported: whether markers in them were reported.
        is_closed: whether it is over.
        at: the place of its beginning in the rebuilt text.
    """

    __slots__ = (
        *("at", "calls", "early", "given", "given_id", "is_closed", "is_reported"),
        *("name", "parser", "written_name"),
    )

    def __init__(self, at: int) -> None:
        self.given_id = ""
        self.written_name = ""
        self.name: str | None = None
        self.calls: list[Call] = []
        self.parser: StreamParser | None = None
        self.early: list[str] = []
        self.given: list[str] = []
        self.is_reported = False
        self.is_closed = False
        self.at = at


class NativeCalls:
    """The native calls of one message.

    Attributes:
        is_cut: whether the end of the output cut the last of them.
    """

    def __init__(
        self,
        tools: DeclaredTools,
        order: CallOrder,
        report: Report,
        before_call: Callable[[], None],
    ) -> None:
        """Begin a message.

        Args:
            tools: the declared tools.
            order: takes the calls.
            report: takes the code and the text of a problem.
            before_call: is called before a call begins.
        """
        self.is_cut = False
        self._tools = tools
        self._order = order
        self._report = report
        self._before_call = before_call
        self._by_index: dict[int, _NativeCall] = {}
        self._latest: _NativeCall | None = None
        self._open: deque[_NativeCall] = deque()

    def take(self, items: object, at: int) -> None:
        """Read OpenAI's `tool_calls`, whole or as deltas.

        Args:
            items: the list, as the server sent it.
            at: the length of the rebuilt text so far.
        """
        if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
            self._report(codes.SERVER_FIELD_UNREADABLE, shown(items))
            return
        for item in items:
            function = item.get("function") if isinstance(item, Mapping) else None
            if not isinstance(item, Mapping) or not isinstance(function, Mapping | None):
                self._report(codes.SERVER_FIELD_UNREADABLE, shown(item))
            else:
                self._take(item, function or {}, at)

    def begin_named(self) -> None:
        """Begin the calls whose names might still have gone on."""
        for native in self._open:
            self._begin_written(native)

    def finish(self, *, is_cut: bool) -> None:
        """End all calls.

        Args:
            is_cut: whether the output was cut, so that the last call may be.
        """
        for native in tuple(self._open):
            self._close(native, is_cut=is_cut and native is self._latest)

    def _take(self, item: Mapping[str, object], function: Mapping[str, object], at: int) -> None:
        name, given_id = _text(function.get("name")), _text(item.get("id"))
        native = self._find(index_of(item.get("index")), name, given_id, at)
        native.given_id = native.given_id or given_id
        if name:
            self._add_name(native, name)
        arguments = arguments_of(function.get("arguments"))
        if arguments is None:
            self._report(codes.SERVER_FIELD_UNREADABLE, shown(function.get("arguments")))
        elif arguments:
            self._add(native, arguments)

    def _find(self, index: int | None, name: str, given_id: str, at: int) -> _NativeCall:
        """The call that a delta continues, or a new one."""
        found = self._latest if index is None else self._by_index.get(index)
        if found is not None and (
            self._goes_on(found, name) or not _begins_another(found, index, name, given_id)
        ):
            return found
        if self._latest is not None:
            self._begin_written(self._latest)
            if _is_whole(self._latest):
                self._close(self._latest, is_cut=False)
        if len(self._open) >= _OPEN_AT_MOST:
            self._close(self._open[0], is_cut=False)
        native = _NativeCall(at)
        self._open.append(native)
        self._latest = native
        if index is not None:
            self._by_index[index] = native
        return native

    def _goes_on(self, native: _NativeCall, name: str) -> bool:
        """Whether a name is the rest of the name of a call that has not begun."""
        return native.name is None and name != "" and native.written_name + name in self._tools

    def _add_name(self, native: _NativeCall, name: str) -> None:
        """Take a call's name, the next piece of it, or a repetition."""
        if native.name is not None or native.is_closed:
            if name not in (native.name, native.written_name):
                self._report(codes.SERVER_CALL_UNREADABLE, name)
            return
        is_new = self._goes_on(native, name) or name not in (native.written_name, *self._tools)
        native.written_name = native.written_name + name if is_new else name
        if self._is_decided(_tool_name(native.written_name, self._tools)):
            self._begin_written(native)

    def _is_decided(self, name: str) -> bool:
        """Whether a name is that of a tool, and no other tool's name begins with it."""
        longer = (each for each in self._tools if each.startswith(name) and each != name)
        return name in self._tools and next(longer, None) is None

    def _begin_written(self, native: _NativeCall) -> None:
        if native.name is None and native.written_name and not native.is_closed:
            self._begin(native, native.written_name)

    def _begin(self, native: _NativeCall, name: str) -> None:
        native.name = _tool_name(name, self._tools)
        if _MARKER.search(name):
            self._report(codes.SERVER_MARKERS_LEFT, name)
        if self._tools.known and native.name not in self._tools:
            self._report(codes.TOOL_UNDECLARED, name)
        call = Call(
            Source.NATIVE,
            native.name,
            _parsed_id(native.given_id, native.name),
            native.given_id,
            native.at,
        )
        self._begin_call(native, call)
        early, native.early = "".join(native.early), []
        if early:
            self._add(native, early)

    def _begin_call(self, native: _NativeCall, call: Call) -> None:
        self._before_call()
        native.calls.append(call)
        self._order.begin(call)

    def _add(self, native: _NativeCall, arguments: str) -> None:
        self._begin_written(native)
        if native.is_closed:
            if arguments.strip(WHITE_SPACE):
                self._report(codes.SERVER_CALL_UNREADABLE, arguments)
        elif native.name is None:
            native.early.append(arguments)
        else:
            native.given.append(arguments)
            self._read(native, self._parser_of(native).feed(arguments))

    def _close(self, native: _NativeCall, *, is_cut: bool) -> None:
        self._open.remove(native)
        self._begin_written(native)
        if native.name is None:
            self._name_by_id(native)
        native.is_closed = True
        if native.name is None:
            return
        parser = self._parser_of(native)
        events = [] if is_cut else parser.feed_token(_CALL_END, "")
        self._read(native, events + parser.finish())
        self.is_cut = is_cut and not native.calls[-1].complete
        native.parser = None
        self._report_markers(native)

    def _report_markers(self, native: _NativeCall) -> None:
        """Report what follows the arguments in what the server gave as such."""
        given, native.given = "".join(native.given).strip(WHITE_SPACE), []
        read = native.calls[0].arguments.getvalue()
        rest = given.removeprefix(read)
        if _MARKER.search(rest) and not native.is_reported:
            self._report(codes.SERVER_MARKERS_LEFT, rest)

    def _name_by_id(self, native: _NativeCall) -> None:
        said = read_id(native.given_id, self._tools)
        if said is not None and said.name is not None:
            self._begin(native, said.name)
        else:
            text = " ".join(filter(None, (native.given_id, "".join(native.early))))
            self._report(codes.SERVER_CALL_UNREADABLE, text)

    def _parser_of(self, native: _NativeCall) -> StreamParser:
        """The parser of a call's arguments, which has read what is written before them."""
        if native.parser is None:
            parser = native.parser = StreamParser(marker_ids=_MARKER_IDS)
            parser.feed_token(_SECTION_BEGIN, "")
            parser.feed_token(_CALL_BEGIN, "")
            parser.feed(_ANY_ID)
            self._read(native, parser.feed_token(_ARGUMENT_BEGIN, ""))
        return native.parser

    def _read(self, native: _NativeCall, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Problem(code, _, text):
                    native.is_reported |= code == codes.ARGUMENT_MARKER_REPEATED
                    self._report(code, text)
                case CallStart(index, call_id, name) if index:
                    call = Call(Source.NATIVE, name, canonical(call_id, name), call_id, native.at)
                    self._begin_call(native, call)
                case ArgumentsDelta(index, text):
                    self._order.add(native.calls[index], text)
                case CallEnd(index, complete):
                    self._order.end(native.calls[index], complete=complete)


def _begins_another(found: _NativeCall, index: int | None, name: str, given_id: str) -> bool:
    """Whether a delta begins a call other than the one found for it.

    Some servers send every call with the index 0, others send none. An id or a
    name that is only repeated begins nothing.
    """
    if given_id and found.given_id and given_id != found.given_id:
        return bool(name)
    return index is None and bool(name) and not (given_id and given_id == found.given_id)


def _is_whole(native: _NativeCall) -> bool:
    """Whether an open call's arguments are one whole JSON object, so that nothing can follow."""
    if native.is_closed or not native.calls:
        return False
    return is_object(native.calls[-1].arguments.getvalue())


def _parsed_id(given_id: str, name: str) -> CallId:
    """The parts of a server's id: its number counts where it can be one of this tool's."""
    parsed = read_id(given_id, DeclaredTools([{"function": {"name": name}}]))
    if parsed is not None and parsed.name in (None, name):
        return CallId(name, parsed.number, parsed.canonical)
    safe = _SAFE_ID.fullmatch(given_id)  # `wire_ids="safe"` writes it
    return CallId(name, safe["number"] if safe and safe["name"] == name else None)


def _tool_name(name: str, tools: DeclaredTools) -> str:
    """A tool's name, without the markers and the parts of an id that a server left in it."""
    if name in tools:
        return name
    plain = _MARKER.sub("", name).strip(WHITE_SPACE)
    said = read_id(plain, tools)
    if plain in tools or said is None or said.name is None:
        return plain or name
    return said.name


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
