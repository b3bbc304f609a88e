"""The reasoning's state, and one section of calls with the text inside of it."""

from enum import IntEnum, auto

from .units import Passage


class Thinking(IntEnum):
    """Whether the model is reasoning; a section of calls interrupts it."""

    CLOSED = auto()
    OPEN = auto()
    INTERRUPTED = auto()


class Section:
    """One section of calls.

    Text before the first call is held: it is noise if a call begins, and
    content if the section ends without one (docs/format.md, row 9).

    Attributes:
        marked: whether a section marker began it (row 5).
        in_reasoning: whether it interrupted the reasoning (row 13).
        has_calls: whether a call of it was announced (row 10).
        call_began: whether its text is noise.
        passages: its text, one passage between two markers.
    """

    __slots__ = ("call_began", "has_calls", "in_reasoning", "marked", "passages")

    def __init__(self, *, marked: bool, in_reasoning: bool) -> None:
        self.marked = marked
        self.in_reasoning = in_reasoning
        self.has_calls = False
        self.call_began = False
        self.passages = [Passage()]

    @property
    def latest(self) -> Passage:
        """The text since the last marker."""
        return self.passages[-1]

    def cut(self) -> None:
        """Begin a new passage: a marker came."""
        if self.latest.parts:
            self.passages.append(Passage())

    def take_passages(self) -> list[Passage]:
        """All text so far; the section holds none afterwards."""
        taken = [passage for passage in self.passages if passage.parts]
        self.passages = [Passage()]
        return taken
