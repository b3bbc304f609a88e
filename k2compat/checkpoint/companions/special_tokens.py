"""The tokens that begin and end turns and calls: in tokenizer, config and generation config.

A shifted id loads: the model then never stops, or its calls arrive as text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from k2compat.checkpoint.companions.token_ranks import RANKS_BYTES_MAX, RANKS_FILE
from k2compat.checkpoint.companions.token_tables import TokenTable, read_token_table
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
from k2compat.printable import counted, shortened

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
_BEGINS: Final = ("[BOS]",)
_ENDS_BY_MEMBER: Final[Mapping[str, Sequence[str]]] = {
    "eos_token_id": _ENDS,
    "bos_token_id": _BEGINS,
}
_NO_STOP: Final = "generation does not stop where a turn ends"
_NO_BEGINNING: Final = "no text of the training began with it"
_EFFECTS: Final = {
    "eos_token_id": _NO_STOP,
    "eos_token": _NO_STOP,
    "bos_token_id": _NO_BEGINNING,
    "bos_token": _NO_BEGINNING,
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

    Without Kimi-K2's fingerprint in the config only the bounds are judged: DeepSeek-V3 has
    another tokenizer.

    Args:
        source: The model's files.
        config: The members of config.json.
        generation: The members of generation_config.json; {} without one.
        tokenizer: The members of tokenizer_config.json; {} without one.
    """
    text = text_config(config)
    rows = text.get("vocab_size")
    rows = rows if type(rows) is int else None
    table, findings = read_token_table(source, tokenizer)
    yield from findings
    yield from _bounds(source, table, rows)
    of_kimi_k2 = fingerprint_of(text) == KIMI_K2
    if of_kimi_k2:
        yield from _class(f"{source.name}/{TOKENIZER_CONFIG_FILE}", tokenizer, table)
        yield from _markers(f"{source.name}/{table.file}", table, rows)
    for name, members in (
        (CONFIG_FILE, config),
        (CONFIG_FILE, text if text is not config else {}),
        (GENERATION_CONFIG_FILE, generation),
    ):
        ends = _ENDS_BY_MEMBER if of_kimi_k2 and table.is_known else {}
        yield from _ends(f"{source.name}/{name}", members, table, rows, ends)
    if of_kimi_k2 and rows == VOCABULARY and RANKS_FILE in source.files:
        yield from _ranks(source)


def _bounds(source: Source, table: TokenTable, rows: int | None) -> tuple[Finding, ...]:
    found = FileFindings(f"{source.name}/{table.file}")
    if rows is not None and table.highest >= rows:
        found.add(
            "token-beyond-embedding",
            f"the highest id is {table.highest:,}, the embedding has {counted(rows, 'row')}: "
            "engines fail at such a token",
            at=table.member,
            expected=f"below {rows:,}",
            actual=f"{table.highest:,}",
        )
    return found.findings()


def _class(where: str, tokenizer: Mapping[str, Any], table: TokenTable) -> tuple[Finding, ...]:
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
    for member, right in (("eos_token", _ENDS), ("bos_token", _BEGINS)):
        value = tokenizer.get(member)
        # Older programs write an object with the token's flags.
        content = value.get("content") if isinstance(value, dict) else value
        if table.is_known and isinstance(content, str) and content not in right:
            found.add(
                "end-token",
                f"{member} is {shortened(content)}: {_EFFECTS[member]}",
                at=member,
                expected=" or ".join(right),
                actual=content,
            )
    return found.findings()


def _markers(where: str, table: TokenTable, rows: int | None) -> tuple[Finding, ...]:
    found = FileFindings(where)
    missing = [token for token in REQUIRED if token not in table.tokens.values()]
    if table.is_known and missing:
        found.add(
            "special-token-missing",
            f"the tokenizer lacks {', '.join(missing)}: engines miss calls and ends of turns",
            at=table.member,
            count=len(missing),
            items=missing,
        )
    # A small model's own tokenizer has other ids throughout.
    if rows == VOCABULARY or table.highest >= ORDINARY_TOKENS:
        for number, token in table.tokens.items():
            expected = FAMILY_IDS.get(token)
            if expected is not None and number != expected:
                found.add(
                    "special-token-id",
                    f"{token} has another id than the model was trained with",
                    at=table.member,
                    expected=expected,
                    actual=number,
                )
    return found.findings()


def _ends(
    where: str,
    members: Mapping[str, Any],
    table: TokenTable,
    rows: int | None,
    ends: Mapping[str, Sequence[str]],
) -> tuple[Finding, ...]:
    found = FileFindings(where)
    for member in _ENDS_BY_MEMBER:
        value = members.get(member)
        for number in value if isinstance(value, list) else [value]:
            if type(number) is not int:
                continue
            right = ends.get(member, ())
            actual = table.tokens.get(number)
            is_beyond = rows is not None and not 0 <= number < rows
            if is_beyond or (right and actual not in right):
                shown = "beyond the vocabulary" if is_beyond else actual or "an ordinary token"
                found.add(
                    "end-token",
                    f"{member} {number} is {shown}: {_EFFECTS[member]}",
                    at=member,
                    expected=" or ".join(right) or f"below {rows:,}",
                    actual=number,
                )
    return found.findings()


def _ranks(source: Source) -> tuple[Finding, ...]:
    found = FileFindings(f"{source.name}/{RANKS_FILE}")
    try:
        with source.open(RANKS_FILE) as file:
            if file.size > RANKS_BYTES_MAX:
                return ()  # check_ranks reports it
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
