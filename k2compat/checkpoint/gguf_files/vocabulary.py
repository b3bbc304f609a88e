"""Comparison of the vocabulary in a GGUF's metadata with the embedding, and its own checks."""

from collections import Counter

from k2compat.checkpoint.gguf_files.against_config import family_member
from k2compat.checkpoint.gguf_files.arrays import GgufArray, GgufValue
from k2compat.checkpoint.gguf_files.metadata import Metadata
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import counted

MODEL = "tokenizer.ggml.model"
PRE_TOKENIZER = "tokenizer.ggml.pre"
TOKENS = "tokenizer.ggml.tokens"
TYPES = "tokenizer.ggml.token_type"
MERGES = "tokenizer.ggml.merges"

_ELEMENTS = {TOKENS: "string", TYPES: "int32", MERGES: "string"}

WITHOUT_MERGES = "kimi-k2"
"""The pre-tokenizer with which llama.cpp accepts a vocabulary without merges."""


def token_count(metadata: Metadata) -> int | None:
    """Number of tokens; None where there is no list of them."""
    tokens = metadata.values.get(TOKENS)
    return tokens.count if isinstance(tokens, GgufArray) else None


def check_vocabulary(metadata: Metadata, rows: int | None, defects: FileFindings) -> None:
    """Note faults.

    Args:
        metadata: The metadata of the model's first file.
        rows: The rows of the embedding tensor; None where that is missing.
        defects: Takes the findings.
    """
    _check_model(metadata, defects)
    _check_pre_tokenizer(metadata, defects)
    for key, element_type in _ELEMENTS.items():
        _check_array(metadata, key, element_type, defects)
    tokens = token_count(metadata)
    if tokens is None:
        return
    if rows is not None and tokens != rows:
        defects.add(
            "gguf-vocabulary-rows",
            f"the vocabulary has {counted(tokens, 'token')}, the embedding {counted(rows, 'row')}",
            at=f"key {TOKENS}",
            expected=f"{rows:,}",
            actual=f"{tokens:,}",
        )
    _check_repeated(metadata.values[TOKENS], defects)
    types = metadata.values.get(TYPES)
    if isinstance(types, GgufArray) and types.count < tokens:
        defects.add(
            "gguf-token-types",
            f"there are only {counted(types.count, 'type')} for {counted(tokens, 'token')}",
            at=f"key {TYPES}",
            expected=f"{tokens:,}",
            actual=f"{types.count:,}",
        )


def _check_repeated(tokens: "GgufValue", defects: FileFindings) -> None:
    """Find repeated tokens. Only this reads each token: 50 ms for Kimi-K2's vocabulary."""
    if not isinstance(tokens, GgufArray) or tokens.element_type != "string":
        return
    repeated = tokens.count - len(set(tokens.raw_strings()))
    if repeated:
        first, _ = Counter(tokens.raw_strings()).most_common(1)[0]
        defects.add(
            "gguf-token-duplicate",
            f"the list repeats {counted(repeated, 'token')}",
            at=f"key {TOKENS}",
            count=repeated,
            actual=first.decode("utf-8", "backslashreplace"),
        )


def _check_model(metadata: Metadata, defects: FileFindings) -> None:
    model, known = metadata.values.get(MODEL), deepseek2().tokenizer_model
    if not isinstance(model, str):
        defects.add(
            "gguf-tokenizer-missing",
            "the metadata name no tokenizer",
            at=f"key {MODEL}",
            expected=known,
        )
    elif model != known:
        defects.add(
            "gguf-tokenizer-other",
            "the tokenizer is of another kind than this architecture's models have",
            at=f"key {MODEL}",
            expected=known,
            actual=model,
        )


def _check_pre_tokenizer(metadata: Metadata, defects: FileFindings) -> None:
    expected = deepseek2().pre_tokenizers.get(family_member(metadata) or "")
    actual = metadata.values.get(PRE_TOKENIZER)
    if expected is not None and actual != expected:
        defects.add(
            "gguf-tokenizer-other",
            "the text is cut into other tokens than the model was trained on",
            at=f"key {PRE_TOKENIZER}",
            expected=expected,
            actual="absent" if actual is None else actual,
        )


def _check_array(metadata: Metadata, key: str, element_type: str, defects: FileFindings) -> None:
    value = metadata.values.get(key)
    if value is None:
        optional = key == TYPES or (
            key == MERGES and metadata.values.get(PRE_TOKENIZER) == WITHOUT_MERGES
        )
        if not optional:
            defects.add("gguf-key-missing", "the key is missing", at=f"key {key}")
    elif not isinstance(value, GgufArray) or value.element_type != element_type:
        actual = value.element_type if isinstance(value, GgufArray) else metadata.types[key]
        defects.add(
            "gguf-key-type",
            "the value has a type that llama.cpp does not take",
            at=f"key {key}",
            expected=f"an array of {element_type}",
            actual=actual,
        )
