"""Splits a thinking model's text into its reasoning and the rest, by the text alone.

An engine with a stage for reasoning and one for tool calls cuts the text between
them once. The reasoning ends at `</think>`, or at the first section or call that
begins inside it: the calls of a thought count, and only the stage of tool calls
can read them.

Token ids are not used. With a stop string an engine holds text back, and the ids
run ahead of it.
"""

import re
from typing import Final

_WHITE_SPACE: Final = " \t\r\n"
_THINK_BEGIN: Final = "<think>"
_THINK_END: Final = "</think>"
_CALLS: Final = (
    "<|tool_calls_section_begin|>",
    "<|tool_call_section_begin|>",
    "<|tool_call_begin|>",
)
_END: Final = re.compile("|".join(map(re.escape, (_THINK_END, *_CALLS))))
_BEGINNINGS: Final = frozenset(
    marker[:length] for marker in (_THINK_END, *_CALLS) for length in range(1, len(marker))
)


class ReasoningSplit:
    """Splits one message while it arrives.

    Attributes:
        is_over: whether the reasoning has ended; all text is rest then.
    """

    def __init__(self, *, thinking: bool = True) -> None:
        """Begin a message.

        Args:
            thinking: whether the model reasons; without it all text is rest.
        """
        self.is_over = not thinking
        self._is_at_start = True
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Read the next piece of text.

        Returns:
            What is now known to be reasoning, and what is the rest's. White
            space before `<think>` and at the reasoning's end belongs to neither.
        """
        if self.is_over:
            return "", text
        text = self._held + text
        self._held = ""
        if self._is_at_start:
            begin = text.lstrip(_WHITE_SPACE)
            if _THINK_BEGIN.startswith(begin) and begin != _THINK_BEGIN:
                self._held = text
                return "", ""
            if begin.startswith(_THINK_BEGIN):
                text = begin.removeprefix(_THINK_BEGIN)
            self._is_at_start = False
        match = _END.search(text)
        if match:
            self.is_over = True
            rest = text[match.end() if match[0] == _THINK_END else match.start() :]
            return text[: match.start()].rstrip(_WHITE_SPACE), rest
        end = _open_end(text)
        end = len(text[:end].rstrip(_WHITE_SPACE))
        self._held = text[end:]
        return text[:end], ""

    def finish(self) -> str:
        """End the message; the reasoning that was held because a marker might have come."""
        held, self._held = self._held, ""
        return held.rstrip(_WHITE_SPACE)


def _open_end(text: str) -> int:
    at = text.rfind("<")
    return at if at >= 0 and text[at:] in _BEGINNINGS else len(text)


def split_reasoning(text: str, *, thinking: bool = True) -> tuple[str | None, str | None]:
    """Split a whole text.

    Args:
        text: the model's output.
        thinking: as for `ReasoningSplit`.

    Returns:
        The reasoning and the rest, each None where it is empty.
    """
    split = ReasoningSplit(thinking=thinking)
    reasoning, rest = split.feed(text)
    return reasoning + split.finish() or None, rest or None
