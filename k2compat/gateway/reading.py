"""Reading an upstream's answer, however its server split it, into events for each choice."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from k2compat.gateway.alike_chunks import TextPlace
from k2compat.gateway.draft import Json
from k2compat.gateway.options import Options
from k2compat.gateway.request import PreparedRequest
from k2compat.gateway.steps.unescaper import Unescaper
from k2compat.gateway.upstream_fields import foreign, joined, only_text, token_ids
from k2compat.toolcalls import (
    ArgumentsDelta,
    CallStart,
    Content,
    Event,
    FinishReason,
    Message,
    Problem,
    Reasoning,
    SplitReader,
)
from k2compat.toolcalls.chat import ReasoningField, assistant_message

_READ_OF_CHOICE: Final = frozenset(
    ("index", "delta", "message", "finish_reason", "logprobs", "token_ids")
)
_READ_OF_MESSAGE: Final = frozenset(
    ("role", "content", "reasoning_content", "reasoning", "tool_calls")
)
_PASSING: Final = (Content, Reasoning, ArgumentsDelta)
_NOTHING: Final = Message(None, None, (), (), "stop")
_PLAIN_REASONS: Final[Mapping[object, FinishReason]] = {"stop": "stop", "length": "length"}


class Piece(NamedTuple):
    """A piece of one choice.

    Attributes:
        choice: the choice's number.
        events: what is now certain.
        extras: fields of the upstream's choice that pass through.
        delta_extras: fields of its delta or message that pass through.
        reason: the finish reason, where the choice ends with this piece.
    """

    choice: int
    events: list[Event]
    extras: Json
    delta_extras: Json
    reason: str | None = None


class ChoiceReading:
    """Reads one choice.

    Attributes:
        finished: whether the choice has ended.
        reason: the finish reason, once it has.
        calls: how many calls it holds so far.
        extras: the upstream's other fields of the choice, collected for a whole answer.
        message_extras: the same for the fields of its message.
    """

    def __init__(self, prepared: PreparedRequest, options: Options, problems: Counter[str]) -> None:
        """Begin a choice.

        Args:
            prepared: the request that it answers.
            options: the gateway's options.
            problems: takes the codes of the problems; the choices of an answer share it.
        """
        self.finished = False
        self.reason = ""
        self.calls = 0
        self.extras: Json = {}
        self.message_extras: Json = {}
        self._prepared = prepared
        self._options = options
        self._problems = problems
        self._ids_in = prepared.ids_in
        self._unescaper = Unescaper(prepared.escaped) if prepared.escaped else None
        self._message = _NOTHING
        self._is_plain = False

    def get_ready(self) -> None:
        """Make the reader, which is made at the first text otherwise."""
        _ = self._reader

    @cached_property
    def _reader(self) -> SplitReader:
        prepared = self._prepared
        return SplitReader(
            prepared.tools,
            prepared.reasoning,
            prepared.first_index,
            marker_ids=self._options.marker_ids,
            form=prepared.form,
            name=prepared.forced_name,
            max_calls=prepared.max_calls,
            recover_stripped=self._options.recover_stripped,
        )

    def take_plain(
        self, message: Mapping[str, Any], choice: Mapping[str, Any]
    ) -> list[Event] | None:
        """Take a whole message if it is plain content without markers.

        Most answers are plain, and a `SplitReader` for each costs more than all other work on an
        answer (`scripts/bench_gateway.py`). The tests compare the result with the reader's.

        Args:
            message: the choice's `message`.
            choice: the choice.

        Returns:
            The events, after which the choice has ended; None where a reader must read it.
        """
        content = message.get("content")
        reason = _PLAIN_REASONS.get(choice.get("finish_reason"))
        if (
            reason is None
            or not isinstance(content, str)
            or not content
            or message.get("reasoning_content")
            or message.get("reasoning")
            or message.get("tool_calls")
            or not self._reads_markers_alone
            or not _is_text_alone(content)
        ):
            return None
        self.finished, self.reason, self._is_plain = True, reason, True
        self._message = Message(content, None, (), (), reason)
        return [Content(content)]

    @property
    def _reads_markers_alone(self) -> bool:
        """Whether all text without a marker is content."""
        prepared = self._prepared
        return (
            prepared.form == "markers"
            and prepared.reasoning != "prefilled"
            and not (self._ids_in or prepared.escaped or self._options.recover_stripped)
        )

    def feed(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> list[Event]:
        """Read a delta, or a whole message.

        Args:
            delta: the choice's `delta` or `message`.
            choice: the choice, for the token ids of the text.

        Returns:
            What is now certain.
        """
        reasoning = delta.get("reasoning_content")
        if reasoning is None:
            reasoning = delta.get("reasoning")
        ids = token_ids(choice, self._ids_in) if self._ids_in else None
        events = self._reader.feed(
            delta.get("content"), reasoning, delta.get("tool_calls") or (), ids
        )
        return self._passed(events)

    def text(self, field: str, text: str) -> list[Event]:
        """Read a delta that holds text in one field, and nothing else.

        Args:
            field: the field's name.
            text: the text.

        Returns:
            What is now certain.
        """
        reader = self._reader
        events = reader.feed(text) if field == "content" else reader.feed(None, text)
        if len(events) == 1 and type(events[0]) in _PASSING and self._unescaper is None:
            return events
        return self._passed(events)

    def finish(self, reason: str | None) -> list[Event]:
        """End the choice.

        Args:
            reason: the upstream's finish reason, or None where it gave none.
        """
        events = self._passed(self._reader.finish(reason))
        self.finished = True
        self._message = self._reader.message
        self.reason = self._message.finish_reason
        return events + self._unescaper.finish() if self._unescaper else events

    def collect(self, piece: Piece) -> None:
        """Keep the fields that pass through, for a whole answer."""
        for name, value in piece.extras.items():
            self.extras[name] = joined(self.extras.get(name), value)
        self.message_extras |= piece.delta_extras

    def as_whole(self, index: int, reasoning_field: ReasoningField) -> Json:
        """The choice as it is in a whole answer."""
        if self._is_plain:
            message: Json = {"role": "assistant", "content": self._message.content}
        else:
            message = assistant_message(self._message, reasoning_field=reasoning_field)
        if self._unescaper:
            message = self._unescaper.value(message)
        return {
            "logprobs": None,
            **self.extras,
            "index": index,
            "message": {**self.message_extras, **message},
            "finish_reason": self.reason,
        }

    def _passed(self, events: list[Event]) -> list[Event]:
        for event in events:
            if type(event) is Problem:
                self._problems[event.code] += 1
            elif type(event) is CallStart:
                self.calls += 1
        return self._unescaper.feed(events) if self._unescaper else events


class AnswerReading:
    """Reads all choices of an answer.

    Attributes:
        choices: the choices by their numbers.
        usage: the token counts, if there were any.
    """

    def __init__(self, prepared: PreparedRequest, options: Options, problems: Counter[str]) -> None:
        """Begin an answer; the arguments are those of `ChoiceReading`."""
        self.choices: dict[int, ChoiceReading] = {}
        self.usage: Json | None = None
        self._prepared = prepared
        self._options = options
        self._problems = problems
        self._ready: ChoiceReading | None = None

    def get_ready(self) -> None:
        """Make the reader of the choice that begins next."""
        self._ready = ChoiceReading(self._prepared, self._options, self._problems)
        self._ready.get_ready()

    @property
    def finished(self) -> bool:
        """Whether there are choices, and all have ended."""
        return bool(self.choices) and all(choice.finished for choice in self.choices.values())

    @property
    def calls(self) -> int:
        """How many calls the choices hold."""
        return sum(choice.calls for choice in self.choices.values())

    def chunk(self, chunk: Mapping[str, Any]) -> list[Piece]:
        """Read a chunk of a stream."""
        self._take_usage(chunk)
        return self._pieces(chunk, "delta")

    def text(self, place: TextPlace, text: str) -> list[Event] | None:
        """Read a chunk that holds text at one place, and nothing else.

        Args:
            place: where.
            text: the text.

        Returns:
            What is now certain; None where the choice has ended.
        """
        reading = self.choices[place.choice]
        return None if reading.finished else reading.text(place.field, text)

    def text_place(self, chunk: Mapping[str, Any], pieces: list[Piece]) -> TextPlace | None:
        """Where the text is in a chunk that holds nothing else; None in any other.

        Args:
            chunk: the chunk.
            pieces: what `chunk` read in it.
        """
        if len(pieces) != 1 or len(chunk["choices"]) != 1 or chunk.get("usage") is not None:
            return None
        choice, _events, extras, delta_extras, reason = pieces[0]
        if extras or delta_extras or reason or self._prepared.ids_in:
            return None
        field = only_text(chunk["choices"][0].get("delta"))
        return None if field is None else TextPlace(choice, field)

    def whole(self, answer: Mapping[str, Any]) -> list[Piece]:
        """Read a whole answer."""
        self._take_usage(answer)
        return self._pieces(answer, "message")

    def finish(self) -> list[Piece]:
        """End the choices without a finish reason from the upstream, by their text."""
        pieces = []
        for index, reading in self.choices.items():
            if not reading.finished:
                self._problems["upstream-finish-missing"] += 1
                events = reading.finish(None)
                pieces.append(Piece(index, events, {}, {}, reading.reason))
        return pieces

    def as_whole(self, reasoning_field: ReasoningField) -> list[Json]:
        """The choices as they are in a whole answer."""
        choices = sorted(self.choices.items())
        return [reading.as_whole(index, reasoning_field) for index, reading in choices]

    def _pieces(self, chunk: Mapping[str, Any], form: str) -> list[Piece]:
        pieces = []
        for index, choice in self._choices(chunk):
            reading = self.choices.get(index)
            if reading is None:
                reading, self._ready = self._ready, None
                if reading is None:
                    reading = ChoiceReading(self._prepared, self._options, self._problems)
                self.choices[index] = reading
            if reading.finished:
                self._problems["upstream-data-after-end"] += 1
            else:
                pieces.append(self._piece(index, reading, choice, form))
        return pieces

    def _piece(
        self, index: int, reading: ChoiceReading, choice: Mapping[str, Any], form: str
    ) -> Piece:
        delta = choice.get(form)
        if not isinstance(delta, dict):
            delta = {}
        plain = reading.take_plain(delta, choice) if form == "message" else None
        events = reading.feed(delta, choice) if plain is None else plain
        reason = choice.get("finish_reason")
        if plain is None and isinstance(reason, str) and reason:
            events += reading.finish(reason)
        extras, delta_extras = self._extras(choice), foreign(delta, _READ_OF_MESSAGE)
        piece = Piece(index, events, extras, delta_extras, reading.reason or None)
        if not self._prepared.streams:
            reading.collect(piece)
        return piece

    def _choices(self, chunk: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            index = choice.get("index", 0) if isinstance(choice, dict) else None
            if type(index) is int and 0 <= index < self._prepared.choices:
                yield index, choice
            else:
                self._problems["upstream-field-invalid"] += 1

    def _extras(self, choice: Mapping[str, Any]) -> Json:
        extras = foreign(choice, _READ_OF_CHOICE)
        if self._prepared.wants_logprobs and choice.get("logprobs") is not None:
            extras["logprobs"] = choice["logprobs"]
        if self._prepared.wants_ids and choice.get("token_ids") is not None:
            extras["token_ids"] = choice["token_ids"]
        return extras

    def _take_usage(self, chunk: Mapping[str, Any]) -> None:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = usage


def _is_text_alone(text: str) -> bool:
    """Whether a `SplitReader` finds nothing in a text: no marker, and no call without markers.

    One expression for the beginnings of all that takes four times as long, since it stops at every
    character.
    """
    may_end = "[" in text and ("[E" in text or text.endswith("["))
    return not (may_end or "<" in text or "functions." in text)
