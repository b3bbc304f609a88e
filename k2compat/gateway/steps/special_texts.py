"""The texts that the family's tokenizers read as special tokens, and how a text may spell one."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from k2compat.toolcalls.markers import MARKERS

JOINER: Final = "\u2060"
"""The word joiner: invisible, and without a width."""

# Special tokens of the family's tokenizer_config.json files, K2-Instruct to K2.7-Code.
SPECIAL_TEXTS: Final = frozenset(MARKERS) | {
    "[BOS]",
    "[UNK]",
    "[PAD]",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|im_system|>",
    "<|im_middle|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|media_begin|>",
    "<|media_start|>",
    "<|media_content|>",
    "<|media_end|>",
    "<|media_pad|>",
}
# Every unnamed id at the vocabulary's end is such a token. The end has 256 ids in the released
# tokenizers; other vocabularies number theirs in another way.
_RESERVED: Final = r"<\|reserved_token_[0-9]+\|>"
_JSON_DIGIT: Final = r"(?:[0-9]|\\u003[0-9])"
_ESCAPED_PRINTABLE: Final = re.compile(r"\\u00[2-7]|\\/")
_JSON_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\(/)")
_RESERVED_TEXTS: Final = tuple(
    f"<|reserved_token_{number}|>" for number in range(163_584, 163_584 + 256)
)


class SpecialTexts:
    """The special texts of a tokenizer.

    Attributes:
        pattern: finds them in a text.
        json_pattern: finds them in JSON text, whose strings may write any character as an escape.
    """

    def __init__(self, own: frozenset[str]) -> None:
        """Take a tokenizer's own texts; `special_texts` keeps what this makes."""
        known = SPECIAL_TEXTS | own
        # The longest first, so that a text is found before one that it begins with.
        ordered = sorted(known, key=len, reverse=True)
        self.pattern = re.compile("|".join([*map(re.escape, ordered), _RESERVED]))
        firsts = "".join({re.escape(text[0]) for text in ordered})
        reserved = _in_json("<|reserved_token_") + _JSON_DIGIT + "+" + _in_json("|>")
        in_json = "|".join([*map(_in_json, ordered), reserved])
        # Without the look at the first character each place of a text is tried with each of them.
        self.json_pattern = re.compile(rf"(?=[{firsts}\\])(?:{in_json})")
        self._all = (*ordered, *_RESERVED_TEXTS)
        self._firsts = tuple({text[0] for text in self._all})
        self._longest = max(map(len, self._all))
        self._beginnings = frozenset(
            text[:length] for text in self._all for length in range(1, len(text))
        )

    def may_hold_one(self, text: str) -> bool:
        """Whether a text may hold one or the beginning of one, by a cheap test."""
        for first in self._firsts:  # noqa: SIM110 - `any` takes twice as long, for every text
            if first in text:
                return True
        return False

    def open_ends(self, text: str) -> list[str]:
        """The ends of a text with which a special text may begin."""
        begin = max(0, len(text) - self._longest + 1)
        ends = (text[at:] for at in range(begin, len(text)) if text[at] in self._firsts)
        return [end for end in ends if end in self._beginnings]

    def completed(self, open_ends: Iterable[str], texts: Iterable[str]) -> dict[str, list[str]]:
        """The special texts that ends of texts spell together with other texts, in any order.

        Templates and servers may join any texts of a request: parts of a content, messages of one
        role, a name before a text.

        Args:
            open_ends: ends of texts, as `open_ends` returns them.
            texts: all texts of the request.

        Returns:
            The special texts for each of the ends that some of the texts complete.
        """
        joins = _Joins({text[: self._longest] for text in texts if text})
        made = {
            end: [
                text for text in self._all if text.startswith(end) and joins.make(text[len(end) :])
            ]
            for end in open_ends
        }
        return {end: texts for end, texts in made.items() if texts}


class _Joins:
    """Finds whether texts that follow each other spell a special text.

    The cost is bounded by the special texts: `_known` caches their ends that were looked up.
    """

    def __init__(self, texts: set[str]) -> None:
        self._texts = texts
        self._sorted = sorted(texts)
        self._known: dict[str, bool] = {}

    def make(self, rest: str) -> bool:
        """Whether texts one after the other begin with `rest`."""
        known = self._known.get(rest)
        if known is None:
            known = self._known[rest] = self._one_begins_with(rest) or any(
                rest[:length] in self._texts and self.make(rest[length:])
                for length in range(1, len(rest))
            )
        return known

    def _one_begins_with(self, rest: str) -> bool:
        place = bisect_left(self._sorted, rest)
        return place < len(self._sorted) and self._sorted[place].startswith(rest)


@lru_cache(maxsize=8)
def special_texts(own: frozenset[str]) -> SpecialTexts:
    """The special texts of a tokenizer that has its own in addition to the family's."""
    return SpecialTexts(own)


def escapes_printable(text: str) -> bool:
    """Whether a JSON text writes a printable ASCII character as an escape, which few writers do."""
    return _ESCAPED_PRINTABLE.search(text) is not None


def from_json(text: str) -> str:
    """The text that a piece of a JSON string stands for."""
    return _JSON_ESCAPE.sub(lambda found: found[2] or chr(int(found[1], 16)), text)


def _in_json(text: str) -> str:
    """A pattern for a text inside a string of a JSON text."""
    return "".join(map(_character_in_json, text))


def _character_in_json(character: str) -> str:
    escape = rf"\\u(?i:{ord(character):04x})"
    slash = r"|\\/" if character == "/" else ""
    return f"(?:{re.escape(character)}|{escape}{slash})"
