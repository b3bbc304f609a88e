r"""The step that escapes text which spells a marker, so that it stays text.

Engines tokenize the whole prompt with special tokens allowed, so a marker in the text of a user, a
tool or a web page becomes a token and acts. U+2060 (word joiner, invisible, no width) after the
marker's first character prevents that. The reverse, over the answer, is `Unescaper`.

A prompt may spell a marker that no text of the request spells alone:

- Templates and servers join texts directly, such as the parts of a content. The end of a text is
  escaped where other texts of the request complete it to a marker, in any order.
- vLLM parses the JSON text of a call's arguments, and the template writes it again: an escape such
  as `\u003c` becomes a `<` in the prompt.
- Kimi-K2.5's tool declarations write `Array<TYPE>`, and the client chooses the name of the type.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from k2compat.gateway.draft import Draft, RequestRefusedError
from k2compat.gateway.steps.special_texts import (
    JOINER,
    SpecialTexts,
    escapes_printable,
    from_json,
    special_texts,
)

_DECLARATIONS: Final = ("tools", "functions")
_ALSO_IN_PROMPTS: Final = (
    *_DECLARATIONS,
    "tool_choice",
    "response_format",
    "json_schema",
    "documents",
    "chat_template_kwargs",
)
_TYPE_NAMES: Final = ("type", "$ref")
_NAMED_TYPES: Final = ("$defs", "definitions")

_MAY_SPELL_BRACKETS: Final = re.compile(rb'\[(?:[BEPU]|"\s*[,:}\]])')


def may_spell(body: bytes) -> bool:
    """Whether a body may spell a marker of the family, by a cheap test that is mostly False.

    Walking through all values would take longer than all other steps together.

    The test looks for texts that every marker of the family holds, in all forms that JSON allows;
    ends of texts that hold a part of a marker (a bracket); ends of names that brackets turn into
    one ("|im_end|", "/think"). One expression for all of these would take four times as long,
    because it stops at every byte. `in`, and an expression that begins with a letter, jump to the
    next candidate.
    """
    return (
        b"<" in body
        or (b"|" in body and b'|"' in body)
        or (b"\\" in body and b"\\u" in body)
        or b'think"' in body
        or _MAY_SPELL_BRACKETS.search(body) is not None
    )


def keep_text(draft: Draft) -> None:
    """Escape, pass or refuse what spells a marker, in every text of the conversation.

    Raises:
        RequestRefusedError: a marker was found, and the option is "refuse".
    """
    option = draft.options.marker_text
    if option == "pass" or not (draft.may_spell or draft.options.special_texts):
        return
    escaper = _Escaper(special_texts(draft.options.special_texts))
    escaper.body(draft.body)
    if escaper.found and option == "refuse":
        raise RequestRefusedError(
            "request-marker-text",
            f"The conversation spells the marker {escaper.found[0]}, which this server refuses.",
        )
    draft.escaped.update(escaper.found)
    draft.note("marker-text", "history-marker-text-escaped", len(escaper.found))


class _Escaper:
    """Escapes markers in a request.

    Attributes:
        found: the markers, in the order they were found.
    """

    def __init__(self, special: SpecialTexts) -> None:
        self.found: list[str] = []
        self._special = special
        self._open_ends: set[str] = set()
        self._completed: dict[str, list[str]] = {}

    def body(self, body: dict[str, Any]) -> None:
        """Escape every text of a request that a prompt may hold, in place."""
        self._change(body, self._text)
        for message in body["messages"]:
            self._escape_json(message)
        for key in _DECLARATIONS:
            if key in body:
                body[key] = self._declaration(body[key])
        if self._open_ends:
            texts = [text for part in _prompt_parts(body) for text in _texts(part)]
            self._completed = self._special.completed(self._open_ends, texts)
        if self._completed:
            self._change(body, self._end)

    def _change(self, body: dict[str, Any], change: Callable[[str], str]) -> None:
        for message in body["messages"]:
            for key, value in message.items():
                message[key] = _changed(value, change)
        for key in _ALSO_IN_PROMPTS:
            if key in body:
                body[key] = _changed(body[key], change)

    def _text(self, text: str) -> str:
        if not self._special.may_hold_one(text):
            return text
        escaped = self._special.pattern.sub(self._escaped, text)
        self._open_ends.update(self._special.open_ends(escaped))
        return escaped

    def _end(self, text: str) -> str:
        """A text whose end other texts do not complete."""
        if not self._special.may_hold_one(text):
            return text
        for end in self._special.open_ends(text):
            if end in self._completed:
                self.found += self._completed[end]
                place = len(text) - len(end) + 1
                text = text[:place] + JOINER + text[place:]
        return text

    def _escape_json(self, message: dict[str, Any]) -> None:
        """Escape markers that the arguments of a message's calls spell with JSON's escapes."""
        calls = message.get("tool_calls")
        calls = [*calls] if isinstance(calls, list) else []
        functions = [call.get("function") for call in calls if isinstance(call, dict)]
        for function in (*functions, message.get("function_call")):
            if not isinstance(function, dict):
                continue
            arguments = function.get("arguments")
            if isinstance(arguments, str) and escapes_printable(arguments):
                pattern = self._special.json_pattern
                function["arguments"] = pattern.sub(self._escaped_in_json, arguments)

    def _declaration(self, value: Any) -> Any:
        """A tool's declaration in which no name of a type is the inner text of a marker."""
        if isinstance(value, list):
            return [self._declaration(item) for item in value]
        if not isinstance(value, dict):
            return value
        declared = {}
        for key, item in value.items():
            if key in _TYPE_NAMES and isinstance(item, str):
                declared[key] = self._type_name(item)
            elif key in _NAMED_TYPES and isinstance(item, dict):
                named = {self._type_name(name): schema for name, schema in item.items()}
                declared[key] = self._declaration(named)
            else:
                declared[key] = self._declaration(item)
        return declared

    def _type_name(self, name: str) -> str:
        """A type's name, or a reference to one: its last segment is the name then."""
        for begin in (0, name.rfind("/") + 1):
            marker = f"<{name[begin:]}>"
            if self._special.pattern.fullmatch(marker):
                self.found.append(marker)
                return name[: begin + 1] + JOINER + name[begin + 1 :]
        return name

    def _escaped(self, match: re.Match[str]) -> str:
        self.found.append(match[0])
        return match[0][0] + JOINER + match[0][1:]

    def _escaped_in_json(self, match: re.Match[str]) -> str:
        self.found.append(from_json(match[0]))
        first = 6 if match[0][0] == "\\" else 1  # "\u003c", or the character itself
        return match[0][:first] + JOINER + match[0][first:]


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every string in it changed, also the keys: templates print both."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _changed(item, change) for key, item in value.items()}
    return value


def _prompt_parts(body: dict[str, Any]) -> Iterator[Any]:
    yield body["messages"]
    yield from (body[key] for key in _ALSO_IN_PROMPTS if key in body)


def _texts(value: Any) -> Iterator[str]:
    """Every string in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
