"""A streamed answer: server-sent events, each with a chunk."""

from dataclasses import dataclass, field
from typing import Final

from k2compat.endpoint.reading.answer import (
    Answer,
    AnsweredCall,
    Json,
    reasoning_of,
    shown,
    text_of,
)
from k2compat.endpoint.reading.errors import error_words
from k2compat.endpoint.reading.whole import first_choice, objects, usage_of
from k2compat.gateway import EventReader, EventTooLargeError, InvalidJsonError, decode

_DONE: Final = b"[DONE]"


@dataclass(slots=True)
class _Call:
    """A call whose deltas are being put together."""

    call_id: str = ""
    name: str = ""
    call_type: str = ""
    arguments: list[str] = field(default_factory=list)


def read_stream(answer: Answer, body: bytes) -> None:
    """Read the body of a stream of chunks into the answer."""
    reader = EventReader()
    try:
        events = [*reader.feed(body), *reader.finish()]
    except EventTooLargeError as error:
        answer.is_chat = False
        answer.observe("answer-invalid", f"The stream cannot be read: {error}.")
        return
    chunks = _Chunks(answer)
    for event in events:
        chunks.take_event(event.data)
    chunks.finish()


class _Chunks:
    """Puts the chunks of a stream together."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: dict[int, _Call] = {}
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._roles: list[str] = []
        self._reasons: list[str] = []
        self._ids: list[str] = []
        self._choices = 0
        self._done = False
        self._failed = False

    def take_event(self, data: bytes) -> None:
        if self._done:
            words = "Events follow [DONE]."
            self._answer.observe(
                "stream-data-after-end", words, actual=data.decode(errors="replace")
            )
            return
        if data.strip() == _DONE:
            self._done = True
            return
        try:
            chunk = decode(data)
        except InvalidJsonError:
            chunk = None
        if isinstance(chunk, dict):
            self._take_chunk(chunk)
        else:
            words = "An event of the stream is not a JSON object."
            self._answer.observe("stream-event-invalid", words, actual=data[:100])

    def finish(self) -> None:
        answer = self._answer
        answer.content = "".join(self._content)
        answer.reasoning = "".join(self._reasoning)
        answer.calls = tuple(
            AnsweredCall(call.call_id, call.name, "".join(call.arguments))
            for _, call in sorted(self._calls.items())
        )
        answer.finish_reason = self._reasons[0] if self._reasons else ""
        answer.pieces = len(self._content) + sum(
            len(call.arguments) for call in self._calls.values()
        )
        if not self._choices:
            answer.is_chat = False
            if not self._failed:
                answer.observe("answer-invalid", "The stream holds no choice.")
            return
        self._judge_frame()
        self._judge_calls()

    def _take_chunk(self, chunk: Json) -> None:
        if chunk.get("error"):
            self._failed = True
            words = f"The stream holds an error: {shown(error_words(chunk))}"
            self._answer.observe("server-failed", words)
            return
        self._ids.append(text_of(chunk.get("id")))
        usage = usage_of(chunk)
        if usage is not None:
            self._answer.usage = usage
        choice = first_choice(chunk)
        if choice is not None:
            self._choices += 1
            self._take_choice(choice)

    def _take_choice(self, choice: Json) -> None:
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        content, reasoning = text_of(delta.get("content")), reasoning_of(delta)
        calls = objects(delta.get("tool_calls"))
        if self._reasons and (content or reasoning or calls):
            words = "Text or calls follow the finish_reason."
            self._answer.observe("stream-data-after-end", words, actual=delta)
        if content:
            self._content.append(content)
        if reasoning:
            self._reasoning.append(reasoning)
        if delta.get("role"):
            self._roles.append(text_of(delta["role"]))
        for call in calls:
            self._take_call(call)
        reason = text_of(choice.get("finish_reason"))
        if reason:
            self._reasons.append(reason)

    def _take_call(self, delta: Json) -> None:
        index = delta.get("index")
        if type(index) is not int:
            words = "A tool call's delta has no index."
            self._answer.observe("stream-index-wrong", words, "0, 1, 2 …", index)
            index = max(self._calls, default=0)
        call = self._calls.setdefault(index, _Call())
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        self._take_head(call, index, text_of(delta.get("id")), text_of(function.get("name")))
        call.call_type = call.call_type or text_of(delta.get("type"))
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments += [arguments] if arguments else []
        elif arguments is not None:
            words = "The arguments in a delta are not text."
            self._answer.observe("arguments-not-text", words, actual=arguments)

    def _take_head(self, call: _Call, index: int, call_id: str, name: str) -> None:
        if call_id and call.call_id and call_id != call.call_id:
            words = f"Two calls share the index {index}."
            self._answer.observe("stream-index-wrong", words, "0, 1, 2 …", f"{index} twice")
        elif (call_id and call.call_id) or (name and call.name):
            words = "A call's id or name is sent again in a later delta."
            self._answer.observe("stream-call-head-repeated", words, actual=call_id or name)
        call.call_id = call.call_id or call_id
        call.name = call.name or name

    def _judge_frame(self) -> None:
        answer = self._answer
        if not self._done:
            answer.observe("stream-done-missing", "The stream ends without [DONE].")
        if not self._reasons:
            answer.observe("finish-reason-missing", "No chunk has a finish_reason.")
        if len(self._reasons) > 1:
            words = "The stream has more than one finish_reason."
            answer.observe("stream-finish-repeated", words, "1", ", ".join(self._reasons))
        if not self._roles or set(self._roles) != {"assistant"}:
            words = "The stream does not give the role assistant."
            answer.observe("role-wrong", words, "assistant", ", ".join(self._roles) or "none")
        elif len(self._roles) > 1:
            words = "The role is sent more than once."
            answer.observe("stream-role-repeated", words, "1", len(self._roles))
        if len(set(self._ids) - {""}) > 1:
            words = "The chunks of one answer have different ids."
            answer.observe("stream-id-changes", words, "one id", len(set(self._ids)))
        if answer.usage is None:
            answer.observe("usage-missing", "The stream has no usage, though it was asked for.")

    def _judge_calls(self) -> None:
        indices = sorted(self._calls)
        if indices != list(range(len(indices))):
            words = "The calls' indices are not 0, 1, 2 …"
            listed = ", ".join(map(str, indices))
            expected = ", ".join(map(str, range(len(indices))))
            self._answer.observe("stream-index-wrong", words, expected, listed)
        for call in self._calls.values():
            if call.call_type != "function":
                words = "A tool call's type is not function."
                self._answer.observe("call-type-missing", words, "function", call.call_type)
