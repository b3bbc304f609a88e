"""The reader of split answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Final, Unpack

from .. import codes
from ..events import ArgumentsDelta, CallEnd, CallStart, Content, Event, Problem, Reasoning
from ..markers import WHITE_SPACE
from ..message import FinishReason, Message, ToolCall
from ..options import FurtherOptions, ReasoningMode
from ..parser import StreamParser
from ..tools import DeclaredTools, Tools, prepare_tools
from .fields import shown, text_of
from .native import NativeCalls
from .order import Call, CallOrder, Source, canonical

_THINK_BEGIN: Final = "<think>"
_THINK_END: Final = "</think>"
_NO_MARKER: Final = -1


class _Field(Enum):
    """The field that came last: text, or an empty reasoning before any text."""

    NO_REASONING = auto()
    REASONING = auto()
    CONTENT = auto()


# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_REASONING: Final = _Field.REASONING
_CONTENT: Final = _Field.CONTENT
_PROSE: Final = (Content, Reasoning)
_BEFORE_CONTENT: Final = (_Field.NO_REASONING, _Field.REASONING)


class SplitReader:
    """Reads one assistant message of a server's answer, whole or in deltas.

    Feed it the fields as they come, then call `finish`. The text is rebuilt as
    the model wrote it, `<think>` before reasoning and `</think>` where content
    begins, and read once by a `StreamParser`: content, reasoning and calls come
    out the same wherever the server cut. Native calls pass through with native
    ids. A call that came as text and natively counts once.

    Nothing that a server sends makes it raise: what has a wrong type is
    reported as a `Problem`. One reader reads one message.
    """

    def __init__(
        self,
        tools: Tools | DeclaredTools | None = None,
        reasoning: ReasoningMode = "off",
        first_index: int = 0,
        **options: Unpack[FurtherOptions],
    ) -> None:
        """Begin a message.

        Args:
            tools: as for `StreamParser`.
            reasoning: how the text is read where the server does not split it:
                as for `StreamParser`. Where reasoning comes in a field of its
                own, it is read as reasoning whatever this is.
            first_index: how many calls the conversation already holds.
            **options: the further options of `StreamParser`, by name. `form` and
                `name` are those of the text; `max_calls` counts native calls and
                others together; `feed(token_ids=…)` needs `marker_ids`.

        Raises:
            ValueError: as `StreamParser`.
        """
        declared = prepare_tools(tools)
        self._parser = StreamParser(declared, reasoning, first_index, **options)
        self._marker_ids = options.get("marker_ids") or {}
        max_calls = options.get("max_calls")
        self._length = 0
        self._events: list[Event] = []
        self._problems: list[Problem] = []
        self._order = CallOrder(first_index, max_calls, self._events)
        self._native = NativeCalls(declared, self._order, self._report, self._before_native_call)
        self._native_at: int | None = None  # the length of the text before the latest native call
        self._text_calls: list[Call] = []
        self._held: Call | None = None  # a text call that nothing has followed yet
        self._field: _Field | None = None
        self._is_finished = False
        self._server_reason: str | None = None

    @property
    def message(self) -> Message:
        """What was read so far. Building it takes time linear in the text."""
        text = self._parser.message
        calls = tuple(self._tool_call(call, text) for call in self._order.calls)
        content = text.content
        if calls and content is not None and not content.strip(WHITE_SPACE):
            content = None
        return Message(
            content=content,
            reasoning=text.reasoning,
            tool_calls=calls,
            problems=tuple(self._problems),
            finish_reason=self._finish_reason(text),
        )

    def feed(
        self,
        content: object = None,
        reasoning: object = None,
        tool_calls: object = (),
        token_ids: object = None,
    ) -> list[Event]:
        """Read the next fields of the answer, or all of them at once.

        Fields that come together are read in this order: reasoning, content, and
        native calls before the calls that are found in that text.

        Args:
            content: the next piece of the content.
            reasoning: the next piece of the reasoning. An empty string shows
                that the server splits, which matters with "prefilled": content
                is then not read as reasoning.
            tool_calls: OpenAI's `tool_calls`: whole calls, or deltas.
            token_ids: the ids of the tokens whose text this piece is. A marker
                is then known by its id, even where its text was dropped. Give
                them only where each piece of text comes with its own ids; a
                server that holds text back (for a stop string) sends them apart.

        Returns:
            What is now certain, in order.

        Raises:
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        if self._is_finished:
            raise RuntimeError("this message was finished; a new one needs a new SplitReader")
        # The short way of most chunks of a stream: a quarter of the time of the long one.
        if not (tool_calls or token_ids):
            if type(content) is str and not reasoning and self._field is _CONTENT:
                return self._more_text(content)
            if type(reasoning) is str and content in (None, "") and self._field is _REASONING:
                return self._more_text(reasoning)
        of_reasoning, of_content = self._shares(token_ids, bool(reasoning), bool(content))
        text = [*self._reasoning(reasoning, of_reasoning), *self._content(content, of_content)]
        first_call = next(
            (at for at, event in enumerate(text) if isinstance(event, CallStart)), len(text)
        )
        self._take(text[:first_call])
        if tool_calls:
            self._native.take(tool_calls, self._length)
        self._take(text[first_call:])
        return self._take_events()

    def finish(self, finish_reason: object = None) -> list[Event]:
        """End the message: settle all that waited.

        Args:
            finish_reason: the server's; None where the answer ended without.

        Returns:
            What is now certain, in order. A second call returns nothing.
        """
        if self._is_finished:
            return []
        self._is_finished = True
        self._server_reason = finish_reason if isinstance(finish_reason, str) else None
        self._native.begin_named()
        if self._native_at == self._length and self._may_be_native():
            self._take(self._parser.end_at_native_call())
        self._take(self._parser.finish())
        self._begin_held()
        self._native.finish(is_cut=self._server_reason in (None, "length"))
        return self._take_events()

    def _reasoning(self, field: object, token_ids: Sequence[int]) -> Iterator[Event]:
        text = self._text_of(field)
        if text:
            self._parser.expect_reasoning()
            # A server may leave `</think>` in its field; what follows it there is content.
            if self._field is not _Field.REASONING and not self._parser.reasoning_is_open:
                yield from self._feed(_THINK_BEGIN)
            self._field = _Field.REASONING
            yield from self._read(text, token_ids)
        elif field is not None and self._field is None:
            self._field = _Field.NO_REASONING

    def _content(self, field: object, token_ids: Sequence[int]) -> Iterator[Event]:
        text = self._text_of(field)
        if text:
            if self._field in _BEFORE_CONTENT and self._parser.reasoning_is_open:
                yield from self._feed(_THINK_END)
            self._field = _Field.CONTENT
        if text or token_ids:
            yield from self._read(text, token_ids)

    def _text_of(self, field: object) -> str:
        text = text_of(field)
        if text is None:
            self._report(codes.SERVER_FIELD_UNREADABLE, shown(field))
        return text or ""

    def _feed(self, text: str) -> list[Event]:
        self._length += len(text)
        return self._parser.feed(text)

    def _more_text(self, text: str) -> list[Event]:
        """Read more text of the field that came last."""
        self._length += len(text)
        events = self._parser.feed(text)
        if self._held is None and len(events) == 1:
            # What is nearly always one event of the text is the same event of the message.
            event = events[0]
            if type(event) in _PROSE:
                return events
            if type(event) is ArgumentsDelta:
                call = self._text_calls[event.index]
                if call.index == event.index:
                    call.arguments.write(event.text)
                    return events
        self._take(events)
        return self._take_events()

    def _read(self, text: str, token_ids: Sequence[int]) -> Iterator[Event]:
        if not token_ids:
            yield from self._feed(text)
            return
        for token_id, piece in self._placed(text, token_ids):
            self._length += len(piece)
            yield from self._parser.feed_token(token_id, piece)

    def _shares(
        self, token_ids: object, has_reasoning: bool, has_content: bool
    ) -> tuple[list[int], list[int]]:
        """The tokens of the reasoning and of the content."""
        if not isinstance(token_ids, list | tuple) or not self._marker_ids:
            return [], []
        ids = [each for each in token_ids if isinstance(each, int)]
        if not (has_reasoning and has_content):
            return (ids, []) if has_reasoning else ([], ids)
        markers = [self._marker_ids.get(each) for each in ids]
        end = markers.index(_THINK_END) if _THINK_END in markers else 0
        return ids[:end], ids[end + 1 :] if end else ids

    def _placed(self, text: str, token_ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """The piece cut at the markers among its tokens, each with its id."""
        at, is_exact = 0, True
        for place, token_id in enumerate(token_ids):
            marker = self._marker_ids.get(token_id)
            if marker is None:
                is_exact = at == len(text)
                continue
            stop = text.find(marker, at)
            end = stop + len(marker)
            if stop < 0:
                stop = end = self._place_of_dropped(text, at, is_exact, token_ids[place + 1 :])
            if stop < 0:
                self._report(codes.TOKEN_PLACE_UNKNOWN, marker)
                continue
            if at < stop:
                yield _NO_MARKER, text[at:stop]
            yield token_id, text[stop:end]
            at, is_exact = end, True
        if at < len(text):
            yield _NO_MARKER, text[at:]

    def _place_of_dropped(self, text: str, at: int, is_exact: bool, behind: Sequence[int]) -> int:
        """Where a marker was that the text lacks; -1 where text on both sides hides it."""
        if is_exact:
            return at
        return len(text) if all(each in self._marker_ids for each in behind) else -1

    def _before_native_call(self) -> None:
        if self._native_at is None:
            # An end of turn before a call is text (docs/format.md, row 14), also where
            # the server took the call out of the text.
            self._take(self._parser.note_native_call())
        self._native_at = self._length

    def _may_be_native(self) -> bool:
        """Whether the open call of the text, if there is one, may be a native one."""
        return all(call.is_ended or self._order.may_repeat(call) for call in self._text_calls[-1:])

    def _take(self, events: Iterable[Event]) -> None:
        """Pass the text's events on; its calls go through the order of both sources.

        A call begins with what follows it: where nothing does, the server may have left its
        header in the text and passed the call itself on natively.
        """
        for event in events:
            self._begin_held()
            match event:
                case CallStart(_, call_id, name):
                    call = Call(Source.TEXT, name, canonical(call_id, name), call_id, self._length)
                    self._text_calls.append(call)
                    self._held = call
                case ArgumentsDelta(index, text):
                    self._order.add(self._text_calls[index], text)
                case CallEnd(index, complete):
                    self._text_calls[index].is_blank = self._parser.has_no_arguments(index)
                    self._order.end(self._text_calls[index], complete=complete)
                case _:
                    self._events.append(event)

    def _begin_held(self) -> None:
        if self._held is not None:
            call, self._held = self._held, None
            self._order.begin(call)

    def _take_events(self) -> list[Event]:
        events = self._events[:]
        self._events.clear()
        self._problems += [event for event in events if isinstance(event, Problem)]
        return events

    def _report(self, code: str, text: str) -> None:
        self._events.append(Problem(code, self._length, text))

    def _tool_call(self, call: Call, text: Message) -> ToolCall:
        raw_id = call.raw_id
        if call.source is Source.TEXT:
            raw_id = text.tool_calls[call.number_in_source].raw_id
        return ToolCall(call.id, call.name, call.arguments.getvalue(), call.complete, raw_id)

    def _finish_reason(self, text: Message) -> FinishReason:
        if self._server_reason == "content_filter":
            return "content_filter"
        if self._server_reason == "length" or self._native.is_cut:
            return "length"
        if text.finish_reason == "length":
            return "length"
        # Of the calls that were passed on: with max_calls=0 the answer is text.
        return "tool_calls" if self._order.calls else "stop"


def read_answer(
    message: Mapping[str, object],
    tools: Tools | DeclaredTools | None = None,
    reasoning: ReasoningMode = "off",
    first_index: int = 0,
    *,
    finish_reason: object = None,
    **options: Unpack[FurtherOptions],
) -> Message:
    """Read a whole assistant message of a server, or one that was stored and that leaked.

    Args:
        message: OpenAI's message: `content`, `reasoning_content` or `reasoning`,
            `tool_calls`.
        tools: as for `SplitReader`, like all that follow.
        reasoning: how the text is read where the server does not split it.
        first_index: how many calls the conversation already holds.
        finish_reason: the server's.
        **options: the further options of `SplitReader`, by name.

    Returns:
        The message.

    Raises:
        ValueError: as `StreamParser`. Any other exception is a bug.
    """
    reader = SplitReader(tools, reasoning, first_index, **options)
    thought = message.get("reasoning_content")
    reader.feed(
        message.get("content"),
        message.get("reasoning") if thought is None else thought,
        message.get("tool_calls"),
    )
    reader.finish(finish_reason)
    return reader.message
