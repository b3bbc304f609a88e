"""The step that keeps text which spells a marker text.

Engines tokenize the whole prompt with special tokens allowed, so a marker in the text of a user, a
tool or a web page becomes a token and acts. U+2060 (word joiner, invisible, no width) after the
marker's first character prevents that. The reverse, over the answer, is `Unescaper`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

from k2compat.gateway.draft import Draft, RequestRefusedError
from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart, Content, Event, Reasoning
from k2compat.toolcalls.markers import MARKERS

JOINER: Final = "\u2060"

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
# Every unnamed place of the vocabulary's end is such a token.
_RESERVED: Final = r"<\|reserved_token_[0-9]+\|>"
_ALSO_IN_PROMPTS: Final = (
    "tools",
    "functions",
    "tool_choice",
    "response_format",
    "chat_template_kwargs",
)


# What every marker of the family holds, as it may be written in JSON.
_MAY_SPELL: Final = re.compile(rb"<|\\u|\[[BEPU]")


def may_spell(body: bytes, messages: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a body may spell a marker of the family: cheap, mostly False.

    Walking through all values takes longer than all other steps together. In parts, a marker may be
    cut anywhere.
    """
    return _MAY_SPELL.search(body) is not None or any(
        isinstance(message.get("content"), list) for message in messages
    )


def keep_text(draft: Draft) -> None:
    """Escape, pass or refuse what spells a marker, in every text of the conversation.

    Raises:
        RequestRefusedError: a marker was found, and the option is "refuse".
    """
    option = draft.options.marker_text
    if option == "pass" or not (draft.may_spell or draft.options.special_texts):
        return
    escaper = _Escaper(_pattern(draft.options.special_texts))
    for message in draft.messages:
        for key, value in message.items():
            message[key] = escaper.value(value)
        if isinstance(message.get("content"), list):
            message["content"] = escaper.across_parts(message["content"])
    for key in _ALSO_IN_PROMPTS:
        if key in draft.body:
            draft.body[key] = escaper.value(draft.body[key])
    if escaper.found and option == "refuse":
        raise RequestRefusedError(
            "request-marker-text",
            f"The conversation spells the marker {escaper.found[0]}, which this server refuses.",
        )
    draft.escaped.update(escaper.found)
    draft.note("marker-text", "history-marker-text-escaped", len(escaper.found))


@lru_cache(maxsize=8)
def _pattern(special_texts: frozenset[str]) -> re.Pattern[str]:
    # The longest first, so that a text is found before one that it begins with.
    texts = sorted(SPECIAL_TEXTS | special_texts, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, texts), _RESERVED]))


class _Escaper:
    """Escapes markers in values.

    Attributes:
        found: the markers, in the order they were found.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.found: list[str] = []
        self._pattern = pattern

    def value(self, value: Any) -> Any:
        """The value with every string in it escaped, keys too: templates print both."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self._text(key): self.value(item) for key, item in value.items()}
        return value

    def across_parts(self, content: list[Any]) -> list[Any]:
        """Content whose text parts spell no marker together: templates join them directly."""
        texts = [part["text"] for part in content if _has_text(part)]
        cuts = [match.start() + 1 for match in self._matches("".join(texts))]
        if not cuts:
            return content
        begins = accumulate(map(len, texts), initial=0)
        pieces = iter([_cut(text, begin, cuts) for text, begin in zip(texts, begins, strict=False)])
        return [{**part, "text": next(pieces)} if _has_text(part) else part for part in content]

    def _text(self, text: str) -> str:
        if "<" not in text and "[" not in text:
            return text
        return _cut(text, 0, [match.start() + 1 for match in self._matches(text)])

    def _matches(self, text: str) -> list[re.Match[str]]:
        matches = list(self._pattern.finditer(text))
        self.found += [match[0] for match in matches]
        return matches


def _cut(text: str, begin: int, cuts: list[int]) -> str:
    """The text with a joiner at each of the cuts that follow one of its characters."""
    own = [cut - begin for cut in cuts if begin < cut <= begin + len(text)]
    return JOINER.join(text[start:end] for start, end in pairwise([0, *own, len(text)]))


def _has_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


class Unescaper:
    """Takes the escapes of one request out of its answer, and no other U+2060."""

    def __init__(self, escaped: Iterable[str]) -> None:
        """Begin an answer.

        Args:
            escaped: the markers that were escaped in the request.
        """
        # In arguments the model may write the joiner as JSON's escape.
        self._originals = {
            marker[0] + joiner + marker[1:]: marker
            for marker in escaped
            for joiner in (JOINER, "\\u2060")
        }
        self._pattern = re.compile("|".join(map(re.escape, self._originals)))
        self._beginnings = frozenset(
            form[:length] for form in self._originals for length in range(1, len(form))
        )
        self._longest = max(map(len, self._originals))
        self._held: Content | Reasoning | ArgumentsDelta | None = None

    def text(self, text: str) -> str:
        """A whole text without the escapes."""
        return self._pattern.sub(lambda match: self._originals[match[0]], text)

    def value(self, value: Any) -> Any:
        """A value without the escapes in any of its strings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return value

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The events without the escapes; text that may begin one is held back."""
        result: list[Event] = []
        for event in events:
            match event:
                case Content() | Reasoning() | ArgumentsDelta():
                    result += self._piece(event)
                case CallStart(index, call_id, name):
                    result += self.finish()
                    result.append(CallStart(index, self.text(call_id), self.text(name)))
                case CallEnd():
                    result += self.finish()
                    result.append(event)
                case _:
                    result.append(event)
        return result

    def finish(self) -> list[Event]:
        """What was held back."""
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _piece(self, event: Content | Reasoning | ArgumentsDelta) -> list[Event]:
        before: list[Event] = []
        if self._held is not None and replace(self._held, text="") == replace(event, text=""):
            event = replace(event, text=self._held.text + event.text)
            self._held = None
        else:
            before = self.finish()
        text = self.text(event.text)
        end = self._open_end(text)
        if end < len(text):
            self._held = replace(event, text=text[end:])
        return [*before, replace(event, text=text[:end])] if end else before

    def _open_end(self, text: str) -> int:
        for begin in range(max(0, len(text) - self._longest), len(text)):
            if text[begin:] in self._beginnings:
                return begin
        return len(text)
