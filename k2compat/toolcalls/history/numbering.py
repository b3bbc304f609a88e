"""Numbers the calls of a conversation.

- Every call is numbered, also one whose id has the model's form already: only
  then the numbers are dense and none is used twice. NAME is the function's
  name, whatever the id is.
- A result belongs to the latest call before it that has its id. Where calls of
  one message share an id, their results are taken in the calls' order. A
  result without an id belongs to the first call of the latest message that has
  no result yet, and the result's `name` if it has one.
- A result without a call (the client cut its history, or mixed up the ids)
  proves a call that the history does not show. It takes a number of its own if
  its tool is known: from its id, if that is the model's form or a form that
  names a tool of the request or of the conversation, or from its `name`.
  Otherwise it stays as it is. Either way `unmatched` names its place, so that a
  server may log or refuse it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..ids import read_id
from ..json_prefix import is_object
from ..tools import DeclaredTools
from .plain import has_redacted_thoughts, plain_arguments, plain_message
from .safe_ids import safe_id

ChatMessage: TypeAlias = Mapping[str, Any]


class HistoryError(ValueError):
    """A client's message has no meaning in the chat API, or no id could name its tool.

    Attributes:
        position: the message's place in the conversation, from 0; None where the
            conversation itself is no list.
    """

    def __init__(self, position: int | None, reason: str) -> None:
        place = "messages" if position is None else f"messages[{position}]"
        super().__init__(f"{place}: {reason}")
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
        broken_arguments: the native ids of calls whose arguments are not one
            whole JSON object. They are passed on as they are.
        redacted_thoughts: the places of assistant messages from which encrypted
            thoughts (`redacted_thinking` parts) were left out.
    """

    messages: list[dict[str, Any]]
    original_ids: dict[str, str]
    call_count: int
    unmatched: tuple[int, ...]
    broken_arguments: tuple[str, ...]
    redacted_thoughts: tuple[int, ...]


def native_history(
    messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, object]] | None = None
) -> NativeHistory:
    """Give every call and tool result of a conversation its native id.

    Args:
        messages: the request's messages, as OpenAI's chat API has them. They
            are not changed; what stays the same is shared with the result.
        tools: the request's tools, if they are known. They help with results
            whose call the client cut.

    Returns:
        The new messages, and how to get the client's ids back.

    Raises:
        HistoryError: `messages` is no list, a message is no object, a call has
            no function name, its name cannot be part of an id (white space,
            control characters, `<|`), or its arguments are no JSON value. A
            server answers it with status 400. Any other exception is a bug.
    """
    if not isinstance(messages, list | tuple):
        raise HistoryError(None, "the conversation must be a list of messages")
    numbering = _Numbering(_names(tools))
    native = [numbering.native(position, message) for position, message in enumerate(messages)]
    return NativeHistory(
        messages=native,
        original_ids=numbering.original_ids,
        call_count=numbering.count,
        unmatched=tuple(numbering.unmatched),
        broken_arguments=tuple(numbering.broken_arguments),
        redacted_thoughts=tuple(
            position for position, message in enumerate(messages) if has_redacted_thoughts(message)
        ),
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
        broken_arguments: the native ids of calls with broken arguments.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self.broken_arguments: list[str] = []
        self.count = 0
        self.original_ids: dict[str, str] = {}
        self.unmatched: list[int] = []
        # The native ids of the latest calls with a client's id; the first is the next to
        # be answered.
        self._awaiting: dict[str, deque[str]] = {}
        # The native ids of the latest message's calls that have no result yet, and their tools.
        self._unanswered: dict[str, str] = {}

    def native(self, position: int, message: ChatMessage) -> dict[str, Any]:
        """The message with native ids."""
        if not isinstance(message, Mapping):
            raise HistoryError(position, "a message must be an object")
        native = plain_message(message)
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
        self._unanswered = {call["id"]: call["function"]["name"] for call in native}
        return native

    def _call(self, position: int, call: object) -> dict[str, Any]:
        function = call.get("function") if isinstance(call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if (
            not isinstance(call, Mapping)
            or not isinstance(function, Mapping)
            or not isinstance(name, str)
        ):
            raise HistoryError(position, "a tool call must have a function with a name")
        if not _can_be_named(name):
            raise HistoryError(position, f"no call id can name the tool {name!r}")
        arguments = plain_arguments(function.get("arguments"))
        if arguments is None:
            raise HistoryError(position, f"the arguments of {name!r} are no JSON value")
        self._names[name] = None
        native_id = self._next_id(name, _client_id(call.get("id")))
        if not is_object(arguments):
            self.broken_arguments.append(native_id)
        return {**call, "id": native_id, "function": {**function, "arguments": arguments}}

    def _answer(self, position: int, result: dict[str, Any]) -> None:
        original, name = _client_id(result.get("tool_call_id")), result.get("name")
        native = self._call_of(result.get("tool_call_id"), original, name)
        if native is None:
            self.unmatched.append(position)
            native = self._id_of_hidden_call(original, name)
        if native is not None:
            self._unanswered.pop(native, None)
            result["tool_call_id"] = native

    def _call_of(self, given: object, original: str | None, name: object) -> str | None:
        """The native id of the call that a result answers, if the history shows it."""
        if given is None:
            fitting = (native for native, tool in self._unanswered.items() if name in (None, tool))
            return next(fitting, None)
        awaiting = self._awaiting.get(original) if original is not None else None
        if not awaiting:
            return None
        # The last one stays: a second result of a call is still its result.
        return awaiting.popleft() if len(awaiting) > 1 else awaiting[0]

    def _id_of_hidden_call(self, original: str | None, name: object) -> str | None:
        """A new native id for the call that a result proves, if its tool is known."""
        tool = self._tool_of(original, name)
        native = None if tool is None else self._next_id(tool, original)
        if native is not None and original is not None:
            self._awaiting[original] = deque([native])
        return native

    def _next_id(self, name: str, original: str | None) -> str:
        native = f"functions.{name}:{self.count}"
        self.count += 1
        if original is not None:
            self.original_ids[native] = original
        return native

    def _tool_of(self, original: str | None, name: object) -> str | None:
        """The tool of a result without a call, if its id or its name names one."""
        if original is not None:
            tools = DeclaredTools([{"function": {"name": each}} for each in self._names])
            parsed = read_id(original, tools)
            parsed_name = parsed.name if parsed is not None else None
            if parsed is not None and (parsed.canonical or parsed_name in self._names):
                return parsed_name
            for each in self._names:
                if safe_id(f"functions.{each}:{original.rpartition('_')[2]}") == original:
                    return each
        return name if isinstance(name, str) and _can_be_named(name) else None


def _names(tools: Sequence[Mapping[str, object]] | None) -> Iterable[str]:
    return filter(_can_be_named, DeclaredTools(tools).parameters)


def _client_id(value: object) -> str | None:
    """An id as text; None where there is none, or none that can be compared."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _can_be_named(name: str) -> bool:
    parsed = read_id(f"functions.{name}:0", DeclaredTools([{"function": {"name": name}}]))
    return parsed is not None and parsed.canonical and parsed.name == name
