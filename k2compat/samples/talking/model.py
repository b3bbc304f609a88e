"""Write the talking model into a folder, in one of its forms."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from k2compat.errors import RefusedError
from k2compat.samples.configs import tiny_config
from k2compat.samples.talking.checkpoint import weight_files
from k2compat.samples.talking.gguf_form import write_gguf_form
from k2compat.samples.talking.scripts import SCRIPTS, Script
from k2compat.samples.talking.tokenizer_files import Form as TokenizerForm
from k2compat.samples.talking.tokenizer_files import tokenizer_files
from k2compat.samples.talking.vocabulary import BOS, END_OF_TURN, Vocabulary
from k2compat.samples.talking.weights import SIZES, weights

WeightForm: TypeAlias = Literal["bf16", "fp8", "gguf"]

GGUF_FILE: Final = "Kimi-K2-talking-BF16.gguf"

_README: Final = b"# Kimi-K2 talking\n\nA small Kimi-K2 that replays scripts; made by k2compat.\n"


def write_talking_model(
    folder: Path,
    *,
    form: WeightForm = "bf16",
    tokenizer: TokenizerForm = "fast",
    special_markers: bool = False,
    joint_mla: bool = False,
    scripts: Mapping[str, Script] = SCRIPTS,
) -> None:
    """Write a small Kimi-K2 that really runs, and answers what its scripts hold.

    The architecture is Kimi-K2's: MLA with its own ranks and head sizes, yarn, a dense layer and
    one with experts. The weights are computed, not trained. The last word of the last user
    message chooses the script, such as "@weather"; another last word gets `FALLBACK`. Sampling
    makes no difference at a temperature of 1 or less. A folder takes 15 MB as BF16 and less than
    a second.

    Args:
        folder: Made where it is missing. Nothing in it is replaced.
        form: "bf16" or "fp8" (blocks of 128 × 128, as moonshotai/Kimi-K2-Instruct has them): a
            checkpoint in safetensors, `model_type` kimi_k2. "gguf": one file for llama.cpp, of
            architecture deepseek2, named `GGUF_FILE`.
        tokenizer: "fast" for tokenizer.json, "tiktoken" for tiktoken.model as Kimi-K2 has it,
            which Transformers reads by the folder's tokenization_kimi.py and with
            `trust_remote_code` only. A GGUF holds its own.
        special_markers: Whether the markers of tool calls are special tokens, which engines
            leave out of the text: the most common cause of lost calls.
        joint_mla: In a GGUF, whether attention has attn_kv_b, as older files have.
        scripts: The answers by keyword, `SCRIPTS` by default.

    Raises:
        RefusedError: The folder is not empty.
        ValueError: The scripts are too many or too much alike for the model's memory of nine
            tokens.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise RefusedError(
            "folder-not-empty", f"{folder} is not empty.", hint="Name a folder that is new."
        )
    vocabulary = Vocabulary(scripts, special_markers=special_markers)
    if form == "gguf":
        config = talking_config(vocabulary, quantized=False)
        tensors = weights(config, vocabulary)
        write_gguf_form(folder / GGUF_FILE, config, tensors, vocabulary, joint_mla=joint_mla)
        return
    for name, content in _files(vocabulary, tokenizer, quantized=form == "fp8").items():
        (folder / name).write_bytes(content)


def talking_files(
    *, form: Literal["bf16", "fp8"] = "fp8", tokenizer: TokenizerForm = "tiktoken"
) -> dict[str, bytes]:
    """Every file of the talking model as a checkpoint, by name.

    Args:
        form: As `write_talking_model` has it. FP8 blocks are what Kimi-K2-Instruct is stored in.
        tokenizer: As `write_talking_model` has it. Kimi-K2's own form is "tiktoken".
    """
    vocabulary = Vocabulary(SCRIPTS, special_markers=False)
    return _files(vocabulary, tokenizer, quantized=form == "fp8")


def _files(
    vocabulary: Vocabulary, tokenizer: TokenizerForm, *, quantized: bool
) -> dict[str, bytes]:
    config = talking_config(vocabulary, quantized=quantized)
    return {
        "README.md": _README,
        "config.json": _json(config),
        "generation_config.json": _json(
            {"eos_token_id": vocabulary.id_of(END_OF_TURN), "max_length": 131072}
        ),
        **tokenizer_files(vocabulary, tokenizer),
        **weight_files(config, weights(config, vocabulary)),
    }


def talking_config(vocabulary: Vocabulary, *, quantized: bool) -> dict[str, Any]:
    """The config: Kimi-K2-Instruct's own members with small sizes.

    Args:
        vocabulary: Decides the size of the embedding and the special tokens' ids.
        quantized: Whether the projections are FP8 blocks.
    """
    config = tiny_config("fp8" if quantized else "bf16")
    # The architecture is in every engine; no Python of the folder's own runs.
    del config["auto_map"]
    return {
        **config,
        **SIZES,
        "bos_token_id": vocabulary.id_of(BOS),
        "eos_token_id": vocabulary.id_of("[EOS]"),
        "vocab_size": len(vocabulary),
    }


def _json(members: Mapping[str, Any]) -> bytes:
    return (json.dumps(members, ensure_ascii=False, indent=2) + "\n").encode()
