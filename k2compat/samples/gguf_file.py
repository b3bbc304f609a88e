"""A small GGUF of the same model, whole: llama.cpp loads it.

Its content comes from the rules that `validate` compares GGUFs with; the weights are random. A
mistake in these rules would cancel out in the tests, were they not run in llama.cpp as well.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from k2compat.checkpoint import (
    ExpectedGgufTensor,
    GgufLayout,
    config_sizes,
    config_value,
    deepseek2,
    expected_gguf_tensors,
)
from k2compat.samples.checkpoint import TEMPLATE, tiny_config

# Kimi-K2's own, in the order of their ids.
_MARKERS = (
    "[BOS]",
    "[EOS]",
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|im_system|>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|im_middle|>",
    "<think>",
    "</think>",
)

_SEED = 20_250_711
_SPREAD = 0.02

# The characters that byte-level BPE writes bytes with: GPT-2's table, in another order.
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTES = (*map(chr, _PRINTABLE), *map(chr, range(0x100, 0x200 - len(_PRINTABLE))))

# Token types of the gguf package's TokenType.
_NORMAL, _CONTROL = 1, 3


def write_gguf(
    path: Path,
    *,
    joint_mla: bool = True,
    name: str = "Kimi-K2 (tiny)",
    tensors_per_file: int = 0,
) -> None:
    """Write a GGUF with the gguf package.

    Args:
        path: The file to make.
        joint_mla: Whether attention has attn_kv_b (older files, what KTransformers reads) or
            the split attn_k_b and attn_v_b (what llama.cpp converts to since 2025).
        name: The model's name in the metadata.
        tensors_per_file: Split the model into a set of files with at most so many tensors each,
            named NAME-00001-of-0000N.gguf for a path NAME.gguf; 0 makes one file.
    """
    import gguf
    import numpy as np

    config = tiny_config()
    random = np.random.default_rng(_SEED)
    writer = gguf.GGUFWriter(path, deepseek2().architecture, split_max_tensors=tensors_per_file)
    writer.add_name(name)
    add_architecture(writer, config, joint_mla=joint_mla)
    _add_vocabulary(writer, config["vocab_size"])
    for tensor in tensors_of(config, joint_mla=joint_mla):
        writer.add_tensor(tensor.name, _weights(tensor, random))
    write_all(writer)


def add_architecture(writer: Any, config: Mapping[str, Any], *, joint_mla: bool) -> None:
    """Add the metadata that describes the architecture.

    Args:
        writer: A `gguf.GGUFWriter`.
        config: The members of the original config.
        joint_mla: As for `write_gguf`.
    """
    _add_sizes(writer, _sizes(config), joint_mla=joint_mla)
    _add_values(writer, config)


def tensors_of(config: Mapping[str, Any], *, joint_mla: bool) -> Iterator[ExpectedGgufTensor]:
    """The tensors of the file, in its order."""
    return expected_gguf_tensors(_sizes(config), GgufLayout(split_mla=not joint_mla))


def write_all(writer: Any) -> None:
    """Write what a `gguf.GGUFWriter` holds, and close it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _sizes(config: Mapping[str, Any]) -> dict[str, int]:
    sizes = {"mtp_layers": 0, "vocabulary": config["vocab_size"], **config_sizes(config)}
    return {**sizes, "head_nope": sizes["head_key"] - sizes["rope"]}


def _add_sizes(writer: Any, sizes: Mapping[str, int], *, joint_mla: bool) -> None:
    """Write the sizes as llama.cpp's converter does.

    With split MLA it writes the one head that attention works with after absorption, and the
    real ones behind the _mla keys.
    """
    absorbed = {"head_key": sizes["kv_rank"] + sizes["rope"], "head_value": sizes["kv_rank"]}
    for rule in deepseek2().sizes:
        size = sizes[rule.name]
        if rule.mla_key and not joint_mla:
            writer.add_uint32(_full(rule.mla_key), size)
            size = absorbed[rule.name]
        if size or rule.default is None:
            writer.add_uint32(_full(rule.key), size)
    writer.add_head_count_kv(sizes["heads"] if joint_mla else 1)


def _add_values(writer: Any, config: Mapping[str, Any]) -> None:
    add = {
        "bool": writer.add_bool,
        "float32": writer.add_float32,
        "string": writer.add_string,
        "uint32": writer.add_uint32,
    }
    for rule in deepseek2().values:
        value = config_value(rule, config)
        if value is not None:
            add[rule.type](_full(rule.key), value)


def _add_vocabulary(writer: Any, size: int) -> None:
    """Byte-level BPE without merges: a token for each byte, the rest special ones."""
    unnamed = size - len(_BYTES) - len(_MARKERS)
    special = [*_MARKERS, *(f"<|{number}|>" for number in range(unnamed))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("kimi-k2")
    writer.add_token_list([*_BYTES, *special])
    writer.add_token_types([_NORMAL] * len(_BYTES) + [_CONTROL] * len(special))
    writer.add_token_merges([])
    writer.add_bos_token_id(len(_BYTES))
    writer.add_eos_token_id(len(_BYTES) + 1)
    writer.add_chat_template(TEMPLATE)


def _full(key: str) -> str:
    return f"{deepseek2().architecture}.{key}"


def _weights(tensor: ExpectedGgufTensor, random: Any) -> Any:
    """Values of the size that a fresh model has, F32; numpy has the slowest dimension first."""
    if tensor.name.endswith("norm.weight"):
        return random.normal(1.0, _SPREAD, tensor.dimensions[::-1]).astype("float32")
    return random.normal(0.0, _SPREAD, tensor.dimensions[::-1]).astype("float32")
