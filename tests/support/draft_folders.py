"""Folders of EAGLE3 drafts: a config, and weights of which the headers alone are written."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from k2compat.checkpoint import ExpectedTensor
from k2compat.samples.safetensors_file import header_bytes

MLA = {
    "architectures": ["Eagle3DeepseekV2ForCausalLM"],
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "model_type": "kimi_k2",
    "num_attention_heads": 64,
    "num_hidden_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 163840,
}
LLAMA = {
    "architectures": ["LlamaForCausalLMEagle3"],
    "draft_vocab_size": 32000,
    "head_dim": 128,
    "hidden_size": 7168,
    "intermediate_size": 14336,
    "model_type": "llama",
    "num_attention_heads": 56,
    "num_key_value_heads": 8,
    "vocab_size": 163840,
}
# Tensor → shape, as SpecForge writes a draft with Llama's attention.
LLAMA_TENSORS = {
    "d2t": (32000,),
    "embed_tokens.weight": (163840, 7168),
    "fc.weight": (7168, 3 * 7168),
    "lm_head.weight": (32000, 7168),
    "midlayer.mlp.down_proj.weight": (7168, 14336),
    "midlayer.mlp.gate_proj.weight": (14336, 7168),
    "midlayer.mlp.up_proj.weight": (14336, 7168),
    "midlayer.self_attn.k_proj.weight": (1024, 2 * 7168),
    "midlayer.self_attn.o_proj.weight": (7168, 7168),
    "midlayer.self_attn.q_proj.weight": (7168, 2 * 7168),
    "midlayer.self_attn.v_proj.weight": (1024, 2 * 7168),
    "t2d": (163840,),
}


def write_weights(folder: Path, tensors: Mapping[str, tuple[int, ...]]) -> Path:
    """Write model.safetensors; its data are a hole in the file."""
    listed: Iterable[ExpectedTensor] = [
        ExpectedTensor(name, shape, ("I64" if name == "d2t" else "BF16",), "required")
        for name, shape in tensors.items()
    ]
    header, data_bytes = header_bytes(list(listed))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes)
    return folder


def write_draft(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    tensors: Mapping[str, tuple[int, ...]] | None = None,
) -> Path:
    """Write a draft; without arguments one with Llama's attention."""
    write_weights(folder, LLAMA_TENSORS if tensors is None else tensors)
    (folder / "config.json").write_text(json.dumps(LLAMA if config is None else config))
    return folder
