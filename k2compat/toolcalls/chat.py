"""The parser's results in OpenAI's shapes, for servers that speak its chat API.

A whole message becomes an assistant message or a `chat.completion`; events
become `chat.completion.chunk` objects. All are plain dicts, ready for `json`.

A client that puts our chunks together gets the message that `parse` returns.
For that the chunks follow the two courtesies of `Message`: reasoning does not
end in white space, and content of white space alone next to calls is none. Such
white space waits until it is known to count.

Clients differ in two things, so two options choose. `reasoning_field` names the
field of the reasoning: `reasoning_content` (DeepSeek's, and Moonshot's own API),
`reasoning` (vLLM's newer name), or both. `wire_ids="safe"` writes ids that every
client takes: native ids hold `.` and `:`, Anthropic's pattern is
`[a-zA-Z0-9_-]+`, and some clients stop at 40 characters. `native_history` takes
both forms back.

Problems are for the server's log. They are never part of what a client gets.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from . import codes
from .events import ArgumentsDelta, CallEnd, CallStart, Content, Event, Reasoning
from .history import safe_id
from .markers import WHITE_SPACE
from .message import Message

Json: TypeAlias = dict[str, Any]
ReasoningField: TypeAlias = Literal["reasoning_content", "reasoning", "both"]
WireIds: TypeAlias = Literal["native", "safe"]

DONE: Final = b"data: [DONE]\n\n"
"""The last line of a stream of server-sent events."""

# Only the engine knows these; the text decides all other reasons.
_ENGINE_KNOWS: Final = ("length", "content_filter")


def assistant_message(
    message: Message,
    *,
    reasoning_field: ReasoningField = "reasoning_content",
    wire_ids: WireIds = "native",
) -> Json:
    """Write a message as OpenAI's assistant message.

    Args:
        message: what the parser read.
        reasoning_field: the field of the reasoning; `"both"` writes it twice.
        wire_ids: `"native"` ids, or `"safe"` ones as `safe_id` writes them.

    Returns:
        A dict with `role` and `content`; with `tool_calls` and the reasoning's
        field where there are any. `content` is None next to calls that have
        none, otherwise a string: a request that sends the message back as
        history must have one of the two.

    Raises:
        ValueError: `reasoning_field` or `wire_ids` is none of those.
    """
    wire = _Wire(reasoning_field, wire_ids)
    result: Json = {"role": "assistant", "content": message.content}
    if message.reasoning is not None:
        result |= wire.reasoning(message.reasoning)
    if message.tool_calls:
        result["tool_calls"] = [
            wire.call(call.id, call.name, call.arguments) for call in message.tool_calls
        ]
    elif message.content is None:
        result["content"] = ""
    return result


def completion(
    message: Message | Sequence[Message],
    *,
    completion_id: str,
    model: str,
    created: int,
    engine_finish_reason: str | Sequence[str | None] | None = None,
    usage: Mapping[str, Any] | None = None,
    reasoning_field: ReasoningField = "reasoning_content",
    wire_ids: WireIds = "native",
) -> Json:
    """Write a message as a whole `chat.completion`, the answer without streaming.

    Args:
        message: what the parser read; a list of them where the request asked
            for several choices (`n`).
        completion_id: the answer's id.
        model: the name under which the model is served.
        created: when the answer was made, in seconds since 1970.
        engine_finish_reason: why the engine stopped; "length" and
            "content_filter" are passed on, since the text does not show them.
            A list where it differs from choice to choice.
        usage: the token counts of all choices together, as `token_usage`
            writes them.
        reasoning_field: as for `assistant_message`.
        wire_ids: as for `assistant_message`.

    Returns:
        The dict.

    Raises:
        ValueError: `reasoning_field` or `wire_ids` is none of those, or the
            list of engine's reasons has another length than the messages.
    """
    messages = [message] if isinstance(message, Message) else list(message)
    if engine_finish_reason is None or isinstance(engine_finish_reason, str):
        engine_finish_reason = [engine_finish_reason] * len(messages)
    result: Json = {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": index,
                "message": assistant_message(
                    each, reasoning_field=reasoning_field, wire_ids=wire_ids
                ),
                "logprobs": None,
                "finish_reason": _finish_reason(each.finish_reason, of_engine),
            }
            for index, (each, of_engine) in enumerate(
                zip(messages, engine_finish_reason, strict=True)
            )
        ],
    }
    if usage is not None:
        result["usage"] = dict(usage)
    return result


def token_usage(
    prompt_tokens: int,
    completion_tokens: int,
    *,
    reasoning_tokens: int | None = None,
    cached_tokens: int | None = None,
) -> Json:
    """Write token counts as OpenAI's `usage`.

    Args:
        prompt_tokens: the tokens of the prompt.
        completion_tokens: the tokens of the answer, reasoning and calls included.
        reasoning_tokens: how many of these are reasoning, where that is known.
        cached_tokens: how many of the prompt's came from a cache, likewise.

    Returns:
        The dict.
    """
    usage: Json = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    if reasoning_tokens is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    if cached_tokens is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    return usage


def server_sent_event(chunk: Mapping[str, Any]) -> bytes:
    """Write a chunk as a server-sent event.

    Args:
        chunk: a dict, as `ChunkStream` returns it.

    Returns:
        The bytes to send. They are ASCII, so that no character of the text,
        not even a lone surrogate, can break the line or its encoding.
    """
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode("ascii")


class ChunkStream:
    """Writes the events of one message as `chat.completion.chunk` dicts.

    Feed it the parser's events as they come, and then call `finish`. One
    stream writes one choice of one answer; several choices are several streams
    with one `completion_id`, and `usage` goes to the `finish` of the last.
    """

    def __init__(
        self,
        *,
        completion_id: str,
        model: str,
        created: int,
        choice_index: int = 0,
        reasoning_field: ReasoningField = "reasoning_content",
        wire_ids: WireIds = "native",
    ) -> None:
        """Begin a message.

        Args:
            completion_id: the answer's id, the same in all its chunks.
            model: the name under which the model is served.
            created: when the answer was begun, in seconds since 1970.
            choice_index: the number of the choice, where a request asks for
                several.
            reasoning_field: as for `assistant_message`.
            wire_ids: as for `assistant_message`.

        Raises:
            ValueError: `reasoning_field` or `wire_ids` is none of those.
        """
        self._wire: Final = _Wire(reasoning_field, wire_ids)
        self._head: Final = {
            "id": completion_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._choice_index = choice_index
        self._role: Json = {"role": "assistant"}
        self._calls_begun = self._calls_ended = 0
        self._is_cut = False
        self._arguments_reported = False
        self._has_content = False
        self._waiting_content: list[str] = []
        self._waiting_reasoning: list[str] = []
        self._finished = False

    def feed(self, events: Iterable[Event]) -> list[Json]:
        """Write the next events.

        Args:
            events: what the parser returned.

        Returns:
            The chunks to send, in order; often none.

        Raises:
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        return [self.chunk(delta) for delta in self.deltas(events)]

    def deltas(self, events: Iterable[Event]) -> list[Json]:
        """Write the next events as `feed` does, without the chunks around their deltas.

        That part is the same for all of them: a server of many streams writes it once.

        Returns:
            The deltas to send, in order; often none. The first has the role.

        Raises:
            RuntimeError: as `feed`.
        """
        if self._finished:
            raise RuntimeError("this message was finished; a new one needs a new ChunkStream")
        deltas: list[Json] = []
        for event in events:  # a comprehension is a call of its own in Python 3.11
            delta = self._delta(event)
            if delta is not None:
                deltas.append(delta)
        if self._role and deltas:
            deltas[0] = {**self._role, **deltas[0]}
            self._role = {}
        return deltas

    def chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        """A chunk around a delta; what was sent before makes no difference to it."""
        choice = {"index": self._choice_index, "delta": delta}
        choice |= {"logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice]}

    def finish(
        self,
        *,
        finish_reason: str | None = None,
        engine_finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> list[Json]:
        """End the message.

        Args:
            finish_reason: the message's (`parser.message.finish_reason`).
                Without it the events decide. They lack one thing: whether
                arguments that were broken already were cut, too.
            engine_finish_reason: why the engine stopped; "length" and
                "content_filter" are passed on, since the text does not show
                them.
            usage: the token counts, if the client asked for them. They come
                in a chunk of their own.

        Returns:
            The last chunks to send. A second call returns nothing.
        """
        if self._finished:
            return []
        self._finished = True
        last = self._role
        if not self._has_content and not self._calls_begun:
            last["content"] = "".join(self._waiting_content)
        reason = _finish_reason(finish_reason or self._own_finish_reason(), engine_finish_reason)
        chunks = [self.chunk(last, reason)]
        if usage is not None:
            chunks.append({**self._head, "choices": [], "usage": dict(usage)})
        return chunks

    def _delta(self, event: Event) -> Json | None:
        match event:
            case Content():
                return self._content(event.text)
            case Reasoning():
                return self._reasoning(event.text)
            case ArgumentsDelta():
                call = {"index": event.index, "function": {"arguments": event.text}}
                return {"tool_calls": [call]}
            case CallStart(index, call_id, name):
                self._calls_begun += 1
                return {"tool_calls": [{"index": index, **self._wire.call(call_id, name, "")}]}
            case CallEnd(_, complete):
                self._calls_ended += 1
                self._is_cut = self._is_cut or not (complete or self._arguments_reported)
                self._arguments_reported = False
            case _:
                # It is not for the client. A call that its own marker ended has one of
                # these before its end if its arguments are broken; one that was cut has none.
                self._arguments_reported = event.code == codes.ARGUMENTS_NOT_OBJECT
                self._is_cut = self._is_cut or event.code == codes.CALL_HEADER_CUT
        return None

    def _content(self, text: str) -> Json | None:
        if self._has_content:  # then nothing waits
            return {"content": text}
        self._waiting_content.append(text)
        if not text.strip(WHITE_SPACE):
            return None
        self._has_content = True
        return {"content": _taken(self._waiting_content)}

    def _reasoning(self, text: str) -> Json | None:
        counts = text.rstrip(WHITE_SPACE)
        delta = None
        if counts:
            self._waiting_reasoning.append(counts)
            delta = self._wire.reasoning(_taken(self._waiting_reasoning))
        if len(counts) < len(text):
            self._waiting_reasoning.append(text[len(counts) :])
        return delta

    def _own_finish_reason(self) -> str:
        if self._is_cut or self._calls_ended < self._calls_begun:
            return "length"
        return "tool_calls" if self._calls_begun else "stop"


class _Wire:
    """How one server writes what clients want in different forms."""

    def __init__(self, reasoning_field: ReasoningField, wire_ids: WireIds) -> None:
        if reasoning_field not in get_args(ReasoningField):
            raise ValueError(f"reasoning_field must be one of {_names(ReasoningField)}")
        if wire_ids not in get_args(WireIds):
            raise ValueError(f"wire_ids must be one of {_names(WireIds)}")
        self._fields = _REASONING_FIELDS.get(reasoning_field, (reasoning_field,))
        self._safe = wire_ids == "safe"

    def reasoning(self, text: str) -> Json:
        return dict.fromkeys(self._fields, text)

    def call(self, call_id: str, name: str, arguments: str) -> Json:
        return {
            "id": safe_id(call_id) if self._safe else call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }


_REASONING_FIELDS: Final = {"both": ("reasoning_content", "reasoning")}


def _names(choices: object) -> str:
    return ", ".join(map(repr, get_args(choices)))


def _finish_reason(own: str, of_engine: str | None) -> str:
    return of_engine if of_engine in _ENGINE_KNOWS else own


def _taken(pieces: list[str]) -> str:
    text = "".join(pieces)
    pieces.clear()
    return text
