"""The text outside of calls: which of it is content, reasoning, or noise."""

from typing import Final

from .. import codes
from ..events import Content, Reasoning
from ..record import Record
from .content import ContentWriter
from .section import Section, Thinking
from .units import Passage

# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_OPEN: Final = Thinking.OPEN
_INTERRUPTED: Final = Thinking.INTERRUPTED

# Before the first section. Parsers share it: none writes to it.
_NO_SECTION: Final = Section(marked=False, in_reasoning=False)


class Prose:
    """Writes the text outside of calls, by the reasoning's and the section's state.

    Attributes:
        thinking: whether the model is reasoning.
        section: the section that is open, or the last one.
    """

    __slots__ = (
        "_after_calls",
        "_content",
        "_keep_text_after_calls",
        "_record",
        "_stray",
        "section",
        "thinking",
    )

    def __init__(
        self,
        record: Record,
        content: ContentWriter,
        thinking: Thinking,
        *,
        keep_text_after_calls: bool,
    ) -> None:
        """Begin a message.

        Args:
            record: what takes reasoning and problems.
            content: what takes the content.
            thinking: whether the text begins inside the reasoning.
            keep_text_after_calls: whether text after calls is content.
        """
        self.thinking = thinking
        self.section = _NO_SECTION
        self._record = record
        self._content = content
        self._keep_text_after_calls = keep_text_after_calls
        self._after_calls = False
        self._stray = Passage()  # text after calls, or after the turn

    @property
    def kind(self) -> type[Content] | type[Reasoning] | None:
        """What `write` makes of any text now, unless text is held, released or reported."""
        if self.thinking is _OPEN:
            return None if self._content.holds else Reasoning
        if self._content.may_hold or (self._after_calls and not self._keep_text_after_calls):
            return None
        return Content

    def write(self, text: str, at: int) -> None:
        """Write text outside of sections."""
        if self.thinking is _OPEN:
            self._content.interrupt()
            self._record.reasoning(text, at)
        elif self._after_calls and not self._keep_text_after_calls:
            self._stray.add(text, at)
        else:
            self._content.write(text, at)

    def end_passage(self) -> None:
        """A marker came outside of sections: end the text before it."""
        if self._stray.parts:
            self._report(codes.TEXT_AFTER_CALLS, self._stray)

    def write_after_turn(self, text: str, at: int) -> None:
        """Collect text after the end of the turn."""
        self._stray.add(text, at)

    def end_message(self) -> None:
        """The text ends."""
        if self._stray.parts:
            self._report(codes.TEXT_AFTER_TURN, self._stray)
        self._content.end()

    def note_native_call(self) -> None:
        """A call begins that the server took out of the text."""
        self._content.note_native_call()

    def enter_section(self, *, marked: bool) -> None:
        """A section begins, with or without a marker of its own."""
        self._content.interrupt()
        in_reasoning = self.thinking is _OPEN
        self.section = Section(marked=marked, in_reasoning=in_reasoning)
        if in_reasoning:
            self.thinking = _INTERRUPTED

    def end_section(self) -> None:
        """The section ends. If no call began in it, its text is given back."""
        section = self.section
        if section.in_reasoning:
            self._after_calls = False
        elif section.has_calls:
            self._after_calls = True
        if self.thinking is _INTERRUPTED:
            self.thinking = _OPEN
        if section.call_began:
            return
        passages = section.take_passages()
        if all(passage.blank for passage in passages):
            return
        for passage in passages:
            self.write(passage.take(), passage.at)
            self.end_passage()

    def end_passage_in_section(self) -> None:
        """A marker came inside the section: end the text before it."""
        section = self.section
        if section.call_began:
            if section.latest.parts:
                self._report(codes.TEXT_BETWEEN_CALLS, section.latest)
        elif section.marked:
            section.cut()
        else:
            section.latest.clear()

    def begin_call(self) -> None:
        """A call began: all text of the section before it was noise."""
        self.section.call_began = True
        for passage in self.section.take_passages():
            self._report(codes.TEXT_BETWEEN_CALLS, passage)

    def _report(self, code: str, passage: Passage) -> None:
        blank, text = passage.blank, passage.take()
        if not blank:
            self._record.problem(code, passage.at, text)
