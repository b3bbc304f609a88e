"""How the gateway treats every exchange: plain values, without sockets, files or clocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from k2compat.gateway.dialects import Engine
from k2compat.gateway.sse import EVENT_LIMIT
from k2compat.toolcalls.chat import ReasoningField

ReasoningOption: TypeAlias = Literal["auto", "off", "tagged", "prefilled"]
MarkerTextOption: TypeAlias = Literal["escape", "pass", "refuse"]
TokenIdsOption: TypeAlias = Literal["auto", "on", "off"]

ANSWER_LIMIT: Final = 256 * 1024 * 1024

# The family's public ids, the same in every release from Kimi-K2-Instruct to Kimi-K2.7-Code;
# think markers since Kimi-K2-Thinking. Source: added_tokens_decoder of the tokenizer_config.json
# files on the Hub, which give 163595 to 163599 to the markers of calls. The order of
# the markers: token ids of a whole section in an engine's tests for Kimi-K2 are 163595, 163597, …,
# 163598, …, 163599, 163596.
FAMILY_MARKER_IDS: Final[Mapping[int, str]] = {
    163585: "[EOS]",
    163586: "<|im_end|>",
    163593: "[EOT]",
    163595: "<|tool_calls_section_begin|>",
    163596: "<|tool_calls_section_end|>",
    163597: "<|tool_call_begin|>",
    163598: "<|tool_call_argument_begin|>",
    163599: "<|tool_call_end|>",
    163606: "<think>",
    163607: "</think>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an exchange.

    Attributes:
        engine: the server whose dialect requests are written in.
        model: the model's name upstream, sent in place of the client's; None keeps the client's.
        reasoning: how the model writes its thoughts, as for `StreamParser`; "auto" tells it from
            the model's name.
        skip: the names of the request steps that are not taken.
        marker_text: what happens to text of the conversation that spells a marker.
        special_texts: the texts that the model's tokenizer reads as special tokens, in addition to
            the family's own.
        marker_ids: the marker for each token id, as `k2compat.toolcalls.marker_ids` returns them.
        recover_stripped: whether `functions.NAME:N{…}` at the end of the content is a call.
        token_ids: whether the server is asked for token ids, which show markers that the text lost;
            "auto" asks servers that drop the markers' text.
        reasoning_field: the field of the answer that holds the thoughts.
        event_limit: the largest server-sent event that is read, in bytes.
        answer_limit: the largest answer that is read, in bytes.
    """

    engine: Engine = "openai"
    model: str | None = None
    reasoning: ReasoningOption = "auto"
    skip: frozenset[str] = frozenset()
    marker_text: MarkerTextOption = "escape"
    special_texts: frozenset[str] = frozenset()
    marker_ids: Mapping[int, str] = field(default_factory=lambda: FAMILY_MARKER_IDS)
    recover_stripped: bool = False
    token_ids: TokenIdsOption = "auto"
    reasoning_field: ReasoningField = "reasoning_content"
    event_limit: int = EVENT_LIMIT
    answer_limit: int = ANSWER_LIMIT
