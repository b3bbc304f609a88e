"""A small checkpoint in safetensors: config, tokenizer, remote code, shards and index."""

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from math import ceil, prod
from pathlib import Path
from typing import Any, Final, NamedTuple

# The config of moonshotai/Kimi-K2-Instruct on the Hub, all values.
_REAL_CONFIG = Path(__file__).with_name("kimi-k2-instruct.json")

# Sizes in place of the real ones; the fingerprint and all other values stay.
TINY: Final[Mapping[str, int]] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "kv_lora_rank": 32,
    "moe_intermediate_size": 128,
    "n_routed_experts": 4,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "q_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "vocab_size": 320,
}

# As every byte of a tensor, a small positive number in BF16, F32 and FP8 alike.
_BYTE = b"\x3c"
_BYTES_PER_ELEMENT = {"BF16": 2, "F32": 4, "F8_E4M3": 1}

_TOKENIZER_CONFIG = {
    "added_tokens_decoder": {
        "163584": {"content": "[BOS]", "special": True},
        "163585": {"content": "[EOS]", "special": True},
        "163586": {"content": "<|im_end|>", "special": True},
        "163595": {"content": "<|tool_calls_section_begin|>", "special": False},
        "163596": {"content": "<|tool_calls_section_end|>", "special": False},
        "163597": {"content": "<|tool_call_begin|>", "special": False},
        "163598": {"content": "<|tool_call_argument_begin|>", "special": False},
        "163599": {"content": "<|tool_call_end|>", "special": False},
    },
    "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
    "bos_token": "[BOS]",
    "eos_token": "[EOS]",
    "model_max_length": 131072,
    "tokenizer_class": "TikTokenTokenizer",
}


