"""Server-sent events, read from bytes that arrive in any pieces.

The grammar is the HTML standard's: lines end with LF, CR or CRLF; a line is a field, a colon, an
optional space and a value, or a comment if it begins with the colon; an empty line ends an event.
Two things differ from a browser: an event has a largest size, and the end of the stream ends the
last event, because some servers close the connection without the last empty line.
"""

import re
from typing import Final, NamedTuple

EVENT_LIMIT: Final = 8 * 1024 * 1024

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_PLAIN_BEGIN: Final = b"data: "
_PLAIN_END: Final = b"\n\n"
_BETWEEN_PLAIN: Final = _PLAIN_END + _PLAIN_BEGIN


class EventTooLargeError(ValueError):
    """An event is larger than the limit."""


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        name: the value of the `event` field, empty where there is none.
        data: the values of the `data` fields, joined by line feeds.
    """

    name: bytes
    data: bytes


class EventReader:
    """Splits bytes into events. Its cost is linear in the bytes, however they are cut."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        """Begin a stream.

        Args:
            limit: the largest size of one event, in bytes.
        """
        self._limit = limit
        self._line = bytearray()
        self._at_first_line = True
        self._after_carriage_return = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._is_between_events = True

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Read the next bytes.

        Args:
            data: any bytes.

        Returns:
            The events that end in them, without those that have no data.

        Raises:
            EventTooLargeError: an event is larger than the limit.
        """
        if (
            self._is_between_events
            and data.endswith(_PLAIN_END)
            and data.startswith(_PLAIN_BEGIN)
            and b"\r" not in data
            and len(data) <= self._limit
        ):
            # Every engine sends this form: whole events of one data line each.
            self._at_first_line = False
            text = data[6:-2]
            if b"\n" not in text:
                return [ServerSentEvent(b"", text)]
            texts = text.split(_BETWEEN_PLAIN)
            if all(b"\n" not in each for each in texts):
                return [ServerSentEvent(b"", each) for each in texts]
        events = self._read_lines(data)
        self._is_between_events = not (
            self._line or self._data or self._name or self._after_carriage_return
        )
        return events

    def line_in(self, data: bytes) -> bytes | None:
        """The data of bytes that are one event of one line, if they have that form.

        Args:
            data: the bytes that `feed` would get.

        Returns:
            The event's data, if there is no line end in it; nothing is read otherwise. None where
            the bytes cannot be one such event.
        """
        if (
            self._is_between_events
            and data.startswith(_PLAIN_BEGIN)
            and data.endswith(_PLAIN_END)
            and len(data) <= self._limit
        ):
            return data[6:-2]
        return None

    def finish(self) -> list[ServerSentEvent]:
        """End the stream.

        Returns:
            The event that no empty line has ended, if there is one.

        Raises:
            EventTooLargeError: that event is larger than the limit.
        """
        last, self._line = bytes(self._line), bytearray()
        events: list[ServerSentEvent] = []
        self._take_line(last, events)
        self._take_line(b"", events)
        return events

    def _read_lines(self, data: bytes) -> list[ServerSentEvent]:
        if self._after_carriage_return and data:
            data = data.removeprefix(b"\n")
            self._after_carriage_return = False
        events: list[ServerSentEvent] = []
        if not data:
            return events
        self._after_carriage_return = data.endswith(b"\r")
        *ended, rest = _LINE_END.split(data)
        if ended:
            first = bytes(self._line) + ended[0] if self._line else ended[0]
            self._line.clear()
            self._take_line(first, events)
            for line in ended[1:]:
                self._take_line(line, events)
        self._line += rest
        self._refuse_if_larger(len(self._line))
        return events

    def _take_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._at_first_line:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._at_first_line = False
        if not line:
            if self._data:
                events.append(ServerSentEvent(self._name, b"\n".join(self._data)))
            self._name, self._data, self._size = b"", [], 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._refuse_if_larger(len(line))
        if field == b"event":
            self._name = value
        elif field in (b"data", b"error"):
            # llama.cpp's releases before 2025 wrote `error: {…}` in place of a data field.
            self._name = self._name if field == b"data" else b"error"
            self._data.append(value)
            self._size += len(value) + 1

    def _refuse_if_larger(self, more: int) -> None:
        if self._size + more > self._limit:
            raise EventTooLargeError(f"an event is larger than {self._limit} bytes")
