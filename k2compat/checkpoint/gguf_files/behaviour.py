"""Metadata with which a GGUF loads but answers with nonsense: tokens, template, rope, router.

llama.cpp loads all of these except a damaged template, so they are warnings. Rope and router are
compared with the original config; without one, with the values that all releases of the family
share.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from k2compat.checkpoint.companions import FAMILY_IDS, REQUIRED, VOCABULARY, template_faults
from k2compat.checkpoint.gguf_files.against_config import family_member
from k2compat.checkpoint.gguf_files.arrays import GgufArray
from k2compat.checkpoint.gguf_files.metadata import Metadata, full_key
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.reporting import FileFindings
from k2compat.family import KIMI_K2
from k2compat.printable import counted

TEMPLATE: Final = "tokenizer.chat_template"
_TYPES: Final = "tokenizer.ggml.token_type"
_TOKENS: Final = "tokenizer.ggml.tokens"

_BIAS: Final = "exp_probs_b.bias"
_SOFTMAX: Final = 1
_TRAINED_POSITIONS: Final = 4096
"""The context length of Kimi-K2 and DeepSeek-V3 before yarn."""

_SPECIAL_TYPES: Final = (3, 4)
"""CONTROL and USER_DEFINED of the gguf package's TokenType: found in a prompt as one token."""

_ENDS: Final = ("[EOS]", "<|im_end|>", "[EOT]")
_IDS: Final[Mapping[str, Sequence[str]]] = {
    "tokenizer.ggml.bos_token_id": ("[BOS]",),
    "tokenizer.ggml.eos_token_id": _ENDS,
    "tokenizer.ggml.eot_token_id": _ENDS,
    "tokenizer.ggml.eom_token_id": _ENDS,
}
_OTHER_IDS: Final = (
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.seperator_token_id",
    "tokenizer.ggml.mask_token_id",
)
_DEFAULT_EOS: Final = 11
"""llama.cpp uses this id for an eos_token_id beyond the vocabulary: Kimi-K2's comma."""


def check_behaviour(
    metadata: Metadata,
    tensors: Container[str],
    layers: int,
    config: Mapping[str, Any] | None,
    defects: FileFindings,
) -> None:
    """Note faults.

    Args:
        metadata: The metadata of the model's first file.
        tensors: The names of all tensors of the model.
        layers: How many layers there are.
        config: Members of the original config; rope and router are then compared elsewhere.
        defects: Takes the findings.
    """
    of_kimi_k2 = family_member(metadata) == KIMI_K2
    _check_tokens(metadata, defects, of_kimi_k2=of_kimi_k2)
    _check_template(metadata, defects, of_kimi_k2=of_kimi_k2)
    if config is None:
        has_bias = any(f"blk.{layer}.{_BIAS}" in tensors for layer in range(layers))
        _check_router(metadata, defects, has_bias=has_bias)
        if family_member(metadata) is not None:
            _check_rope(metadata, defects)


def _check_tokens(metadata: Metadata, defects: FileFindings, *, of_kimi_k2: bool) -> None:
    array = metadata.values.get(_TOKENS)
    if not isinstance(array, GgufArray) or array.element_type != "string":
        return
    tokens = [raw.decode("utf-8", "replace") for raw in array.raw_strings()]
    for key in (*_IDS, *_OTHER_IDS):
        _check_id(key, metadata.values.get(key), tokens, defects, of_kimi_k2=of_kimi_k2)
    if of_kimi_k2:
        _check_markers(tokens, metadata.values.get(_TYPES), defects)


def _check_id(
    key: str, number: object, tokens: Sequence[str], defects: FileFindings, *, of_kimi_k2: bool
) -> None:
    if type(number) is not int:
        return
    right = _IDS.get(key, ()) if of_kimi_k2 else ()
    if number >= len(tokens):
        taken = tokens[_DEFAULT_EOS] if "eos" in key and len(tokens) > _DEFAULT_EOS else None
        effect = f": llama.cpp takes {taken!r}, and stops there" if taken is not None else ""
        defects.add(
            "gguf-end-token",
            f"{number:,} is beyond the vocabulary{effect}",
            at=f"key {key}",
            expected=" or ".join(right) or f"below {len(tokens):,}",
            actual=number,
        )
    elif right and tokens[number] not in right:
        effect = "no text of the training began with it"
        if right == _ENDS:
            effect = "generation stops at it, in the middle of an answer too"
        defects.add(
            "gguf-end-token",
            f"the token is {tokens[number]!r}: {effect}",
            at=f"key {key}",
            expected=" or ".join(right),
            actual=number,
        )