class Tensor(NamedTuple):
    """A tensor's name, dtype and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def tiny_config() -> dict[str, Any]:
    """The config of Kimi-K2-Instruct with small sizes, members in the real order."""
    config: dict[str, Any] = json.loads(_REAL_CONFIG.read_text(encoding="utf-8"))
    return {**config, **TINY}


def checkpoint_files() -> dict[str, bytes]:
    """Every file of the checkpoint, by its path within the folder."""
    config = tiny_config()
    shards = _shards(config)
    names = [f"model-{number}-of-{len(shards)}.safetensors" for number in range(1, len(shards) + 1)]
    index = {
        "metadata": {"total_size": sum(_size(tensor) for shard in shards for tensor in shard)},
        "weight_map": {
            tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard
        },
    }
    weights = {name: _serialize(shard) for name, shard in zip(names, shards, strict=True)}
    return {
        **_companions(config),
        "model.safetensors.index.json": _json(index),
        **weights,
    }


def _companions(config: Mapping[str, Any]) -> dict[str, bytes]:
    vocabulary = b"".join(
        base64.b64encode(bytes([byte])) + f" {byte}\n".encode() for byte in range(256)
    )
    return {
        "README.md": b"# A small Kimi-K2-shaped checkpoint\n\nMade by k2compat; untrained.\n",
        "chat_template.jinja": b"{% for message in messages %}{{ message.content }}{% endfor %}\n",
        "config.json": _json(config),
        "configuration_deepseek.py": _stand_in("configuration_deepseek.py"),
        "docs/deploy_guidance.md": b"# Deployment\n",
        "generation_config.json": _json({"max_length": 131072, "temperature": 0.6}),
        "modeling_deepseek.py": _stand_in("modeling_deepseek.py"),
        "tiktoken.model": vocabulary,
        "tokenization_kimi.py": _stand_in("tokenization_kimi.py"),
        "tokenizer_config.json": _json(_TOKENIZER_CONFIG),
    }


def _stand_in(name: str) -> bytes:
    return f'"""Stands for {name} of the real model."""\n'.encode()


def _shards(config: Mapping[str, Any]) -> list[list[Tensor]]:
    """One shard a layer, the rest in the last one."""
    layers = range(config["num_hidden_layers"])
    return [*(list(_layer(config, number)) for number in layers), list(_outside_layers(config))]


def _outside_layers(config: Mapping[str, Any]) -> Iterator[Tensor]:
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield Tensor("model.embed_tokens.weight", "BF16", (vocabulary, hidden))
    yield Tensor("model.norm.weight", "BF16", (hidden,))
    yield Tensor("lm_head.weight", "BF16", (vocabulary, hidden))


def _layer(config: Mapping[str, Any], number: int) -> Iterator[Tensor]:
    prefix = f"model.layers.{number}."
    hidden = config["hidden_size"]
    yield Tensor(f"{prefix}input_layernorm.weight", "BF16", (hidden,))
    yield Tensor(f"{prefix}post_attention_layernorm.weight", "BF16", (hidden,))
    yield from _attention(config, f"{prefix}self_attn.")
    if number < config["first_k_dense_replace"]:
        yield from _mlp(config, f"{prefix}mlp.", config["intermediate_size"])
        return
    experts, width = config["n_routed_experts"], config["moe_intermediate_size"]
    yield Tensor(f"{prefix}mlp.gate.weight", "BF16", (experts, hidden))
    yield Tensor(f"{prefix}mlp.gate.e_score_correction_bias", "F32", (experts,))
    for expert in range(experts):
        yield from _mlp(config, f"{prefix}mlp.experts.{expert}.", width)
    yield from _mlp(config, f"{prefix}mlp.shared_experts.", width * config["n_shared_experts"])


def _attention(config: Mapping[str, Any], prefix: str) -> Iterator[Tensor]:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query_rank, kv_rank = config["q_lora_rank"], config["kv_lora_rank"]
    nope, rope, value = (
        config["qk_nope_head_dim"],
        config["qk_rope_head_dim"],
        config["v_head_dim"],
    )
    yield from _quantised(config, f"{prefix}q_a_proj", query_rank, hidden)
    yield Tensor(f"{prefix}q_a_layernorm.weight", "BF16", (query_rank,))
    yield from _quantised(config, f"{prefix}q_b_proj", heads * (nope + rope), query_rank)
    yield from _quantised(config, f"{prefix}kv_a_proj_with_mqa", kv_rank + rope, hidden)
    yield Tensor(f"{prefix}kv_a_layernorm.weight", "BF16", (kv_rank,))
    yield from _quantised(config, f"{prefix}kv_b_proj", heads * (nope + value), kv_rank)
    yield from _quantised(config, f"{prefix}o_proj", hidden, heads * value)


def _mlp(config: Mapping[str, Any], prefix: str, width: int) -> Iterator[Tensor]:
    hidden = config["hidden_size"]
    yield from _quantised(config, f"{prefix}gate_proj", width, hidden)
    yield from _quantised(config, f"{prefix}up_proj", width, hidden)
    yield from _quantised(config, f"{prefix}down_proj", hidden, width)


def _quantised(config: Mapping[str, Any], name: str, rows: int, columns: int) -> Iterator[Tensor]:
    """A weight in FP8 and its scales, one for each block."""
    block_rows, block_columns = config["quantization_config"]["weight_block_size"]
    yield Tensor(f"{name}.weight", "F8_E4M3", (rows, columns))
    blocks = (ceil(rows / block_rows), ceil(columns / block_columns))
    yield Tensor(f"{name}.weight_scale_inv", "F32", blocks)


def _size(tensor: Tensor) -> int:
    return prod(tensor.shape) * _BYTES_PER_ELEMENT[tensor.dtype]


def _serialize(shard: list[Tensor]) -> bytes:
    """The shard's bytes: the header's length, the header, the data.

    By hand, since the safetensors package writes BF16 and FP8 only from PyTorch's tensors.
    Layout: https://github.com/huggingface/safetensors#format
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in shard:
        begin, end = end, end + _size(tensor)
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [begin, end],
        }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + _BYTE * end


def _json(members: Mapping[str, Any]) -> bytes:
    return (json.dumps(members, ensure_ascii=False, indent=2) + "\n").encode()
