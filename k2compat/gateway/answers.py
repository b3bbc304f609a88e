"""The answer in the form that the client asked for: a stream of chunks, or one object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from k2compat.gateway.draft import Json
from k2compat.gateway.json_text import encode
from k2compat.gateway.reading import Piece
from k2compat.toolcalls import Event
from k2compat.toolcalls.chat import DONE, ChunkStream, ReasoningField

_OF_WHOLE_ANSWER: Final = ("system_fingerprint", "service_tier")


@dataclass(slots=True)
class AnswerHead:
    """What all chunks of an answer share.

    Attributes:
        answer_id: the answer's id; the upstream's where it gives one.
        model: the model's name.
        created: when the answer began, in seconds since 1970.
        extras: fields of the upstream's chunks that pass through.
    """

    answer_id: str
    model: str
    created: int
    extras: Json = field(default_factory=dict)

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Take over what the upstream's first chunk, or its whole answer, holds."""
        if isinstance(chunk.get("id"), str):
            self.answer_id = chunk["id"]
        if isinstance(chunk.get("model"), str):
            self.model = chunk["model"]
        if type(chunk.get("created")) is int:
            self.created = chunk["created"]
        self.extras = {name: chunk[name] for name in _OF_WHOLE_ANSWER if name in chunk}


class StreamedAnswer:
    """Writes an answer as server-sent events."""

    def __init__(self, head: AnswerHead, reasoning_field: ReasoningField) -> None:
        """Begin an answer.

        Args:
            head: what all chunks share; it may change until the first chunk is written.
            reasoning_field: the field that holds the thoughts.
        """
        self._head = head
        self._reasoning_field = reasoning_field
        self._choices: dict[int, ChunkStream] = {}
        self._frames: dict[int, tuple[ChunkStream, bytes, bytes]] = {}

    def piece(self, piece: Piece) -> bytes:
        """Write the next piece of a choice."""
        if piece.extras or piece.delta_extras or piece.reason is not None:
            return b"".join([server_sent_event(chunk) for chunk in self.chunks(piece)])
        return self.events(piece.choice, piece.events)

    def events(self, choice: int, events: list[Event]) -> bytes:
        """Write the next events of a choice, alone in their chunk."""
        frame = self._frames.get(choice)
        if frame is None:
            frame = self._frames[choice] = self._frame(choice)
        stream, begin, end = frame
        written = b""
        for delta in stream.deltas(events):  # nearly always one
            written += begin + encode(delta) + end
        return written

    def chunks(self, piece: Piece) -> list[Json]:
        """The next piece of a choice as chunks."""
        stream = self._stream(piece.choice)
        chunks = stream.feed(piece.events)
        if piece.extras or piece.delta_extras:
            if not chunks:
                choice: Json = {"index": piece.choice, "delta": {}, "finish_reason": None}
                chunks = [self._chunk([choice])]
            choice = chunks[-1]["choices"][0]
            choice |= piece.extras
            choice["delta"] |= piece.delta_extras
        if piece.reason is not None:
            (last,) = stream.finish()
            last["choices"][0]["finish_reason"] = piece.reason
            chunks.append(last)
        if self._head.extras:
            return [chunk | self._head.extras for chunk in chunks]
        return chunks

    def end(self, usage: Json | None) -> bytes:
        """End the answer, with the token counts if there are any to send."""
        if usage is None:
            return DONE
        chunk = self._chunk([]) | self._head.extras | {"usage": usage}
        return server_sent_event(chunk) + DONE

    def _chunk(self, choices: list[Json]) -> Json:
        return {
            "id": self._head.answer_id,
            "object": "chat.completion.chunk",
            "created": self._head.created,
            "model": self._head.model,
            "choices": choices,
        }

    def _frame(self, index: int) -> tuple[ChunkStream, bytes, bytes]:
        """The stream of a choice, and the bytes around the deltas of its events."""
        stream = self._stream(index)
        event = server_sent_event(stream.chunk({}) | self._head.extras)
        # Inside a string the quotes are escaped, and extras follow the choices.
        begin, name, end = event.partition(b'"delta":')
        return stream, begin + name, end.removeprefix(b"{}")

    def _stream(self, index: int) -> ChunkStream:
        stream = self._choices.get(index)
        if stream is None:
            stream = self._choices[index] = ChunkStream(
                completion_id=self._head.answer_id,
                model=self._head.model,
                created=self._head.created,
                choice_index=index,
                reasoning_field=self._reasoning_field,
            )
        return stream


def whole_answer(upstream: Json, head: AnswerHead, choices: list[Json], usage: Json | None) -> Json:
    """The answer as one `chat.completion`.

    Args:
        upstream: the upstream's whole answer, whose other fields pass through; empty where the
            upstream streamed.
        head: what a stream's chunks share.
        choices: the choices as the client gets them.
        usage: the token counts.
    """
    answer = {
        **upstream,
        **head.extras,
        "id": head.answer_id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }
    return answer if usage is None else {**answer, "usage": usage}


def error_body(code: str, message: str, status: int) -> Json:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 500 else "upstream_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def server_sent_event(value: Json) -> bytes:
    """Write an object as one event."""
    return b"data: " + encode(value) + b"\n\n"
