"""The markers of the format: how they are written, and finding them in text."""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum, auto
from functools import cache
from typing import Final

WHITE_SPACE: Final = " \t\r\n"


class Symbol(IntEnum):
    """What moves the state machine: markers, the end of the text, and what text shows."""

    SECTION_BEGIN = auto()
    SECTION_END = auto()
    CALL_BEGIN = auto()
    ARGUMENT_BEGIN = auto()
    ARGUMENT_END = auto()
    CALL_END = auto()
    END_OF_TURN = auto()
    THINK_BEGIN = auto()
    THINK_END = auto()
    END_OF_TEXT = auto()
    # Markers in a certain situation.
    TURN_DONE = auto()  # an end of turn beyond doubt
    THINK_STRAY = auto()  # a thinking marker that opens or closes nothing
    # What text shows.
    TEXT = auto()  # it is more than white space
    ROLE_MARKER = auto()
    NO_ID = auto()  # the header holds what no id can hold
    OBJECT_BEGIN = auto()  # the header begins with `{`
    ARGUMENT_OBJECT = auto()  # `{` follows an id
    CALL_OBJECT = auto()  # the header's object is whole, and a call
    NO_OBJECT = auto()  # no JSON object, or none of a call, can come of it
    # What the server shows.
    NATIVE_CALL = auto()  # it read a call by itself, so the turn goes on


# Every way in which models and providers have been seen to write a marker.
# Each begins with `<` or `[`, and has it nowhere else.
TOOL_MARKERS: Final = {
    "<|tool_calls_section_begin|>": Symbol.SECTION_BEGIN,
    "<|tool_call_section_begin|>": Symbol.SECTION_BEGIN,
    "<|tool_calls_section_end|>": Symbol.SECTION_END,
    "<|tool_call_section_end|>": Symbol.SECTION_END,
    "<|tool_call_begin|>": Symbol.CALL_BEGIN,
    "<|tool_call_argument_begin|>": Symbol.ARGUMENT_BEGIN,
    "<|tool_arguments_begin|>": Symbol.ARGUMENT_BEGIN,
    "<|tool_call_argument_end|>": Symbol.ARGUMENT_END,
    "<|tool_call_end|>": Symbol.CALL_END,
    "<|im_end|>": Symbol.END_OF_TURN,
    "[EOS]": Symbol.END_OF_TURN,
    "[EOT]": Symbol.END_OF_TURN,
}
REASONING_MARKERS: Final = {
    "<think>": Symbol.THINK_BEGIN,
    "</think>": Symbol.THINK_END,
}
MARKERS: Final = TOOL_MARKERS | REASONING_MARKERS
# The next turn begins with one of these. They count only after an end of turn.
ROLE_MARKERS: Final = ("<|im_user|>", "<|im_assistant|>", "<|im_system|>")
# The markup of Kimi-K3, which is another format. It is only reported.
OTHER_MARKERS: Final = ("<|open|>", "<|sep|>", "<|close|>")
_FIRST_CHARACTERS: Final = ("<", "[")


class MarkerSet:
    """Some of the markers, and how to find them.

    Attributes:
        symbols: what each marker stands for.
        pattern: matches any of them.
        beginnings: what may still become one of them.
    """

    __slots__ = ("_with_angle", "_with_reasoning", "beginnings", "pattern", "symbols")

    def __init__(self, symbols: Mapping[str, Symbol]) -> None:
        self.symbols = symbols
        self.pattern = _pattern(symbols)
        self._with_reasoning = not symbols.keys().isdisjoint(REASONING_MARKERS)
        self._with_angle = _pattern(marker for marker in symbols if marker.startswith("<"))
        self.beginnings = frozenset(
            marker[:length] for marker in symbols for length in range(1, len(marker))
        )

    def may_contain_or_end_in_marker(self, text: str) -> bool:
        """Whether one of them, or the beginning of one, may be in the text: cheap, mostly False."""
        return text.endswith(_FIRST_CHARACTERS) or self.may_contain_marker(text)

    def may_contain_marker(self, text: str) -> bool:
        """Whether two characters that begin one of them are in the text: cheap, mostly False."""
        return (
            "<|" in text
            or "[E" in text
            or (self._with_reasoning and ("<t" in text or "</" in text))
        )

    def finder(self, text: str) -> Callable[[str, int], re.Match[str] | None]:
        """What finds the next marker in the text, from a place on.

        An expression whose matches all begin with one character is searched for
        several times faster, and `[EOS]` and `[EOT]` are rare.
        """
        return (self.pattern if "[EO" in text else self._with_angle).search

    def open_end(self, text: str) -> int:
        """Find where the text ends in something that may still become a marker.

        Args:
            text: any text.

        Returns:
            The place of that beginning of a marker, or the length of the text.
        """
        at = max(text.rfind("<"), text.rfind("["))
        return at if at >= 0 and text[at:] in self.beginnings else len(text)


def _pattern(markers: Iterable[str]) -> re.Pattern[str]:
    # An empty alternative would match everywhere, so no marker is the pattern that never matches.
    return re.compile("|".join(map(re.escape, markers)) or "(?!)")


@cache
def marker_set(*, reasoning: bool, without: frozenset[str] = frozenset()) -> MarkerSet:
    """The markers to look for.

    Args:
        reasoning: whether `<think>` and `</think>` are markers.
        without: markers to leave out.
    """
    markers = MARKERS if reasoning else TOOL_MARKERS
    return MarkerSet({text: symbol for text, symbol in markers.items() if text not in without})


# The beginning of a call in the model's own form. Where the whole call follows and no marker
# is in its arguments, but perhaps one in brackets, the arguments are the last group.
CALL_OPENING: Final = re.compile(
    r"<\|tool_call_begin\|>(functions\.([A-Za-z0-9_.-]+):([0-9]{1,15}))"
    r"<\|tool_call_argument_begin\|>(?:(\{[^<]*\})<\|tool_call_end\|>)?"
)


def marker_ids(tokenizer_config: Mapping[str, object]) -> dict[int, str]:
    """Read the markers' token ids from a model's `tokenizer_config.json`.

    Args:
        tokenizer_config: the parsed file.

    Returns:
        The marker for each token id that stands for one, as
        `StreamParser(marker_ids=…)` wants it.

    Raises:
        ValueError: no `added_tokens_decoder` in it names `<|tool_call_begin|>`:
            the file is of another model.
    """
    decoder = tokenizer_config.get("added_tokens_decoder")
    ids = dict(_known_markers(decoder.items())) if isinstance(decoder, Mapping) else {}
    if "<|tool_call_begin|>" not in ids.values():
        raise ValueError("no added_tokens_decoder that names <|tool_call_begin|>: not Kimi-K2's")
    return ids


def _known_markers(decoder: Iterable[tuple[object, object]]) -> Iterable[tuple[int, str]]:
    for token_id, token in decoder:
        content = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(content, str) and content in MARKERS:
            yield int(str(token_id)), content
