"""The tensors of a small MLX conversion before they are packed: experts stacked, kv_b split."""

import re
from typing import Any

from k2compat.checkpoint import expected_tensors

_EXPERT = re.compile(r"mlp\.experts\.(\d+)\.")

OVERRIDES = {
    "model.layers.0.self_attn.o_proj": {"group_size": 32, "bits": 8},
    "model.layers.1.mlp.switch_mlp.down_proj": {"group_size": 32, "bits": 3},
}
"""Of single modules, as mlx-lm's mixed recipes write them."""

PLAIN = ("mlp.gate.weight", "norm.weight")
"""Ends of names that these conversions do not pack: the router, and all norms."""


def mlx_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes by MLX's names."""
    heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in expected_tensors({**config, "quantization_config": None}):
        assert tensor.shape is not None
        expert = _EXPERT.search(tensor.name)
        if tensor.name.endswith("kv_b_proj.weight"):
            attention = tensor.name.removesuffix("kv_b_proj.weight")
            shapes[f"{attention}embed_q.weight"] = (heads, rank, config["qk_nope_head_dim"])
            shapes[f"{attention}unembed_out.weight"] = (heads, config["v_head_dim"], rank)
        elif expert is not None:
            name = _EXPERT.sub("mlp.switch_mlp.", tensor.name)
            shapes[name] = (config["n_routed_experts"], *tensor.shape)
        elif tensor.is_usual:
            shapes[tensor.name] = tensor.shape
    return shapes


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a conversion packs a tensor."""
    return len(shape) > 1 and not name.endswith(PLAIN)


def packed_shapes(
    shape: tuple[int, ...], bits: int, group_size: int
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each of a module's tensors, affine."""
    *rows, columns = shape
    scales = (*rows, columns // group_size)
    return {
        "weight": ((*rows, columns * bits // 32), "U32"),
        "scales": (scales, "BF16"),
        "biases": (scales, "BF16"),
    }
