"""Writes the content, and reports formats without the model's markers in it."""

from .. import codes
from ..ids import read_id
from ..markers import OTHER_MARKERS
from ..record import Record
from ..tools import DeclaredTools
from .calls import Calls
from .stripped import HeldContent, StrippedCalls, stripped_calls


class ContentWriter:
    """Writes content to the record; on request it holds what may be calls without markers.

    Such calls are at the end of the message and nothing else interrupts them:
    neither reasoning nor a section.
    """

    __slots__ = ("_calls", "_from", "_has_native_call", "_held", "_record", "_stripped", "_tools")

    def __init__(
        self, record: Record, tools: DeclaredTools, calls: Calls, *, recover: bool
    ) -> None:
        """Begin a message.

        Args:
            record: what takes the content.
            tools: the declared tools.
            calls: what takes the calls.
            recover: whether calls without markers are made calls.
        """
        self._record = record
        self._tools = tools
        self._calls = calls
        self._stripped = StrippedCalls(tools) if recover else None
        self._held = HeldContent() if recover else None
        self._has_native_call = False
        self._from = 0  # the offset in the content from which on such calls count

    @property
    def may_hold(self) -> bool:
        """Whether `write` looks for calls without markers."""
        return self._stripped is not None and not self._has_calls

    @property
    def holds(self) -> bool:
        """Whether content is held that the next text elsewhere releases."""
        return self._held is not None and not self._held.is_empty

    def write(self, text: str, at: int) -> None:
        """Write content whose first character is at that place."""
        if self._stripped is None or self._held is None or self._has_calls:
            self._record.content(text, at)
            return
        self._held.add(text, at)
        self._release(self._held, len(self._stripped.feed(text)))

    def _release(self, held: HeldContent, length: int | None = None) -> None:
        for part, place in held.release(length):
            self._record.content(part, place)

    def interrupt(self) -> None:
        """Something else than content comes: calls without markers cannot go on after it."""
        if self._stripped is not None and self._held is not None:
            self._stripped.clear()
            self._release(self._held)
        self._from = self._record.written.places.length

    @property
    def _has_calls(self) -> bool:
        return self._has_native_call or bool(self._record.calls)

    def note_native_call(self) -> None:
        """Note a call that the server took out of the text: the markers did arrive."""
        self.interrupt()
        self._has_native_call = True

    def end(self) -> None:
        """The message ends: report other formats in a message without calls."""
        if self._has_calls:
            return
        if self._stripped is None or self._held is None:
            self._report_stripped()
        else:
            self._release(self._held, len(self._stripped.settle()))
            if self._stripped.is_end:
                self._recover(self._stripped, self._held)
        self._report_other_format()

    def _report_stripped(self) -> None:
        written = self._record.written
        if found := stripped_calls(written.text[self._from :], self._tools):
            at = written.places.of(self._from + found[0].offset)
            self._record.problem(codes.MARKERS_STRIPPED, at, found[0].raw_id)

    def _recover(self, stripped: StrippedCalls, held: HeldContent) -> None:
        first = stripped.found[0]
        self._record.problem(codes.MARKERS_STRIPPED, held.places.of(first.offset), first.raw_id)
        for call in stripped.found:
            at, arguments_at = (
                held.places.of(offset) for offset in (call.offset, call.arguments_offset)
            )
            self._calls.begin(call.raw_id, at, read_id(call.raw_id, self._tools), arguments_at)
            self._calls.write(call.arguments)
            self._calls.end(by_end_of_text=False)

    def _report_other_format(self) -> None:
        written, thought = self._record.written, self._record.thought
        text = written.text + thought.text
        if all(marker in text for marker in OTHER_MARKERS):
            first = OTHER_MARKERS[0]
            part = written if first in written.text else thought
            self._record.problem(codes.OTHER_FORMAT, part.places.of(part.text.index(first)), first)
