"""The streaming parser, and reading a whole text with it."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from .argument_text import PIECES_AT_MOST
from .events import ArgumentsDelta, Event
from .machine import State
from .markers import Symbol, marker_set
from .message import Message
from .tools import DeclaredTools
from .turn import Thinking, Turn

Tools: TypeAlias = Sequence[Mapping[str, object]]
ReasoningMode: TypeAlias = Literal["off", "tagged", "prefilled"]

_THINKING: Final = {
    "off": Thinking.CLOSED,
    "tagged": Thinking.CLOSED,
    "prefilled": Thinking.OPEN,
}

# An event made of these three equals one made by its class. A frozen dataclass takes twice
# as long to make itself, which would be half the cost of most chunks.
_new: Final = object.__new__
_set_index: Final = vars(ArgumentsDelta)["index"].__set__
_set_text: Final = vars(ArgumentsDelta)["text"].__set__


class StreamParser:
    """Reads one assistant message while it arrives.

    Feed it the pieces of the model's output, cut anywhere, and then call
    `finish`. Each call returns what is now certain; nothing is taken back
    later. Nothing in the text makes it raise: what deviates from the format is
    reported as a `Problem`. One parser reads one message.
    """

    def __init__(
        self,
        tools: Tools | None = None,
        reasoning: ReasoningMode = "off",
        first_index: int = 0,
        keep_text_after_calls: bool = False,
        marker_ids: Mapping[int, str] | None = None,
    ) -> None:
        """Begin a message.

        Args:
            tools: the request's tools, as OpenAI tool dicts. They help to
                repair ids and let calls of undeclared tools be reported. None
                means they are not known.
            reasoning: `"off"`: `<think>` is text. `"tagged"`: what stands
                between `<think>` and `</think>` is reasoning. `"prefilled"`:
                the prompt ended with `<think>`, so the text begins inside it.
            first_index: how many calls the conversation already holds. It
                numbers the ids to which the model gave no number.
            keep_text_after_calls: whether text after a section of calls is
                content. Otherwise it is a `Problem`.
            marker_ids: the marker for each token id that stands for one, as
                `k2compat.toolcalls.marker_ids` returns them; `feed_token`
                needs them. Ids of other strings are ignored.

        Raises:
            ValueError: `reasoning` is none of the three.
        """
        if reasoning not in _THINKING:
            raise ValueError(f"reasoning must be one of {', '.join(_THINKING)}, not {reasoning!r}")
        self._markers = marker_set(reasoning=reasoning != "off")
        self._marker_ids = marker_ids
        self._turn = Turn(
            DeclaredTools(tools), _THINKING[reasoning], first_index, keep_text_after_calls
        )
        self._position = 0
        self._open_end = ""
        # While arguments arrive and no marker is in doubt: the list that takes
        # them, how many of its pieces are counted in the position, whose they
        # are, and the call's index.
        self._flow: list[str] | None = None
        self._counted = 0
        self._arguments = self._turn.call.arguments
        self._index = 0

    @property
    def message(self) -> Message:
        """What was read so far. Building it takes time linear in the text."""
        self._leave_flow()
        return self._turn.record.message()

    @property
    def reasoning_is_open(self) -> bool:
        """Whether text outside of calls is reasoning: `<think>` was read, `</think>` was not."""
        return self._turn.reasoning_is_open

    def expect_reasoning(self) -> None:
        """Read `<think>` and `</think>` as markers from here on, whatever `reasoning` was."""
        self._markers = marker_set(reasoning=True)

    def feed(self, text: str) -> list[Event]:
        """Read the next piece of the output.

        Args:
            text: any characters; where the output is cut makes no difference.

        Returns:
            What is now certain, in order. Neighbours of one kind may be joined.

        Raises:
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        # The short way of most chunks: arguments, no marker in sight. All white
        # space is at most " ".
        flow = self._flow
        if flow is not None and len(flow) < PIECES_AT_MOST:
            plain = text
            if self._open_end or (("<" in text or "[" in text) and self._markers.may_be_in(text)):
                plain = self._without_open_end(text)
            if plain:
                flow.append(plain)
                arguments = self._arguments
                if plain[-1] <= " " or arguments.waiting is not None:
                    plain = arguments.pass_on()
                    if not plain:
                        return []
                event = _new(ArgumentsDelta)
                _set_index(event, self._index)
                _set_text(event, plain)
                return [event]
        self._leave_flow()
        self._refuse_if_finished()
        self._read(text)
        return self._take_events()

    def feed_token(self, token_id: int, text: str) -> list[Event]:
        """Read the next token. It is a marker only if its id says so.

        Args:
            token_id: the token's id.
            text: what the tokenizer decodes it to; for a marker it does not
                matter, so skipped special tokens do no harm.

        Returns:
            What is now certain, in order.

        Raises:
            ValueError: the parser was made without `marker_ids`.
            RuntimeError: the message was finished. Any other exception is a bug.
        """
        if self._marker_ids is None:
            raise ValueError("feed_token needs StreamParser(marker_ids=…)")
        self._leave_flow()
        self._refuse_if_finished()
        self._settle_open_end()
        symbol = self._markers.symbols.get(self._marker_ids.get(token_id, ""))
        if symbol is not None:
            self._symbol(symbol, text, certain=True)
        elif text:
            self._text(text)
        return self._take_events()

    def finish(self) -> list[Event]:
        """End the message: settle all that waited.

        Returns:
            What is now certain, in order. A second call returns nothing.
        """
        self._leave_flow()
        self._settle_open_end()
        if self._turn.state is not State.FINISHED:
            self._symbol(Symbol.END_OF_TEXT, "")
        return self._take_events()

    def _without_open_end(self, text: str) -> str:
        """What may pass of the text, its open end held back; nothing if a marker may be in it."""
        text = self._open_end + text
        end = len(text)
        if self._markers.may_be_in(text):
            end = self._markers.open_end(text)
            if self._markers.may_stand_in(text[:end]):
                return ""
        if end:
            self._open_end = text[end:]
        return text[:end]

    def _leave_flow(self) -> None:
        """Catch up with what the short way of `feed` left undone."""
        if self._flow is not None:
            # Joining thousands of short pieces is quicker than adding up their lengths.
            self._position += len("".join(self._flow[self._counted :]))
            self._flow = None

    def _refuse_if_finished(self) -> None:
        if self._turn.state is State.FINISHED:
            raise RuntimeError("this message was finished; a new one needs a new StreamParser")

    def _read(self, text: str) -> None:
        text = self._open_end + text
        turn, symbols, begin = self._turn, self._markers.symbols, self._position
        at, end = 0, len(text)
        if self._markers.may_be_in(text):
            for match in self._markers.matches(text):
                start, stop = match.span()
                if at < start:
                    turn.text(text[at:start], begin + at)
                marker = match[0]
                turn.symbol(symbols[marker], marker, begin + start, certain=False)
                at = stop
            end = self._markers.open_end(text)
        self._open_end = text[end:]
        if at < end:
            turn.text(text[at:end], begin + at)
        self._position = begin + end

    def _settle_open_end(self) -> None:
        text, self._open_end = self._open_end, ""
        if text:
            self._text(text)

    def _text(self, text: str) -> None:
        self._turn.text(text, self._position)
        self._position += len(text)

    def _symbol(self, symbol: Symbol, text: str, *, certain: bool = False) -> None:
        self._turn.symbol(symbol, text, self._position, certain=certain)
        self._position += len(text)

    def _take_events(self) -> list[Event]:
        self._flow = flow = self._turn.flow
        if flow is not None:
            self._counted = len(flow)
            self._arguments = self._turn.call.arguments
        self._index = len(self._turn.record.calls) - 1
        return self._turn.record.take_events()


def parse(
    text: str,
    tools: Tools | None = None,
    reasoning: ReasoningMode = "off",
    first_index: int = 0,
    keep_text_after_calls: bool = False,
) -> Message:
    """Read a whole output.

    Args:
        text: the model's output, decoded with special tokens kept.
        tools: as for `StreamParser`, like all that follow.
        reasoning: `"off"`, `"tagged"` or `"prefilled"`.
        first_index: how many calls the conversation already holds.
        keep_text_after_calls: whether text after the calls is content.

    Returns:
        The message.

    Raises:
        ValueError: `reasoning` is none of the three. Any other exception is a bug.
    """
    parser = StreamParser(tools, reasoning, first_index, keep_text_after_calls)
    parser.feed(text)
    parser.finish()
    return parser.message
