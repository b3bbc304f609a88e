"""The parsers for vLLM. Only vLLM imports this module.

Both read text alone. vLLM gives token ids, too, but with a stop string its text
trails them, and a parser that pairs the two loses calls.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Final

from ..parser import parse
from .deltas import Delta, Deltas
from .reasoning_split import ReasoningSplit, split_reasoning
from .requests import count_calls, tool_dicts

# The places of vLLM's types, the newest first.
_PROTOCOLS: Final = (
    "vllm.entrypoints.generate.base.protocol",
    "vllm.entrypoints.openai.engine.protocol",
    "vllm.entrypoints.openai.protocol",
)
_TOOL_PARSERS: Final = (
    "vllm.tool_parsers.abstract_tool_parser",
    "vllm.entrypoints.openai.tool_parsers.abstract_tool_parser",
)
_THINK_BEGIN: Final = "<think>"
_ENDS: Final = ("</think>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>")
# After it a turn's text begins: what was thought in earlier turns does not count.
_TURN: Final = "<|im_middle|>"


def _first_of(names: Iterable[str]) -> Any:
    """The first of the modules that this version has."""
    missing: list[str] = []
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            missing.append(name)
    raise ImportError(f"this version of vLLM has none of {', '.join(missing)}")


_protocol: Final = _first_of(_PROTOCOLS)
_ToolParser: Final[Any] = _first_of(_TOOL_PARSERS).ToolParser
_ReasoningParser: Final[Any] = import_module("vllm.reasoning").ReasoningParser


class K2ToolParser(_ToolParser):  # type: ignore[misc] # the class is known at run time only
    """Reads Kimi-K2's tool calls: vLLM's tool parser `k2compat`."""

    supports_required_and_named = False  # they come in the model's own format
    structural_tag_model = "kimi"
    engine_based_streaming = True  # vLLM gives new text alone, and calls finish_streaming

    def __init__(self, tokenizer: Any, tools: Any = None) -> None:
        try:
            super().__init__(tokenizer, tools)
        except TypeError:  # before tools were given here
            super().__init__(tokenizer)
        self._deltas: Deltas | None = None

    def adjust_request(self, request: Any) -> Any:
        """Keep the markers in the text."""
        if request.tools and request.tool_choice != "none":
            request.skip_special_tokens = False
        return request

    def extract_tool_calls(self, model_output: str, request: Any) -> Any:
        """Read a whole output."""
        message = parse(model_output, _tools(request), first_index=_first_index(request))
        calls = [
            _protocol.ToolCall(
                id=call.id,
                type="function",
                function=_protocol.FunctionCall(
                    id=call.id, name=call.name, arguments=call.arguments
                ),
            )
            for call in message.tool_calls
        ]
        return _protocol.ExtractedToolCallInformation(
            tools_called=bool(calls), tool_calls=calls, content=message.content
        )

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> Any:
        """Read the next text. Only `delta_text` and `request` are used."""
        if self._deltas is None:
            self._deltas = Deltas(_tools(request), _first_index(request))
        return _delta_message(self._deltas.feed(delta_text))

    def finish_streaming(self) -> Any:
        """The rest of the message, or None."""
        return None if self._deltas is None else _delta_message(self._deltas.finish())


class K2ReasoningParser(_ReasoningParser):  # type: ignore[misc] # as above
    """Separates Kimi-K2's reasoning: vLLM's reasoning parser `k2compat`."""

    engine_based_streaming = True

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        switches = kwargs.get("chat_template_kwargs") or {}
        self._thinking = switches.get("thinking") is not False
        self._split = ReasoningSplit(thinking=self._thinking)
        vocabulary = tokenizer.get_vocab()
        self._begin = vocabulary.get(_THINK_BEGIN)
        self._turn = vocabulary.get(_TURN)
        self._ends = frozenset(vocabulary[end] for end in _ENDS if end in vocabulary)

    @property
    def reasoning_start_str(self) -> str:
        """The marker before reasoning."""
        return _THINK_BEGIN

    @property
    def reasoning_end_str(self) -> str:
        """The marker after it."""
        return _ENDS[0]

    def adjust_request(self, request: Any) -> Any:
        """Keep the markers in the text."""
        request.skip_special_tokens = False
        return request

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """Whether the text, not the ids that may run ahead, has left the reasoning."""
        return self._split.is_over

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the reasoning of the last turn in these ids is over."""
        for token_id in reversed(input_ids):
            if token_id in self._ends:
                return True
            if token_id in (self._begin, self._turn):
                return False
        return False

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """The ids after the reasoning. vLLM hands them on, and the tool parser ignores them."""
        for at, token_id in enumerate(input_ids):
            if token_id in self._ends:
                return input_ids[at + 1 :]
        return []

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """How many of an output's tokens are reasoning, markers aside."""
        count = 0
        for token_id in token_ids if self._thinking else ():
            if token_id in self._ends:
                break
            count += token_id != self._begin
        return count

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """The reasoning and the rest of a whole output."""
        return split_reasoning(model_output, thinking=self._thinking)

    # The method's name before 0.12.
    extract_reasoning_content = extract_reasoning

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> Any:
        """The reasoning in the next text, and as content what follows it."""
        reasoning, content = self._split.feed(delta_text)
        if not (reasoning or content):
            return None
        return _protocol.DeltaMessage(reasoning=reasoning or None, content=content or None)

    extract_reasoning_content_streaming = extract_reasoning_streaming

    def finish_streaming(self) -> Any:
        """Reasoning that was held because a marker might have come, or None."""
        held = self._split.finish()
        return _protocol.DeltaMessage(reasoning=held) if held else None


def _tools(request: Any) -> Any:
    return tool_dicts(request.tools)


def _first_index(request: Any) -> int:
    return count_calls(getattr(request, "messages", None) or getattr(request, "input", None))


def _delta_message(delta: Delta) -> Any:
    if not delta:
        return None
    calls = [
        _protocol.DeltaToolCall(
            **{**call, "function": _protocol.DeltaFunctionCall(**call["function"])}
        )
        for call in delta.get("tool_calls", ())
    ]
    return _protocol.DeltaMessage(content=delta.get("content"), tool_calls=calls)
