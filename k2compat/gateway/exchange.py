"""One request and its answer as a state machine: bytes in, bytes out, no sockets and no clock.

The caller owns both connections:

    exchange = Exchange(body, options, answer_id=…, created=…)   # may raise RequestRefusedError
    … send exchange.upstream_body, read the upstream's status and content type …
    send(exchange.begin(status, content_type))
    for piece in upstream: send(exchange.receive(piece))
    send(exchange.finish())

`exchange.head` holds the client's status and content type as soon as they are certain, which is
not later than the first bytes to send. `exchange.done` is true once no further bytes of the
upstream are needed; its connection can then be closed.

    waiting --begin, an error's status--> passing ---finish---> ended
    waiting --begin, an event stream----> events ----[DONE]---> ended
    waiting --begin, anything else------> whole  ---finish----> ended
"""

from collections import Counter
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from k2compat.gateway.alike_chunks import AlikeChunks
from k2compat.gateway.answers import (
    AnswerHead,
    StreamedAnswer,
    error_body,
    server_sent_event,
    whole_answer,
)
from k2compat.gateway.draft import Json
from k2compat.gateway.json_text import InvalidJsonError, decode, encode
from k2compat.gateway.options import Options
from k2compat.gateway.reading import AnswerReading, Piece
from k2compat.gateway.request import PreparedRequest, prepare, write_body
from k2compat.gateway.sse import EventReader, EventTooLargeError, ServerSentEvent
from k2compat.gateway.thought_memory import Recall
from k2compat.gateway.upstream_fields import kept_fields

EVENT_STREAM: Final = "text/event-stream"
_STREAM_TYPE: Final = f"{EVENT_STREAM}; charset=utf-8"
JSON: Final = "application/json"
_ENDED_EARLY: Final = "The upstream ended the answer before it was finished."


class Head(NamedTuple):
    """The head of the client's answer.

    Attributes:
        status: the HTTP status.
        content_type: the content type.
        streams: whether the body is a stream of events that the gateway writes.
    """

    status: int
    content_type: str
    streams: bool = False


class _State(Enum):
    WAITING = auto()
    PASSING = auto()
    EVENTS = auto()
    WHOLE = auto()
    ENDED = auto()


class _AnswerError(Exception):
    """The upstream's answer cannot be passed on."""

    def __init__(self, code: str, message: str, status: int = 502) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status


