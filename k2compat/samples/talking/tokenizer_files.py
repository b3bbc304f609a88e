"""The talking model's tokenizer as files: tokenizer.json or tiktoken.model, and their config."""

import base64
import json
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from k2compat.samples.talking.vocabulary import BOS, Vocabulary

Form: TypeAlias = Literal["fast", "tiktoken"]

CHAT_TEMPLATE: Final = Path(__file__).with_name("chat_template.jinja")
REMOTE_CODE: Final = Path(__file__).with_name("tokenization_kimi.py")
_CLASS: Final = "TikTokenTokenizer"

# GPT-2's table: byte-level BPE writes a byte as a character, a printable one as itself.
_PRINTABLE: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_REST: Final = (byte for byte in range(0x100) if byte not in _PRINTABLE)
_CHARACTERS: Final = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(0x100 + number) for number, byte in enumerate(_REST)
}


def byte_level(piece: bytes) -> str:
    """A token as byte-level BPE writes it, a character for each byte."""
    return "".join(_CHARACTERS[byte] for byte in piece)


def tokenizer_files(vocabulary: Vocabulary, form: Form) -> dict[str, bytes]:
    """The files that a tokenizer is loaded from, by name.

    Args:
        vocabulary: All tokens.
        form: "fast": the tokenizers library's tokenizer.json. "tiktoken": tiktoken.model, a
            token in base64 and its rank on each line, as Kimi-K2 has it, and the Python that
            reads it.
    """
    table = (
        {"tokenizer.json": _json(_fast(vocabulary))}
        if form == "fast"
        else {"tiktoken.model": _ranks(vocabulary), REMOTE_CODE.name: REMOTE_CODE.read_bytes()}
    )
    return {
        "chat_template.jinja": CHAT_TEMPLATE.read_bytes(),
        "tokenizer_config.json": _json(_config(vocabulary, form)),
        **table,
    }


def _ranks(vocabulary: Vocabulary) -> bytes:
    return b"".join(
        base64.b64encode(piece) + f" {rank}\n".encode()
        for rank, piece in enumerate(vocabulary.ordinary)
    )


def _fast(vocabulary: Vocabulary) -> dict[str, Any]:
    """Byte-level BPE without merges: text becomes bytes, the model alone writes pieces."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, **_added(vocabulary, number)} for number in vocabulary.added
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", **_BYTE_LEVEL},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **_BYTE_LEVEL},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {byte_level(piece): rank for rank, piece in enumerate(vocabulary.ordinary)},
            "merges": [],
        },
    }


_BYTE_LEVEL: Final = {"add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def _config(vocabulary: Vocabulary, form: Form) -> dict[str, Any]:
    config: dict[str, Any] = {
        "added_tokens_decoder": {
            str(number): _added(vocabulary, number) for number in vocabulary.added
        },
        "bos_token": BOS,
        "clean_up_tokenization_spaces": False,
        "eos_token": "[EOS]",
        "model_max_length": 131072,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
    }
    if form == "fast":
        return {**config, "tokenizer_class": "PreTrainedTokenizerFast"}
    named = {content for member, content in config.items() if member.endswith("_token")}
    special = [token.content for token in vocabulary.added.values() if token.is_special]
    return {
        **config,
        # A tokenizer in Python goes by this list; "special" above tells the fast one alone.
        "additional_special_tokens": [content for content in special if content not in named],
        "auto_map": {"AutoTokenizer": [f"{REMOTE_CODE.stem}.{_CLASS}", None]},
        "tokenizer_class": _CLASS,
    }


def _added(vocabulary: Vocabulary, number: int) -> dict[str, Any]:
    token = vocabulary.added[number]
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": token.content, **flags, "special": token.is_special}


def _json(members: dict[str, Any]) -> bytes:
    return (json.dumps(members, ensure_ascii=False, indent=2) + "\n").encode()
