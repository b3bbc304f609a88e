"""A small checkpoint in safetensors: config, tokenizer, remote code, shards and index."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from k2compat.checkpoint import INDEX_FILE, ExpectedTensor, expected_tensors
from k2compat.samples.configs import tiny_config
from k2compat.samples.safetensors_file import header_bytes, stored_bytes

__all__ = ["checkpoint_files", "index_bytes", "shards_by_layer", "tiny_config"]

# As every byte of a tensor, a small positive number in BF16, F32 and FP8 alike.
_BYTE = b"\x3c"

_LAYER = re.compile(r"\bmodel\.layers\.([0-9]+)\.")

# The frame of the family's prompts, for contents that are text or a list of texts.
TEMPLATE = """\
{%- for message in messages -%}
<|im_{{ message.role }}|>{{ message.role }}<|im_middle|>
{%- if message.content is string -%}{{ message.content }}
{%- else -%}{%- for part in message.content -%}{{ part.text }}{%- endfor -%}{%- endif -%}
<|im_end|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_assistant|>assistant<|im_middle|>{%- endif -%}
"""

ORDINARY_TOKENS: Final = 256
"""Of the small tokenizer: a token for each byte."""

# Places among the added tokens, which are the family's.
_ADDED = {
    0: "[BOS]",
    1: "[EOS]",
    2: "<|im_end|>",
    11: "<|tool_calls_section_begin|>",
    12: "<|tool_calls_section_end|>",
    13: "<|tool_call_begin|>",
    14: "<|tool_call_argument_begin|>",
    15: "<|tool_call_end|>",
}
_SPECIAL = ("[BOS]", "[EOS]", "<|im_end|>")


def tokenizer_config_bytes(ordinary: int = ORDINARY_TOKENS) -> bytes:
    """The tokenizer_config.json of a tokenizer with so many ordinary tokens."""
    added = {
        str(ordinary + place): {"content": token, "special": token in _SPECIAL}
        for place, token in _ADDED.items()
    }
    return _json(
        {
            "added_tokens_decoder": added,
            "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
            "bos_token": "[BOS]",
            "eos_token": "[EOS]",
            "model_max_length": 131072,
            "tokenizer_class": "TikTokenTokenizer",
        }
    )


def checkpoint_files(variant: str = "fp8") -> dict[str, bytes]:
    """Every file of a checkpoint, by its path within the folder.

    Args:
        variant: A key of `configs.VARIANTS`.
    """
    config = tiny_config(variant)
    tensors = (tensor for tensor in expected_tensors(config) if tensor.is_usual)
    shards = shards_by_layer(tensors)
    return {
        **_companions(config),
        INDEX_FILE: index_bytes(shards),
        **{name: _serialize(shard) for name, shard in shards.items()},
    }


def shards_by_layer(
    tensors: Iterable[ExpectedTensor], *, with_last_layer: bool = False
) -> dict[str, list[ExpectedTensor]]:
    """Distribute tensors over shards, named as Kimi-K2-Instruct's are.

    Args:
        tensors: In any order.
        with_last_layer: Whether what is outside the layers goes to the last of them, not into
            a shard of its own.
    """
    layers: dict[int, list[ExpectedTensor]] = {}
    outside: list[ExpectedTensor] = []
    for tensor in tensors:
        layer = _LAYER.search(tensor.name)
        (layers.setdefault(int(layer[1]), []) if layer else outside).append(tensor)
    shards = [layers[number] for number in sorted(layers)]
    if with_last_layer and shards:
        shards[-1] = [*shards[-1], *outside]
    else:
        shards.append(outside)
    total = len(shards)
    return {
        f"model-{number}-of-{total}.safetensors": shard
        for number, shard in enumerate(shards, start=1)
    }


def index_bytes(shards: Mapping[str, Sequence[ExpectedTensor]]) -> bytes:
    """The index of shards."""
    total = sum(stored_bytes(tensor) for shard in shards.values() for tensor in shard)
    places = {tensor.name: name for name, shard in shards.items() for tensor in shard}
    return _json({"metadata": {"total_size": total}, "weight_map": places})


def vocabulary_bytes(tokens: int) -> bytes:
    """A tiktoken.model: each line a token in base64 and its rank.

    Args:
        tokens: How many; the first 256 are the bytes.
    """
    names = (number.to_bytes(1 if number < 256 else 3, "big") for number in range(tokens))
    return b"".join(
        base64.b64encode(name) + f" {rank}\n".encode() for rank, name in enumerate(names)
    )


def _companions(config: Mapping[str, Any]) -> dict[str, bytes]:
    return {
        "README.md": b"# A small Kimi-K2-shaped checkpoint\n\nMade by k2compat; untrained.\n",
        "chat_template.jinja": TEMPLATE.encode(),
        "config.json": _json(config),
        "configuration_deepseek.py": _stand_in("configuration_deepseek.py"),
        "docs/deploy_guidance.md": b"# Deployment\n",
        "generation_config.json": _json({"max_length": 131072, "temperature": 0.6}),
        "modeling_deepseek.py": _stand_in("modeling_deepseek.py"),
        "tiktoken.model": vocabulary_bytes(ORDINARY_TOKENS),
        "tokenization_kimi.py": _stand_in("tokenization_kimi.py"),
        "tokenizer_config.json": tokenizer_config_bytes(),
    }


def _stand_in(name: str) -> bytes:
    return f'"""Stands for {name} of the real model."""\n'.encode()


def _serialize(shard: Iterable[ExpectedTensor]) -> bytes:
    header, data_bytes = header_bytes(shard)
    return header + _BYTE * data_bytes


def _json(members: Mapping[str, Any]) -> bytes:
    return (json.dumps(members, ensure_ascii=False, indent=2) + "\n").encode()
