"""Chunks that differ from an earlier one in their text alone, read without decoding the rest.

An engine writes the same id, model and empty fields around each piece of text. Once a chunk was
read, the bytes before and after its text are known. A later chunk that begins and ends with them,
and has a JSON string in between, is the same JSON value but for that string. To find that out and
to decode the string takes a fifth of the time in which msgspec decodes the chunk and its fields
are looked at one by one. The tests hold this against the long way.
"""

import re
from itertools import islice
from typing import Final, NamedTuple

from k2compat.gateway.json_text import decode, decode_string

_FRAMES_MAX: Final = 8
"""Each chunk is compared with all frames: enough for four choices with two fields each."""
_LEARNED_MAX: Final = 16
"""So many frames are learned without a use, since some engines write a counter into each chunk."""
_PLACES_MAX: Final = 4
"""So many strings of a chunk are tried: a name like the field's may be elsewhere in it."""
_PROBE: Final = [1]


class TextPlace(NamedTuple):
    """Where the text of a chunk is.

    Attributes:
        choice: the choice's number.
        field: the name of the field of its delta.
    """

    choice: int
    field: str


class _Frame(NamedTuple):
    """A chunk without its text, as bytes."""

    begin: bytes
    end: bytes
    place: TextPlace


class AlikeChunks:
    """Knows the chunks of one answer that were read, and reads those that are like them."""

    def __init__(self) -> None:
        """Begin an answer."""
        self._frames: dict[TextPlace, _Frame] = {}
        self._left = _LEARNED_MAX

    def find(self, data: bytes) -> tuple[TextPlace, str] | None:
        """Read a chunk like an earlier one.

        Args:
            data: the chunk's JSON text.

        Returns:
            Where its text is, and that text, which is not empty; then there is no line end in the
            chunk. None where the chunk is like none.
        """
        for begin, end, place in self._frames.values():
            if data.startswith(begin) and data.endswith(end):
                text = decode_string(data[len(begin) : len(data) - len(end)])
                if text:
                    self._left = _LEARNED_MAX
                    return place, text
        return None

    def learn(self, data: bytes, place: TextPlace) -> None:
        """Learn a chunk, for those that will be like it.

        Args:
            data: the chunk's JSON text.
            place: where its text is. The chunk has one choice, and nothing else in it is to be
                read or passed on.
        """
        if not self._left or (len(self._frames) == _FRAMES_MAX and place not in self._frames):
            return
        if b"\n" in data:  # its event has several lines
            return
        self._left -= 1
        strings = re.finditer(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % place.field.encode(), data)
        for match in islice(strings, _PLACES_MAX):
            frame = _Frame(data[: match.start(1)], data[match.end(1) :], place)
            if _has_its_place(frame):
                self._frames[place] = frame
                return


def _has_its_place(frame: _Frame) -> bool:
    """Whether another value in the frame is read at the text's place.

    Then the frame's beginning ends where a JSON value begins, and any value can be there. Between
    the two was the value of some member, because quotes inside a string are escaped: this is JSON,
    and it has the choice and the delta.
    """
    chunk = decode(frame.begin + b"[1]" + frame.end)
    found = chunk["choices"][0]["delta"].get(frame.place.field)
    return bool(found == _PROBE)
