"""A request while the steps change it."""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from k2compat.gateway.options import Options
from k2compat.gateway.thought_memory import Hash, Recall
from k2compat.toolcalls import Form
from k2compat.toolcalls.history import HistoryError, NativeHistory, native_history

Json: TypeAlias = dict[str, Any]


_MORE_THAN_TEXT: Final = frozenset(("tool_calls", "tool_call_id", "reasoning", "reasoning_content"))


class RequestRefusedError(ValueError):
    """The gateway answers the request itself, with an error.

    Attributes:
        status: the HTTP status.
        code: the error's code, explained in `codes.toml`.
        message: one sentence for the client. It never quotes text of the request.
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Note:
    """What one step did, for the log. It never holds text of the request.

    Attributes:
        step: the step's name, as --skip takes it.
        code: what was found or changed, explained in `codes.toml`.
        count: how many times.
    """

    step: str
    code: str
    count: int


@dataclass(slots=True)
class Draft:
    """A request's body and what the steps learn from it.

    Attributes:
        body: the body; it belongs to the draft, and steps change it in place.
        options: the gateway's options.
        notes: what the steps did.
        max_calls: how many calls the answer may hold, or None.
        call_required: whether the client demands a call.
        form: how a constrained engine writes the text, as for `StreamParser`.
        forced_name: the tool whose arguments alone are the text, or None.
        escaped: the markers that were escaped in the conversation.
        ids_in: where the answer holds token ids, as `dialects.toml` names it; "" for nowhere.
        recall: the thoughts of earlier answers, or None.
        conversation: the hash under which the answer's thoughts are kept.
        may_spell: whether the conversation may spell a marker.
    """

    body: Json
    options: Options
    notes: list[Note] = field(default_factory=list)
    max_calls: int | None = None
    call_required: bool = False
    form: Form = "markers"
    forced_name: str | None = None
    escaped: set[str] = field(default_factory=set)
    ids_in: str = ""
    recall: Recall | None = None
    conversation: Hash = None
    may_spell: bool = True
    _native: NativeHistory | None = None

    @property
    def messages(self) -> list[Json]:
        """The conversation. `request.prepare` has checked that it is a list of objects."""
        messages: list[Json] = self.body["messages"]
        return messages

    @property
    def is_plain(self) -> bool:
        """Whether the conversation is only text: no call, no result, no thought, no part.

        Such a conversation needs no repair, so the steps over its history are left out.
        """
        return all(
            type(message.get("content")) is str and message.keys().isdisjoint(_MORE_THAN_TEXT)
            for message in self.messages
        )

    @property
    def native(self) -> NativeHistory:
        """The conversation with native ids and plain content, read once.

        Raises:
            RequestRefusedError: the conversation has no meaning in the chat API.
        """
        if self._native is None:
            try:
                self._native = native_history(self.messages, self.body.get("tools"))
            except HistoryError as error:
                # The error's own message quotes the tool's name, which is the client's text.
                raise RequestRefusedError(
                    "request-history-invalid",
                    f"messages[{error.position}] is not a message of the chat API, or names a tool "
                    "in a way that no call id can hold.",
                ) from None
        return self._native

    def note(self, step: str, code: str, count: int) -> None:
        """Note what a step did, unless it did nothing."""
        if count:
            self.notes.append(Note(step, code, count))
