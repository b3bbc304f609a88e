"""The reverse of the step `marker-text`, over the answer."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from k2compat.gateway.steps.special_texts import JOINER
from k2compat.toolcalls import ArgumentsDelta, CallEnd, CallStart, Content, Event, Reasoning


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