class Exchange:
    """One request and its answer.

    Attributes:
        prepared: the request after its steps.
        upstream_body: the body to send to the upstream's `/chat/completions`.
        head: the head of the client's answer, once it is certain.
        done: whether no further bytes of the upstream are needed.
        problems: how often each problem was found in the answer, by code.
        usage: the upstream's token counts, if it sent them.
        error: the code of the error that ended the answer, or None.
    """

    def __init__(
        self,
        body: bytes,
        options: Options,
        *,
        answer_id: str,
        created: int,
        recall: Recall | None = None,
    ) -> None:
        """Read a request.

        Args:
            body: the client's body.
            options: the gateway's options.
            answer_id: the answer's id where the upstream gives none.
            created: the time now, in seconds since 1970, for the same case.
            recall: the thoughts of earlier answers, or None.

        Raises:
            RequestRefusedError: the request is not to be sent. Any other exception is a bug.
        """
        self.prepared: Final[PreparedRequest] = prepare(body, options, recall)
        self.upstream_body: Final = write_body(self.prepared)
        self.head: Head | None = None
        self.problems: Counter[str] = Counter()
        self.error: str | None = None
        self._options = options
        self._recall = recall
        self._state = _State.WAITING
        model = self.prepared.body.get("model")
        self._answer_head = AnswerHead(answer_id, model or "", created)
        self._reading = AnswerReading(self.prepared, options, self.problems)
        self._events = EventReader(options.event_limit)
        self._stream = StreamedAnswer(self._answer_head, options.reasoning_field)
        self._alike = AlikeChunks()
        self._unlearned: tuple[bytes, Json, list[Piece]] | None = None
        self._whole: list[bytes] = []
        self._size = 0
        self._head_taken = False

    @property
    def done(self) -> bool:
        """Whether no further bytes of the upstream are needed."""
        return self._state is _State.ENDED

    @property
    def usage(self) -> Json | None:
        """The upstream's token counts, if it sent them."""
        return self._reading.usage

    @property
    def calls(self) -> int:
        """How many calls the answer holds."""
        return self._reading.calls

    def get_ready(self) -> None:
        """Do what need not wait for the upstream, so that the first text is read sooner.

        For a caller that waits anyway. A whole answer seldom needs it (`take_plain`).
        """
        self._reading.get_ready()

    def begin(self, status: int, content_type: str) -> bytes:
        """Take the head of the upstream's answer.

        Args:
            status: the HTTP status.
            content_type: the value of Content-Type, empty where there is none.

        Returns:
            The first bytes to send, often none.
        """
        if 300 <= status < 400:
            return self.fail(
                "upstream-redirected",
                "The upstream answered with a redirect, which the gateway does not follow.",
            )
        if status != 200:
            self._state = _State.PASSING
            self.head = Head(status, content_type or JSON)
        elif content_type.partition(";")[0].strip().lower() == EVENT_STREAM:
            self._state = _State.EVENTS
            if self.prepared.streams:
                self.head = Head(200, _STREAM_TYPE, streams=True)
        else:
            self._state = _State.WHOLE
        return b""

    def receive(self, data: bytes) -> bytes:
        """Take the next bytes of the upstream's body.

        Args:
            data: any bytes, cut anywhere.

        Returns:
            The bytes to send, often none. After an error they are its last ones.
        """
        if self._state is _State.PASSING:
            return data
        try:
            if self._state is _State.EVENTS:
                self._count(len(data))
                line = self._events.line_in(data)
                if line is not None and (written := self._read_alike(line)) is not None:
                    return written
                return self._read_events(self._events.feed(data))
            if self._state is _State.WHOLE:
                self._count(len(data))
                self._whole.append(data)
        except _AnswerError as error:
            return self.fail(error.code, error.message, error.status)
        except EventTooLargeError:
            return self.fail("upstream-event-too-large", "An event of the upstream is too large.")
        return b""

    def finish(self, *, complete: bool = True) -> bytes:
        """Take the end of the upstream's body.

        Args:
            complete: whether the body ended as its HTTP encoding ends, and was not cut.

        Returns:
            The last bytes to send.
        """
        if not complete and self._state is not _State.EVENTS:
            return self.fail("upstream-ended-early", _ENDED_EARLY)
        try:
            if self._state is _State.EVENTS:
                return self._finish_events()
            if self._state is _State.WHOLE:
                return self._finish_whole()
        except _AnswerError as error:
            return self.fail(error.code, error.message, error.status)
        self._state = _State.ENDED
        return b""

    def fail(self, code: str, message: str, status: int = 502) -> bytes:
        """End the answer with an error: its status while no head is certain, otherwise an event.

        Args:
            code: the error's code.
            message: one sentence for the client.
            status: the HTTP status.

        Returns:
            The last bytes to send; none where the body is the upstream's own, which only a closed
            connection can end.
        """
        return self._fail_with(code, error_body(code, message, status), status)

    def _fail_with(self, code: str, body: Json, status: int) -> bytes:
        ended, self._state = self._state is _State.ENDED, _State.ENDED
        if ended:
            return b""
        self.error = code
        if self.head is None:
            self.head = Head(status, JSON)
            return encode(body)
        return server_sent_event(body) if self.head.streams else b""

    # An event stream from the upstream.

    def _read_events(self, events: list[ServerSentEvent]) -> bytes:
        written = []
        for event in events:
            if self._state is _State.ENDED:
                self.problems["upstream-data-after-end"] += 1
                break
            written.append(self._read_event(event))
        return written[0] if len(written) == 1 else b"".join(written)

    def _read_event(self, event: ServerSentEvent) -> bytes:
        data = event.data
        if not event.name and (written := self._read_alike(data)) is not None:
            return written
        if data[:1] != b"{" and not data.strip():
            return b""
        if data.strip() == b"[DONE]":
            return self._end()
        try:
            chunk = decode(data)
        except InvalidJsonError:
            raise _AnswerError(
                "upstream-event-invalid", "An event of the upstream is not a JSON text."
            ) from None
        if not isinstance(chunk, dict):
            self.problems["upstream-field-invalid"] += 1
            return b""
        if chunk.get("error") or event.name == b"error":
            return self._pass_error(chunk)
        return self._read_chunk(chunk, data)

    def _read_alike(self, data: bytes) -> bytes | None:
        """Read a chunk by the frame of an earlier one; None where no frame fits."""
        if self._unlearned is not None:
            self._learn(*self._unlearned)
        found = self._alike.find(data)
        if found is None:
            return None
        place, text = found
        events = self._reading.text(place, text)
        if events is None:
            return None
        return self._stream.events(place.choice, events) if self.prepared.streams else b""

    def _read_chunk(self, chunk: Json, data: bytes) -> bytes:
        if not self._head_taken:
            self._answer_head.take(chunk)
            self._head_taken = True
        pieces = self._reading.chunk(chunk)
        self._unlearned = (data, chunk, pieces)
        if not self.prepared.streams:
            return b""
        return b"".join([self._stream.piece(piece) for piece in pieces])

    def _learn(self, data: bytes, chunk: Json, pieces: list[Piece]) -> None:
        """Learn a chunk for later ones; with the next one, because the client has this one then."""
        self._unlearned = None
        place = self._reading.text_place(chunk, pieces)
        if place is not None:
            self._alike.learn(data, place)

    def _pass_error(self, chunk: Json) -> bytes:
        """Pass on an error object in the middle of a stream; nothing follows it."""
        body = chunk if chunk.get("error") else {"error": chunk}
        return self._fail_with("upstream-error", body, _status_of(body["error"]))

    def _finish_events(self) -> bytes:
        """Take the connection's end without [DONE]: an error unless every choice is finished."""
        try:
            written = self._read_events(self._events.finish())
        except (_AnswerError, EventTooLargeError):
            written = b""  # the last event was cut
        if self._state is _State.ENDED:
            return written
        if self._reading.finished:
            return written + self._end()
        return written + self.fail("upstream-ended-early", _ENDED_EARLY)

    # A whole answer from the upstream.

    def _finish_whole(self) -> bytes:
        try:
            answer = decode(b"".join(self._whole))
        except InvalidJsonError:
            answer = None
        self._whole.clear()
        if not isinstance(answer, dict):
            raise _AnswerError("upstream-invalid", "The upstream's answer is not a JSON object.")
        if answer.get("error"):
            return self._pass_error(answer)
        self._answer_head.take(answer)
        pieces = self._reading.whole(answer)
        if not pieces:
            raise _AnswerError("upstream-invalid", "The upstream's answer holds no choice.")
        written = b""
        if self.prepared.streams:
            self.head = Head(200, _STREAM_TYPE, streams=True)
            written = b"".join([self._stream.piece(piece) for piece in pieces])
        return written + self._end(upstream=answer)

    # The end, in both forms.

    def _end(self, upstream: Json | None = None) -> bytes:
        if not self._reading.choices:
            raise _AnswerError("upstream-invalid", "The upstream's answer holds no choice.")
        last = self._reading.finish()
        if self.prepared.call_required and not self._reading.calls:
            self.problems["answer-call-missing"] += 1
        if self._recall is not None and self.prepared.conversation is not None:
            for choice in self._reading.as_whole("reasoning_content"):
                self._recall.keep(self.prepared.conversation, choice["message"])
        self._state = _State.ENDED
        usage = self._reading.usage
        if self.prepared.streams:
            written = b"".join([self._stream.piece(piece) for piece in last])
            return written + self._stream.end(usage if self.prepared.wants_usage else None)
        self.head = Head(200, JSON)
        kept = {} if upstream is None else kept_fields(upstream, self.prepared)
        choices = self._reading.as_whole(self._options.reasoning_field)
        return encode(whole_answer(kept, self._answer_head, choices, usage))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._options.answer_limit:
            raise _AnswerError("upstream-answer-too-large", "The upstream's answer is too large.")


def _status_of(error: Any) -> int:
    """The HTTP status for an error object in an answer with status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if type(code) is int and 400 <= code < 600 else 502
