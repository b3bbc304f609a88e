"""Pieces of the output between the search for markers and the state machine."""

from typing import Final, NamedTuple

from ..markers import WHITE_SPACE, Symbol

# Symbols that stand for text, which is read again as text.
FOUND_IN_TEXT: Final = frozenset({Symbol.TEXT, Symbol.ROLE_MARKER})


class Unit(NamedTuple):
    """A marker, the end of the text, or text between markers.

    Attributes:
        symbol: the marker or the end of the text; None for text.
        text: the characters as written.
        at: the place of the first of them in the output.
        certain: whether a token id identifies the marker.
        cut: whether the text is the beginning of a marker that the end of the output cuts.
        settled: whether this marker was held in a string before, and released.
    """

    symbol: Symbol | None
    text: str
    at: int
    certain: bool = False
    cut: bool = False
    settled: bool = False


class Passage:
    """Text that is collected until its use is known.

    Attributes:
        at: the place of its first character.
        blank: whether it is white space alone.
        parts: its pieces.
    """

    __slots__ = ("at", "blank", "parts")

    def __init__(self) -> None:
        self.at = 0
        self.blank = True
        self.parts: list[str] = []

    def add(self, text: str, at: int) -> None:
        if not self.parts:
            self.at = at
        self.parts.append(text)
        self.blank = self.blank and not text.strip(WHITE_SPACE)

    def take(self) -> str:
        """The text; the passage is empty afterwards."""
        text = "".join(self.parts)
        self.clear()
        return text

    def clear(self) -> None:
        self.parts.clear()
        self.blank = True
