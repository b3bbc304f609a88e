"""DeepSeek-V3's forward pass in numpy, after the formulas of its paper (arXiv 2412.19437).

It shares no code with the samples: it reads a checkpoint's files and config as an engine does.
"""

import json
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

Array = NDArray[np.float32]


def bfloat16_values(data: bytes) -> Array:
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def float8_values(data: bytes) -> Array:
    """E4M3 without infinities: a sign, four bits of exponent (bias 7), three of fraction."""
    bits = np.frombuffer(data, np.uint8).astype(np.int32)
    exponent, fraction = bits >> 3 & 15, bits & 7
    size = np.where(exponent, 1 + fraction / 8, fraction / 8) * 2.0 ** (np.maximum(exponent, 1) - 7)
    values: Array = np.where(bits >> 7, -size, size).astype(np.float32)
    return values


_deserialize: Callable[[bytes], Any] = deserialize
READERS: dict[str, Callable[[bytes], Array]] = {
    "BF16": bfloat16_values,
    "F8_E4M3": float8_values,
    "F32": lambda data: np.frombuffer(data, "<f4"),
}


def read_weights(folder: Path) -> dict[str, Array]:
    """Every tensor in 32 bits; blocks of FP8 are multiplied with their scales."""
    stored: dict[str, Array] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        tensors: list[tuple[str, dict[str, Any]]] = _deserialize(shard.read_bytes())
        for name, tensor in tensors:
            values = READERS[tensor["dtype"]](bytes(tensor["data"]))
            stored[name] = values.reshape(tensor["shape"])
    scales = {name for name in stored if name.endswith("_scale_inv")}
    for name in scales:
        weight = stored[name.removesuffix("_scale_inv")]
        blocks = np.kron(stored.pop(name), np.ones((128, 128), np.float32))
        weight *= blocks[: weight.shape[0], : weight.shape[1]]
    return stored


class Model:
    """A checkpoint that computes."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.weights = read_weights(folder)

    def logits(self, tokens: list[int]) -> Array:
        """What follows each token of a text, given all before it; tokens × vocabulary."""
        states = self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{layer}."
            normed = self.norm(states, f"{name}input_layernorm")
            states = states + self.attention(normed, f"{name}self_attn.")
            normed = self.norm(states, f"{name}post_attention_layernorm")
            is_dense = layer < self.config["first_k_dense_replace"]
            states = states + (self.mlp if is_dense else self.experts)(normed, f"{name}mlp.")
        return self.norm(states, "model.norm") @ self.weights["lm_head.weight"].T

    def norm(self, states: Array, name: str) -> Array:
        mean = np.square(states).mean(-1, keepdims=True)
        scaled: Array = states / np.sqrt(mean + self.config["rms_norm_eps"])
        return scaled * self.weights[f"{name}.weight"]

    def linear(self, states: Array, name: str) -> Array:
        return states @ self.weights[f"{name}.weight"].T

    def attention(self, states: Array, name: str) -> Array:
        config, count = self.config, len(states)
        heads, nope, latent = (
            config[key] for key in ("num_attention_heads", "qk_nope_head_dim", "kv_lora_rank")
        )
        query = self.norm(self.linear(states, f"{name}q_a_proj"), f"{name}q_a_layernorm")
        query = self.linear(query, f"{name}q_b_proj").reshape(count, heads, -1)
        joint = self.linear(states, f"{name}kv_a_proj_with_mqa")
        compressed = self.norm(joint[:, :latent], f"{name}kv_a_layernorm")
        key_value = self.linear(compressed, f"{name}kv_b_proj").reshape(count, heads, -1)
        scores = np.einsum("qhd,khd->hqk", query[..., :nope], key_value[..., :nope])
        rotated_key = self.rotate(joint[:, None, latent:])[:, 0]
        scores = scores + np.einsum("qhd,kd->hqk", self.rotate(query[..., nope:]), rotated_key)
        scaling = config["rope_scaling"]
        factor = 0.1 * scaling["mscale_all_dim"] * math.log(scaling["factor"]) + 1
        scores = scores * (factor**2 / math.sqrt(nope + config["qk_rope_head_dim"]))
        scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, key_value[..., nope:]).reshape(count, -1)
        return self.linear(mixed.astype(np.float32), f"{name}o_proj")

    @cached_property
    def frequencies(self) -> NDArray[np.float64]:
        """Of each rope pair, yarn applied (arXiv 2309.00071)."""
        config, scaling = self.config, self.config["rope_scaling"]
        size: int = config["qk_rope_head_dim"]
        base: float = config["rope_theta"]
        plain = np.power(base, -2.0 * np.arange(size // 2) / size)

        def pair_that_turns(times: float) -> float:
            turns: float = scaling["original_max_position_embeddings"] / (times * 2 * math.pi)
            return size * math.log(turns) / (2 * math.log(base))

        first = math.floor(pair_that_turns(scaling["beta_fast"]))
        last = math.ceil(pair_that_turns(scaling["beta_slow"]))
        slowed = np.clip((np.arange(size // 2) - first) / (last - first), 0, 1)
        factor: float = scaling["factor"]
        return plain * (1 - slowed) + plain / factor * slowed

    def rotate(self, vectors: Array) -> Array:
        """Turn neighbours (2j, 2j + 1) by the position times pair j's frequency."""
        angles = np.arange(len(vectors))[:, None, None] * self.frequencies
        pairs = vectors[..., 0::2] + 1j * vectors[..., 1::2]
        turned = pairs * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], -1).astype(np.float32)

    def mlp(self, states: Array, name: str) -> Array:
        gate = self.linear(states, f"{name}gate_proj")
        inner = gate / (1 + np.exp(-gate)) * self.linear(states, f"{name}up_proj")
        return self.linear(inner, f"{name}down_proj")

    def experts(self, states: Array, name: str) -> Array:
        config = self.config
        affinity = 1 / (1 + np.exp(-self.linear(states, f"{name}gate")))
        ranked = affinity + self.weights[f"{name}gate.e_score_correction_bias"]
        total = self.mlp(states, f"{name}shared_experts.")
        for token, order in enumerate(np.argsort(-ranked, axis=-1)):
            chosen = order[: config["num_experts_per_tok"]]
            shares = affinity[token, chosen] / affinity[token, chosen].sum()
            for expert, share in zip(chosen, shares * config["routed_scaling_factor"], strict=True):
                total[token] += share * self.mlp(states[token], f"{name}experts.{expert}.")
        return total
