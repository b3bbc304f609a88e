"""The tokens that begin and end turns and calls: in tokenizer, config and generation config.

A shifted id loads: the model then never stops, or its calls arrive as text.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from k2compat.checkpoint.companions.token_ranks import RANKS_FILE
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.family import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    KIMI_K2,
    TOKENIZER_CONFIG_FILE,
    fingerprint_of,
    text_config,
)
from k2compat.findings import Finding
from k2compat.printable import counted

ORDINARY_TOKENS: Final = 163_584
"""Ranks of Kimi-K2's tiktoken.model; the special tokens follow."""

VOCABULARY: Final = 163_840

FAMILY_IDS: Final[Mapping[str, int]] = {
    "[BOS]": 163_584,
    "[EOS]": 163_585,
    "<|im_end|>": 163_586,
    "<|im_user|>": 163_587,
    "<|im_assistant|>": 163_588,
    "<|im_system|>": 163_594,
    "<|tool_calls_section_begin|>": 163_595,
    "<|tool_calls_section_end|>": 163_596,
    "<|tool_call_begin|>": 163_597,
    "<|tool_call_argument_begin|>": 163_598,
    "<|tool_call_end|>": 163_599,
    "<|im_middle|>": 163_601,
    "<think>": 163_606,
    "</think>": 163_607,
}
"""Of the tokenizer of moonshotai/Kimi-K2.5; the tokenizers before it have the same."""

REQUIRED: Final = (
    "<|im_end|>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)
_ENDS: Final = ("[EOS]", "<|im_end|>")
_EFFECTS: Final = {
    "eos_token_id": "generation does not stop where a turn ends",
    "bos_token_id": "no text of the training began with it",
}
_CLASSES: Final = (
    "TikTokenTokenizer",
    "TikTokenV3",
    "PreTrainedTokenizerFast",
    "PreTrainedTokenizer",
    "TokenizersBackend",
)


def check_special_tokens(
    source: Source,
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
) -> Iterator[Finding]:
    """Find special tokens that are missing, have other ids, or do not end a turn.

    Only a config with Kimi-K2's fingerprint is judged: DeepSeek-V3 has another tokenizer.

    Args:
        source: The model's files.
        config: The members of config.json.
        generation: The members of generation_config.json; {} without one.
        tokenizer: The members of tokenizer_config.json; {} without one.
    """
    text = text_config(config)
    if fingerprint_of(text) != KIMI_K2:
        return
    tokens = _added_tokens(tokenizer)
    yield from _tokenizer(f"{source.name}/{TOKENIZER_CONFIG_FILE}", tokenizer, tokens)
    for name, members in (
        (CONFIG_FILE, config),
        (CONFIG_FILE, text if text is not config else {}),
        (GENERATION_CONFIG_FILE, generation),
    ):
        yield from _ends(f"{source.name}/{name}", members, tokens, text.get("vocab_size"))
    if text.get("vocab_size") == VOCABULARY and RANKS_FILE in source.files:
        yield from _ranks(source)


def _added_tokens(tokenizer: Mapping[str, Any]) -> Mapping[int, str]:
    added = tokenizer.get("added_tokens_decoder")
    return {
        int(number): token["content"]
        for number, token in (added.items() if isinstance(added, dict) else ())
        if number.isdecimal()
        and len(number) < 10
        and isinstance(token, dict)
        and isinstance(token.get("content"), str)
    }


def _tokenizer(
    where: str, tokenizer: Mapping[str, Any], tokens: Mapping[int, str]
) -> tuple[Finding, ...]:
    found = FileFindings(where)
    name = tokenizer.get("tokenizer_class")
    if isinstance(name, str) and name not in _CLASSES:
        found.add(
            "tokenizer-foreign",
            "the class is of another model's tokenizer",
            at="tokenizer_class",
            expected=_CLASSES[0],
            actual=name,
        )
    missing = [token for token in REQUIRED if tokens and token not in tokens.values()]
    if missing:
        found.add(
            "special-token-missing",
            f"the tokenizer lacks {', '.join(missing)}: engines miss calls and ends of turns",
            at="added_tokens_decoder",
            count=len(missing),
            items=missing,
        )
    # A small model's own tokenizer has other ids throughout.
    if tokens and max(tokens) >= ORDINARY_TOKENS:
        for number, token in tokens.items():
            expected = FAMILY_IDS.get(token)
            if expected is not None and number != expected:
                found.add(
                    "special-token-id",
                    f"{token} has another id than the model was trained with",
                    at="added_tokens_decoder",
                    expected=expected,
                    actual=number,
                )
    return found.findings()


def _ends(
    where: str, members: Mapping[str, Any], tokens: Mapping[int, str], vocabulary: object
) -> tuple[Finding, ...]:
    found = FileFindings(where)
    for member, right in (("eos_token_id", _ENDS), ("bos_token_id", ("[BOS]",))):
        value = members.get(member)
        for number in value if isinstance(value, list) else [value]:
            if type(number) is not int or not tokens:
                continue
            actual = tokens.get(number)
            is_beyond = vocabulary == VOCABULARY and not 0 <= number < VOCABULARY
            if is_beyond or actual not in right:
                shown = "beyond the vocabulary" if is_beyond else actual or "an ordinary token"
                effect = _EFFECTS[member]
                found.add(
                    "end-token",
                    f"{member} {number} is {shown}: {effect}",
                    at=member,
                    expected=" or ".join(right),
                    actual=number,
                )
    return found.findings()


def _ranks(source: Source) -> tuple[Finding, ...]:
    found = FileFindings(f"{source.name}/{RANKS_FILE}")
    try:
        with source.open(RANKS_FILE) as file:
            count = sum(map(bool, file.read(0, file.size).splitlines()))
    except FileRefusedError:
        return ()  # check_beside reports it
    if count != ORDINARY_TOKENS:
        found.add(
            "tokenizer-foreign",
            f"the vocabulary has {counted(count, 'token')}: it is cut, or another model's",
            expected=f"{ORDINARY_TOKENS:,}",
            actual=f"{count:,}",
        )
    return found.findings()
