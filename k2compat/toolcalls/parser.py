"""The streaming parser, and reading a whole text with it."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Unpack

from .argument_text import PIECES_AT_MOST, OpenArguments
from .events import ArgumentsDelta, Event, OpenDelta, text_event
from .forced import ForcedTurn
from .machine import State
from .markers import MARKERS, MarkerSet, Symbol, marker_set
from .message import Message
from .options import Form, FurtherOptions, ReasoningMode
from .record import OpenProse
from .tools import DeclaredTools, Tools, prepare_tools
from .turn import Thinking, Turn

# Python 3.11 takes 0.1 µs to look a member of an enumeration up.
_CALL_BEGIN: Final = Symbol.CALL_BEGIN
_END_OF_TEXT: Final = Symbol.END_OF_TEXT
_BETWEEN: Final = State.BETWEEN
_FINISHED: Final = State.FINISHED
_BEFORE_NATIVE_CALL: Final = (State.OUTSIDE, State.TURN_ENDING, State.HEADER_ENDING)

_FORMS: Final = ("markers", "calls", "arguments")
_THINKING: Final = {
    "off": Thinking.CLOSED,
    "tagged": Thinking.CLOSED,
    "prefilled": Thinking.OPEN,
}
_MARKERS: Final = {mode: marker_set(reasoning=mode != "off") for mode in _THINKING}


class StreamParser:
    """Reads one assistant message while it arrives.

    Feed it the pieces of the model's output, cut anywhere, and then call
    `finish`. Each call returns what is now certain; nothing is taken back
    later. Nothing in the text makes it raise: what deviates from the format is
    reported as a `Problem`. One parser reads one message.
    """

    __slots__ = (
        "_marker_ids",
        "_markers",
        "_open",
        "_open_end",
        "_position",
        "_prose",
        "_record",
        "_turn",
        "_without_token",
    )

    def __init__(
        self,
        tools: Tools | DeclaredTools | None = None,
        reasoning: ReasoningMode = "off",
        first_index: int = 0,
        keep_text_after_calls: bool = False,
        marker_ids: Mapping[int, str] | None = None,
        form: Form = "markers",
        name: str | None = None,
        max_calls: int | None = None,
        recover_stripped: bool = False,
    ) -> None:
        """Begin a message.

        Args:
            tools: the request's tools, as OpenAI tool dicts, or what
                `prepare_tools` made of them. They help to repair ids and let
                calls of undeclared tools be reported. None means they are not
                known.
            reasoning: `"off"`: `<think>` is text. `"tagged"`: text between
                `<think>` and `</think>` is reasoning. `"prefilled"`: the prompt
                ended with `<think>`, so the text begins inside it.
            first_index: how many calls the conversation already holds. It
                numbers the ids to which the model gave no number, and those
                whose number is below it.
            keep_text_after_calls: whether text after a section of calls is
                content. Otherwise it is a `Problem`.
            marker_ids: the marker for each token id that stands for one, as
                `k2compat.toolcalls.marker_ids` returns them; `feed_token`
                needs them. Ids of other strings are ignored.
            form: what a forced tool choice makes the engine write.
                `"markers"`: the model's own format. `"calls"`: a JSON array of
                calls (tool_choice "required"). `"arguments"`: the arguments of
                the tool `name` alone (tool_choice with a function). Output that
                begins otherwise is read as `"markers"`, with a `Problem`.
            name: the tool that `form="arguments"` calls.
            max_calls: how many calls are passed on: 0 for tool_choice "none",
                1 for parallel_tool_calls false. Further ones are problems.
                None means no limit.
            recover_stripped: whether calls at the end of the content whose
                markers the engine dropped are made calls. Content is then held
                from `functions.` on, as long as it may be such an end.

        Raises:
            ValueError: `tools` is no list of dicts; `reasoning` or `form` is
                none of the three; `name` and `form="arguments"` do not come
                together; `max_calls` is negative.
        """
        if reasoning not in _THINKING:
            raise ValueError(f"reasoning must be one of {', '.join(_THINKING)}, not {reasoning!r}")
        if form not in _FORMS:
            raise ValueError(f"form must be one of {', '.join(_FORMS)}, not {form!r}")
        if (form == "arguments") != (name is not None):
            raise ValueError('form="arguments" and name, the tool that is called, go together')
        if max_calls is not None and max_calls < 0:
            raise ValueError(f"max_calls must be 0 or more, or None, not {max_calls}")
        self._markers = _MARKERS[reasoning]
        self._marker_ids = marker_ids
        self._without_token: MarkerSet | None = None
        turn = Turn(
            prepare_tools(tools),
            _THINKING[reasoning],
            first_index,
            keep_text_after_calls,
            max_calls,
            recover_stripped,
        )
        self._record = turn.record
        self._turn = turn if form == "markers" else ForcedTurn(turn, name)
        self._position = 0
        self._open_end = ""
        self._open: OpenArguments | None = None
        self._prose: OpenProse | None = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled: a copy would share what it reads into."""
        raise TypeError("a StreamParser reads one message and cannot be copied: make a new one")

    @property
    def message(self) -> Message:
        """What was read so far. Building it takes time linear in the text."""
        self._leave_fast_path()
        return self._record.message()

    @property
    def reasoning_is_open(self) -> bool:
        """Whether text outside of calls is reasoning: `<think>` was read, `</think>` was not."""
        return self._turn.reasoning_is_open

    def expect_reasoning(self) -> None:
        """Read `<think>` and `</think>` as markers from here on, whatever `reasoning` was."""
        self._markers = marker_set(reasoning=True)
        self._without_token = None

    def note_native_call(self) -> list[Event]:
        """Note that a call follows which the server took out of the text.

        Where the text ends in what may be an end of turn, it is none then
        (docs/format.md, row 14), and content is not looked through for calls
        without markers.

        Returns:
            What is now certain, in order.
        """
        self._leave_fast_path()
        if self._turn.state in _BEFORE_NATIVE_CALL and not self._record.calls:
            self._symbol(Symbol.NATIVE_CALL, "")
        return self._take_events()

    def end_at_native_call(self) -> list[Event]:
        """Note that the text ends and a call follows which the server took out of it.

        If the text ends in a call's header, or in a call that has no arguments yet, that is
        what the server left of its call: it is reported, and cuts no call.

        Returns:
            What is now certain, in order. `finish` is still to be called.
        """
        self._leave_fast_path()
        self._settle_open_end(cut=True)
        state, call = self._turn.state, self._turn.call
        if state is State.HEADER or (state is State.ARGUMENTS and call.arguments.blank):
            self._symbol(Symbol.NATIVE_CALL, "")
        return self._take_events()

    def has_no_arguments(self, index: int) -> bool:
        """Whether the model gave a call an id and no arguments; `{}` may stand for them.

        Args:
            index: the call's index in this text.
        """
        call = self._record.calls[index]
        return bool(call.raw_id) and (call.is_filled or call.arguments.blank)

    def feed(self, text: str) -> list[Event]:
        """Read the next piece of the output.

        Args:
            text: any characters; where the output is cut makes no difference.

        Returns:
            What is now certain, in order. Neighbours of one kind may be joined.

        Raises:
            TypeError: `text` is no str.
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        # Fast path: inside arguments, and no marker can be in this chunk or begin in it.
        # No character of white space is greater than " ".
        arguments = self._open
        if arguments is not None and type(text) is str:
            pieces = arguments.pieces
            plain = text
            if self._open_end or (
                ("<" in text or "[" in text) and self._markers.may_contain_or_end_in_marker(text)
            ):
                plain = self._without_open_end(text)
            if plain and len(pieces) < PIECES_AT_MOST:
                pieces.append(plain)
                if plain[-1] <= " " or arguments.text.waiting is not None:
                    plain = arguments.text.take_ready_text()
                    if not plain:
                        return []
                # As `arguments_delta` does it: a call would take a tenth of the chunk's time.
                event: Any = OpenDelta()
                event.index = arguments.index
                event.text = plain
                event.__class__ = ArgumentsDelta
                return [event]
        elif (
            (prose := self._prose) is not None
            and type(text) is str
            and text
            and not self._open_end
            and not (
                ("<" in text or "[" in text) and self._markers.may_contain_or_end_in_marker(text)
            )
            and len(prose.pieces) < PIECES_AT_MOST
        ):
            prose.pieces.append(text)
            return [text_event(prose.kind, text)]
        self._leave_fast_path()
        self._refuse(text)
        self._read(text, self._markers)
        return self._take_events()

    def feed_token(self, token_id: int, text: str) -> list[Event]:
        """Read the next token.

        A marker that `marker_ids` names is known by its id alone. Another spelling has no token,
        so a model can only write it as text: it is read as `feed` reads it.

        Args:
            token_id: the token's id.
            text: what the tokenizer decodes it to; for a marker it does not
                matter, so skipped special tokens do no harm.

        Returns:
            What is now certain, in order.

        Raises:
            ValueError: the parser was made without `marker_ids`.
            TypeError: `text` is no str.
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        if self._marker_ids is None:
            raise ValueError("feed_token needs StreamParser(marker_ids=…)")
        self._leave_fast_path()
        self._refuse(text)
        symbol = self._markers.symbols.get(self._marker_ids.get(token_id, ""))
        if symbol is not None:
            self._settle_open_end()
            self._symbol(symbol, text, certain=True)
        elif text:
            self._read(text, self._without_token or self._find_without_token(self._marker_ids))
        return self._take_events()

    def finish(self) -> list[Event]:
        """End the message: settle all that waited.

        Returns:
            What is now certain, in order. A second call returns nothing.
        """
        self._leave_fast_path()
        self._settle_open_end(cut=True)
        if self._turn.state is not _FINISHED:
            self._symbol(_END_OF_TEXT, "")
        return self._take_events()

    def _without_open_end(self, text: str) -> str:
        """What may pass of the text, its open end held back; nothing if a marker may be in it."""
        text = self._open_end + text
        end = len(text)
        if self._markers.may_contain_or_end_in_marker(text):
            end = self._markers.open_end(text)
            if self._markers.may_contain_marker(text[:end]):
                return ""
        if end:
            self._open_end = text[end:]
        return text[:end]

    def _leave_fast_path(self) -> None:
        """Read, or count, the pieces that the fast path of `feed` took."""
        arguments = self._open
        if arguments is not None:
            # Joining thousands of short pieces is quicker than adding up their lengths.
            self._position += len("".join(arguments.pieces[arguments.counted :]))
            self._open = None
        prose, self._prose = self._prose, None
        if prose is not None and prose.pieces:
            self._text("".join(prose.pieces))
            self._record.take_events()  # `feed` returned them piece by piece

    def _refuse(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(
                f"a chunk must be a str, not {type(text).__name__}: "
                "decode bytes with an incremental decoder, and leave out chunks without text"
            )
        if self._turn.state is _FINISHED:
            raise RuntimeError("this message was finished; a new one needs a new StreamParser")

    def _read(self, text: str, markers: MarkerSet) -> None:
        text = self._open_end + text
        if text in markers.beginnings:
            self._open_end = text
            return
        turn, symbols, begin = self._turn, markers.symbols, self._position
        at, end = 0, len(text)
        if markers.may_contain_or_end_in_marker(text):
            find = markers.finder(text)
            while match := find(text, at):
                start, stop = match.span()
                if at < start:
                    turn.text(text[at:start], begin + at)
                marker = match[0]
                symbol = symbols[marker]
                at = stop
                if symbol is _CALL_BEGIN and turn.state is _BETWEEN:
                    at = turn.calls_in_form(text, start, begin)
                    if at > start:
                        continue
                    at = stop
                turn.symbol(symbol, marker, begin + start, certain=False)
            end = markers.open_end(text)
        self._open_end = text[end:]
        if at < end:
            turn.text(text[at:end], begin + at)
        self._position = begin + end

    def _find_without_token(self, marker_ids: Mapping[int, str]) -> MarkerSet:
        """The markers that no token id stands for."""
        reasoning = "<think>" in self._markers.symbols
        numbered = frozenset(marker for marker in marker_ids.values() if marker in MARKERS)
        self._without_token = marker_set(reasoning=reasoning, without=numbered)
        return self._without_token

    def _settle_open_end(self, *, cut: bool = False) -> None:
        text, self._open_end = self._open_end, ""
        if text:
            self._text(text, cut=cut)

    def _text(self, text: str, *, cut: bool = False) -> None:
        self._turn.text(text, self._position, cut=cut)
        self._position += len(text)

    def _symbol(self, symbol: Symbol, text: str, *, certain: bool = False) -> None:
        self._turn.symbol(symbol, text, self._position, certain=certain)
        self._position += len(text)

    def _take_events(self) -> list[Event]:
        call = self._turn.open_call
        if call is not None and call.index is not None:
            self._open = OpenArguments(call.arguments.pieces, call.arguments, call.index)
        elif not self._open_end and (kind := self._turn.prose_kind) is not None:
            self._prose = OpenProse(kind)
        return self._record.take_events()


def parse(
    text: str,
    tools: Tools | DeclaredTools | None = None,
    reasoning: ReasoningMode = "off",
    first_index: int = 0,
    **options: Unpack[FurtherOptions],
) -> Message:
    """Read a whole output.

    Args:
        text: the model's output, decoded with special tokens kept.
        tools: as for `StreamParser`, like all that follow.
        reasoning: `"off"`, `"tagged"` or `"prefilled"`.
        first_index: how many calls the conversation already holds.
        **options: the further options of `StreamParser`, by name.

    Returns:
        The message.

    Raises:
        TypeError: `text` is no str.
        ValueError: as `StreamParser` raises it. Any other exception is a bug.
    """
    parser = StreamParser(tools, reasoning, first_index, **options)
    parser.feed(text)
    parser.finish()
    return parser.message
