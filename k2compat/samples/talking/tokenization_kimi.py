"""Kimi-K2's tokenizer for Transformers: tiktoken.model and the added tokens of its config.

A file of the talking model's folder, from which Transformers and vLLM load it with
`trust_remote_code`. The class has the name that the family's own has. Nothing in k2compat imports
this module.
"""

import base64
import shutil
from pathlib import Path
from typing import Any

import tiktoken
from transformers import PreTrainedTokenizer

TABLE = "tiktoken.model"

# How text is cut before its bytes are merged; the table was made with it.
# Source: pat_str in tokenization_kimi.py of moonshotai/Kimi-K2-Instruct.
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_PATTERN = "|".join(
    (
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_TAIL}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_TAIL}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class TikTokenTokenizer(PreTrainedTokenizer):
    """tiktoken's byte-pair encoding between added tokens, which Transformers finds itself.

    A token as text has a character for each byte, of the same number (Latin-1): a token may hold
    half a character.
    """

    vocab_files_names = {"vocab_file": TABLE}  # noqa: RUF012 - as Transformers declares it
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    def __init__(self, vocab_file: str, **options: Any) -> None:
        """Read the table.

        Args:
            vocab_file: tiktoken.model: a token in base64 and its rank on each line.
            options: `added_tokens_decoder` and the other members of tokenizer_config.json.
        """
        lines = Path(vocab_file).read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
        self._file = vocab_file
        self._ids = {piece.decode("latin-1"): rank for piece, rank in ranks.items()}
        self._texts = {rank: text for text, rank in self._ids.items()}
        self._encoding = tiktoken.Encoding(
            TABLE, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={}
        )
        options = {"special_tokens_pattern": "none", **options}
        super().__init__(**options)  # type: ignore[no-untyped-call]

    @property
    def vocab_size(self) -> int:
        """How many tokens the table has; added tokens follow them."""
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        """All tokens."""
        return {**self._ids, **self.added_tokens_encoder}

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The tokens' bytes as text; U+FFFD in place of half a character."""
        added = self.added_tokens_encoder
        pieces = (token.encode("utf-8" if token in added else "latin-1") for token in tokens)
        return b"".join(pieces).decode("utf-8", "replace")

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy the table into a folder; the path of the copy."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        copy = Path(save_directory) / f"{prefix}{TABLE}"
        shutil.copyfile(self._file, copy)
        return (str(copy),)

    def _tokenize(self, text: str, **_options: Any) -> list[str]:
        return [self._texts[rank] for rank in self._encoding.encode_ordinary(text)]

    def _convert_token_to_id(self, token: str) -> int | None:
        unknown: int | None = self.unk_token_id
        return self._ids.get(token, unknown)

    def _convert_id_to_token(self, index: int) -> str:
        return self._texts[index]
