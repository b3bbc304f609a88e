"""The parser's results in OpenAI's shapes, for servers that speak its chat API.

A whole message becomes an assistant message or a `chat.completion`; events
become `chat.completion.chunk` objects. All are plain dicts, ready for `json`.

A client that puts our chunks together gets the message that `parse` returns.
For that the chunks follow the two courtesies of `Message`: reasoning does not
end in white space, and content of white space alone beside calls is none. Such
white space waits until it is known to count.

Problems are for the server's log. They are never part of what a client gets.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from .events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    Content,
    Event,
    Reasoning,
)
from .markers import WHITE_SPACE
from .message import Message, ToolCall

Json: TypeAlias = dict[str, Any]

DONE: Final = b"data: [DONE]\n\n"
"""The last line of a stream of server-sent events."""

# Only the engine knows these; whatever else it says, the text tells better.
_ENGINE_KNOWS: Final = ("length", "content_filter")


def assistant_message(message: Message) -> Json:
    """Write a message as OpenAI's assistant message.

    Args:
        message: what the parser read.

    Returns:
        A dict with `role` and `content`; with `tool_calls` and
        `reasoning_content` where there are any. `content` is None beside calls
        that have none, otherwise a string: a request that sends the message
        back as history must have one of the two.
    """
    result: Json = {"role": "assistant", "content": message.content}
    if message.reasoning is not None:
        result["reasoning_content"] = message.reasoning
    if message.tool_calls:
        result["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    elif message.content is None:
        result["content"] = ""
    return result


def completion(
    message: Message,
    *,
    completion_id: str,
    model: str,
    created: int,
    engine_finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> Json:
    """Write a message as a whole `chat.completion`, the answer without streaming.

    Args:
        message: what the parser read.
        completion_id: the answer's id.
        model: the name under which the model is served.
        created: when the answer was made, in seconds since 1970.
        engine_finish_reason: why the engine stopped; "length" and
            "content_filter" are passed on, since the text does not show them.
        usage: the token counts.

    Returns:
        The dict.
    """
    result: Json = {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": assistant_message(message),
                "logprobs": None,
                "finish_reason": _finish_reason(message.finish_reason, engine_finish_reason),
            }
        ],
    }
    if usage is not None:
        result["usage"] = dict(usage)
    return result


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
    stream writes one choice of one answer.
    """

    def __init__(
        self, *, completion_id: str, model: str, created: int, choice_index: int = 0
    ) -> None:
        """Begin a message.

        Args:
            completion_id: the answer's id, the same in all its chunks.
            model: the name under which the model is served.
            created: when the answer was begun, in seconds since 1970.
            choice_index: the number of the choice, where a request asks for
                several.
        """
        self._head: Final = {
            "id": completion_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._choice_index = choice_index
        self._role: Json = {"role": "assistant"}
        self._calls_complete: list[bool] = []
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
        if self._finished:
            raise RuntimeError("this message was finished; a new one needs a new ChunkStream")
        return [self._chunk(delta) for event in events for delta in self._deltas(event)]

    def finish(
        self,
        *,
        engine_finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> list[Json]:
        """End the message.

        Args:
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
        last: Json = {}
        if not self._has_content and not self._calls_complete:
            last["content"] = "".join(self._waiting_content)
        reason = _finish_reason(self._own_finish_reason(), engine_finish_reason)
        chunks = [self._chunk(last, reason)]
        if usage is not None:
            chunks.append({**self._head, "choices": [], "usage": dict(usage)})
        return chunks

    def _deltas(self, event: Event) -> Iterator[Json]:
        match event:
            case Content(text):
                yield from self._content(text)
            case Reasoning(text):
                yield from self._reasoning(text)
            case CallStart(index, call_id, name):
                self._calls_complete.append(False)
                yield {"tool_calls": [{"index": index, **_call(call_id, name, "")}]}
            case ArgumentsDelta(index, text):
                yield {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
            case CallEnd(index, complete):
                self._calls_complete[index] = complete
            # A Problem is not for the client.

    def _content(self, text: str) -> Iterator[Json]:
        self._waiting_content.append(text)
        if self._has_content or text.strip(WHITE_SPACE):
            self._has_content = True
            yield {"content": _taken(self._waiting_content)}

    def _reasoning(self, text: str) -> Iterator[Json]:
        counts = text.rstrip(WHITE_SPACE)
        if counts:
            self._waiting_reasoning.append(counts)
            yield {"reasoning_content": _taken(self._waiting_reasoning)}
        if len(counts) < len(text):
            self._waiting_reasoning.append(text[len(counts) :])

    def _own_finish_reason(self) -> str:
        if not self._calls_complete:
            return "stop"
        if not self._calls_complete[-1]:
            return "length"
        return "tool_calls" if all(self._calls_complete) else "stop"

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {
            "index": self._choice_index,
            "delta": {**self._role, **delta},
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        self._role = {}
        return {**self._head, "choices": [choice]}


def _tool_call(call: ToolCall) -> Json:
    return _call(call.id, call.name, call.arguments)


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _finish_reason(own: str, of_engine: str | None) -> str:
    return of_engine if of_engine in _ENGINE_KNOWS else own


def _taken(pieces: list[str]) -> str:
    text = "".join(pieces)
    pieces.clear()
    return text