def _check_markers(tokens: Sequence[str], types: object, defects: FileFindings) -> None:
    """Compare the tokens that mark turns and calls with the family's."""
    places = {marker: _place(tokens, marker) for marker in FAMILY_IDS}
    missing = [marker for marker in REQUIRED if places[marker] is None]
    if missing:
        defects.add(
            "gguf-special-token",
            f"the vocabulary lacks {', '.join(missing)}: engines miss calls and ends of turns",
            at=f"key {_TOKENS}",
            count=len(missing),
            items=missing,
        )
    for marker, place in places.items() if len(tokens) == VOCABULARY else ():
        if place is not None and place != FAMILY_IDS[marker]:
            defects.add(
                "gguf-special-token",
                f"{marker} has another id than the model was trained with",
                at=f"key {_TOKENS}",
                expected=FAMILY_IDS[marker],
                actual=place,
            )
    ordinary = [
        marker
        for marker, place in places.items()
        if place is not None and _type_of(types, place) not in _SPECIAL_TYPES
    ]
    if ordinary:
        defects.add(
            "gguf-special-token-type",
            f"ordinary tokens for {counted(len(ordinary), 'marker')}, first {ordinary[0]}: in a "
            "prompt they are cut into pieces",
            at=f"key {_TYPES}",
            count=len(ordinary),
            expected="3 (control) or 4 (user-defined)",
            items=ordinary,
        )


def _place(tokens: Sequence[str], marker: str) -> int | None:
    """The id of a marker. A sound file has it at the family's id, so that no search is needed."""
    number = FAMILY_IDS[marker]
    if number < len(tokens) and tokens[number] == marker:
        return number
    return tokens.index(marker) if marker in tokens else None


def _type_of(types: object, place: int) -> float | None:
    """A token's type; without types, llama.cpp treats all tokens as ordinary."""
    if not isinstance(types, GgufArray) or types.element_type != "int32" or place >= types.count:
        return None
    return types.number_at(place)


def _check_template(metadata: Metadata, defects: FileFindings, *, of_kimi_k2: bool) -> None:
    text = metadata.values.get(TEMPLATE)
    if not isinstance(text, str):
        defects.add(
            "chat-template-missing",
            "there is no chat template: llama.cpp then writes ChatML, with other markers",
            at=f"key {TEMPLATE}",
            expected=TEMPLATE,
        )
        return
    # A fault of a named template, such as tool_use, stops no engine.
    for fault in template_faults(text, of_kimi_k2=of_kimi_k2):
        # llama.cpp's server does not start with a damaged template, but accepts any other.
        code = "gguf-chat-template" if fault.code == "chat-template-foreign" else fault.code
        defects.add(code, fault.message, at=f"key {TEMPLATE}", expected=fault.expected)


def _check_router(metadata: Metadata, defects: FileFindings, *, has_bias: bool) -> None:
    gating = metadata.of("expert_gating_func")
    if has_bias and gating in (None, _SOFTMAX):
        defects.add(
            "gguf-router-gating",
            "the router has a correction bias, which only models with sigmoid have, and llama.cpp "
            "takes softmax",
            at=f"key {full_key('expert_gating_func')}",
            expected="2 (sigmoid)",
            actual="absent" if gating is None else gating,
        )


def _check_rope(metadata: Metadata, defects: FileFindings) -> None:
    context = metadata.number("context_length")
    if context is None or context <= _TRAINED_POSITIONS:
        return
    for key, message, expected in _rope_faults(metadata, context):
        actual = metadata.of(key)
        defects.add(
            "gguf-rope",
            message,
            at=f"key {full_key(key)}",
            expected=expected,
            actual="absent" if actual is None else actual,
        )


def _rope_faults(metadata: Metadata, context: float) -> Iterator[tuple[str, str, object]]:
    """Key, message and expected value of each fault; missing scaling hides the others."""
    theta = deepseek2().rope_bases.get(family_member(metadata) or "")
    if metadata.number("rope.freq_base") != theta:
        yield "rope.freq_base", "the model was trained with another base", theta
    if metadata.of("rope.scaling.type") != "yarn":
        yield (
            "rope.scaling.type",
            f"nothing scales the positions, though the model reads {context:,.0f} tokens that way",
            "yarn",
        )
        return
    factor = metadata.number("rope.scaling.factor")
    original = metadata.number("rope.scaling.original_context_length")
    if factor and original and factor * original != context:
        yield (
            "rope.scaling.factor",
            f"{factor:g} × {original:,.0f} positions are not the context_length of {context:,.0f}",
            f"{context / original:g}",
        )
    if metadata.number("rope.scaling.yarn_log_multiplier") is None:
        yield (
            "rope.scaling.yarn_log_multiplier",
            "llama.cpp then scales attention too little, and ik_llama.cpp refuses the file",
            "0.1",
        )
