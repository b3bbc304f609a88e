"""A small GGUF of the same model, in F32."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from k2compat.samples.checkpoint import tiny_config

ARCHITECTURE = "deepseek2"


def write_gguf(path: Path, *, joint_mla: bool = True, name: str = "Kimi-K2 (tiny)") -> None:
    """Write a GGUF with the gguf package.

    Args:
        path: The file to make.
        joint_mla: Whether attention has attn_kv_b (older files, what KTransformers reads) or
            the split attn_k_b and attn_v_b (what llama.cpp converts to since 2025).
        name: The model's name in the metadata.
    """
    import gguf
    import numpy as np

    config = tiny_config()
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_name(name)
    _add_sizes(writer, config)
    for tensor, shape in _tensors(config, joint_mla=joint_mla):
        writer.add_tensor(tensor, np.full(shape, 0.01, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_sizes(writer: Any, config: Mapping[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(config["kv_lora_rank"])
    writer.add_vocab_size(config["vocab_size"])


def _tensors(
    config: Mapping[str, Any], *, joint_mla: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, slowest dimension first as numpy has them."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "token_embd.weight", (vocabulary, hidden)
    yield "output_norm.weight", (hidden,)
    yield "output.weight", (vocabulary, hidden)
    for number in range(config["num_hidden_layers"]):
        prefix = f"blk.{number}."
        yield f"{prefix}attn_norm.weight", (hidden,)
        yield f"{prefix}ffn_norm.weight", (hidden,)
        yield from _attention(config, prefix, joint_mla=joint_mla)
        if number < config["first_k_dense_replace"]:
            yield from _dense(config, prefix)
        else:
            yield from _experts(config, prefix)


def _attention(
    config: Mapping[str, Any], prefix: str, *, joint_mla: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query_rank, kv_rank = config["q_lora_rank"], config["kv_lora_rank"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    value = config["v_head_dim"]
    yield f"{prefix}attn_q_a.weight", (query_rank, hidden)
    yield f"{prefix}attn_q_a_norm.weight", (query_rank,)
    yield f"{prefix}attn_q_b.weight", (heads * (nope + rope), query_rank)
    yield f"{prefix}attn_kv_a_mqa.weight", (kv_rank + rope, hidden)
    yield f"{prefix}attn_kv_a_norm.weight", (kv_rank,)
    yield f"{prefix}attn_output.weight", (hidden, heads * value)
    if joint_mla:
        yield f"{prefix}attn_kv_b.weight", (heads * (nope + value), kv_rank)
    else:
        yield f"{prefix}attn_k_b.weight", (heads, kv_rank, nope)
        yield f"{prefix}attn_v_b.weight", (heads, value, kv_rank)


def _dense(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, width = config["hidden_size"], config["intermediate_size"]
    yield f"{prefix}ffn_gate.weight", (width, hidden)
    yield f"{prefix}ffn_up.weight", (width, hidden)
    yield f"{prefix}ffn_down.weight", (hidden, width)


def _experts(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, width = config["hidden_size"], config["moe_intermediate_size"]
    experts, shared = config["n_routed_experts"], width * config["n_shared_experts"]
    yield f"{prefix}ffn_gate_inp.weight", (experts, hidden)
    yield f"{prefix}exp_probs_b.bias", (experts,)
    yield f"{prefix}ffn_gate_exps.weight", (experts, width, hidden)
    yield f"{prefix}ffn_up_exps.weight", (experts, width, hidden)
    yield f"{prefix}ffn_down_exps.weight", (experts, hidden, width)
    yield f"{prefix}ffn_gate_shexp.weight", (shared, hidden)
    yield f"{prefix}ffn_up_shexp.weight", (shared, hidden)
    yield f"{prefix}ffn_down_shexp.weight", (hidden, shared)
