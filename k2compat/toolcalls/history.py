"""Gives the calls of a conversation the model's own ids, and the client's back.

Clients number their calls as they like (`call_…`, uuids). The model imitates
what it finds in its prompt, and then writes ids that no longer name a tool. So
before a prompt is made, every call gets the id the model would have written:
`functions.NAME:IDX`, with one counter from 0 over the whole conversation.

What a client sends is judged like this:

- Every call is numbered, also one whose id has the model's form already: only
  then the numbers are dense and none is used twice. NAME is the function's
  name, whatever the id says.
- A result belongs to the latest call before it that has its id. Where calls of
  one message share an id, their results are taken in the calls' order.
- A result without a call (the client cut its history, or mixed up the ids)
  proves a call that the history does not show. It takes a number of its own if
  its tool is known: from its id, if that has the model's form, or from its
  `name`. Otherwise it stays as it is. Either way `unmatched` names its place,
  so that a server may log or refuse it.
- Content that is None, missing or an empty list becomes an empty string, and a
  list of text parts their text. Templates would print them as Python objects.
  Lists with other parts (images) are left to the template.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .ids import read_id
from .tools import DeclaredTools

ChatMessage: TypeAlias = Mapping[str, Any]

_NO_TOOLS: Final = DeclaredTools(None)


class HistoryError(ValueError):
    """A client's message has no meaning in the chat API, or no id could name its tool.

    Attributes:
        position: the message's place in the conversation, from 0.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"messages[{position}]: {reason}")
        self.position = position


@dataclass(frozen=True, slots=True)
class NativeHistory:
    """A conversation whose ids are the model's own.

    Attributes:
        messages: the messages, in their order, ready for the chat template.
        original_ids: the client's own id for each native id; for `restore_ids`.
        call_count: how many calls the conversation holds, which is the
            `first_index` of the parser for the answer.
        unmatched: the places of tool results that belong to no call.
    """

    messages: list[dict[str, Any]]
    original_ids: dict[str, str]
    call_count: int
    unmatched: tuple[int, ...]


def native_history(messages: Sequence[ChatMessage]) -> NativeHistory:
    """Give every call and tool result of a conversation its native id.

    Args:
        messages: the request's messages, as OpenAI's chat API has them. They
            are not changed; what stays the same is shared with the result.

    Returns:
        The new messages, and how to get the client's ids back.

    Raises:
        HistoryError: a message is no object, a call has no function name, or
            its name cannot be part of an id (white space, control characters,
            `<|`). A server answers it with status 400. Any other exception is
            a bug.
    """
    numbering = _Numbering()
    native = [numbering.native(position, message) for position, message in enumerate(messages)]
    return NativeHistory(
        messages=native,
        original_ids=numbering.original_ids,
        call_count=numbering.count,
        unmatched=tuple(numbering.unmatched),
    )


def restore_ids(
    messages: Iterable[ChatMessage], original_ids: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Give calls and tool results the client's ids back.

    Args:
        messages: messages with native ids. They are not changed.
        original_ids: the client's id for each native id. Ids it does not have,
            such as those of the model's new calls, stay.

    Returns:
        The messages with the client's ids.
    """
    return [_restored(message, original_ids) for message in messages]


def _restored(message: ChatMessage, original_ids: Mapping[str, str]) -> dict[str, Any]:
    restored = dict(message)
    if "tool_call_id" in message:
        native = message["tool_call_id"]
        restored["tool_call_id"] = original_ids.get(native, native)
    if message.get("tool_calls"):
        restored["tool_calls"] = [
            {**call, "id": original_ids.get(call.get("id"), call.get("id"))}
            for call in message["tool_calls"]
        ]
    return restored


class _Numbering:
    """Numbers the calls of one conversation.

    Attributes:
        count: how many calls were numbered.
        original_ids: the client's id for each native id.
        unmatched: the places of results without a call.
    """

    def __init__(self) -> None:
        self.count = 0
        self.original_ids: dict[str, str] = {}
        self.unmatched: list[int] = []
        # The native ids of the latest calls with a client's id; the first is
        # the next to be answered.
        self._awaiting: dict[str, deque[str]] = {}

    def native(self, position: int, message: ChatMessage) -> dict[str, Any]:
        """The message with native ids."""
        if not isinstance(message, Mapping):
            raise HistoryError(position, "a message must be an object")
        native = {**message, "content": _plain_content(message.get("content"))}
        if message.get("tool_calls"):
            native["tool_calls"] = self._calls(position, message["tool_calls"])
        if message.get("role") == "tool":
            self._answer(position, native)
        return native

    def _calls(self, position: int, calls: object) -> list[dict[str, Any]]:
        if not isinstance(calls, list | tuple):
            raise HistoryError(position, "tool_calls must be a list")
        native = [self._call(position, call) for call in calls]
        awaiting: dict[str, deque[str]] = {}
        for call in native:
            if call["id"] in self.original_ids:
                awaiting.setdefault(self.original_ids[call["id"]], deque()).append(call["id"])
        self._awaiting |= awaiting
        return native

    def _call(self, position: int, call: object) -> dict[str, Any]:
        function = call.get("function") if isinstance(call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(name, str):
            raise HistoryError(position, "a tool call must have a function with a name")
        if not _can_be_named(name):
            raise HistoryError(position, f"no call id can name the tool {name!r}")
        return {**call, "id": self._next_id(name, call.get("id"))}

    def _answer(self, position: int, result: dict[str, Any]) -> None:
        original = result.get("tool_call_id")
        awaiting = self._awaiting.get(original) if isinstance(original, str) else None
        if awaiting:
            # The last one stays: a second result of a call is still its result.
            result["tool_call_id"] = awaiting.popleft() if len(awaiting) > 1 else awaiting[0]
            return
        self.unmatched.append(position)
        name = _tool_of(result)
        if name is not None:
            result["tool_call_id"] = self._next_id(name, original)
            if isinstance(original, str):
                self._awaiting[original] = deque([result["tool_call_id"]])

    def _next_id(self, name: str, original: object) -> str:
        native = f"functions.{name}:{self.count}"
        self.count += 1
        if isinstance(original, str):
            self.original_ids[native] = original
        return native


def _tool_of(result: ChatMessage) -> str | None:
    """The tool that a result without a call is of, if it says so."""
    original, name = result.get("tool_call_id"), result.get("name")
    said = read_id(original, _NO_TOOLS) if isinstance(original, str) else None
    if said is not None and said.canonical:
        return said.name
    return name if isinstance(name, str) and _can_be_named(name) else None


def _can_be_named(name: str) -> bool:
    said = read_id(f"functions.{name}:0", DeclaredTools([{"function": {"name": name}}]))
    return said is not None and said.canonical and said.name == name


def _plain_content(content: object) -> object:
    """The content as a template can print it."""
    if content is None:
        return ""
    if isinstance(content, list | tuple) and all(map(_is_text_part, content)):
        return "".join(part["text"] for part in content)
    return content


def _is_text_part(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
    )
