"""The memory of a draft on a GPU: its weights, and its part of the KV cache.

Tensor parallelism divides the layer and the head; `fc`, which joins the model's hidden states, is
whole on each GPU (vLLM's ReplicatedLinear, SGLang's Linear). The embedding is not counted: in both
engines the draft uses that of the model in place of a stored one.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from k2compat.launch.memory.sizes import ModelSizes

_BF16 = 2
_STATES: Final = 3
"""Hidden states of the model that an EAGLE3 draft joins, where its config names no other number."""

_UNLOADED: Final = ("embed_tokens.weight", "t2d", "d2t")
_FC: Final = "fc.weight"


class DraftSizes(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of a draft.

    Attributes:
        divided_bytes: Weights that the tensor-parallel ranks share.
        whole_bytes: Weights that are on each GPU.
        routed_bytes: Weights that are divided like the model's routed experts.
        cache_elements: Elements of the KV cache for one token.
        cache_parts: Into how many parts tensor parallelism can divide them; 1 for MLA.
    """

    divided_bytes: int
    cache_elements: int
    whole_bytes: int = 0
    routed_bytes: int = 0
    cache_parts: int = 1


def eagle3_sizes(
    config: Mapping[str, Any], stored: Mapping[str, int] | None = None
) -> DraftSizes | None:
    """The sizes of an EAGLE3 draft.

    Args:
        config: The members of its config.json.
        stored: Tensor → bytes, if its files were read; otherwise the config decides.

    Returns:
        The sizes; None where the config lacks a dimension.
    """
    try:
        cache, parts = _cache(config)
        divided, whole = _weights(config) if stored is None else _of_files(stored)
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return DraftSizes(
        divided_bytes=divided, whole_bytes=whole, cache_elements=cache, cache_parts=parts
    )


def mtp_sizes(sizes: ModelSizes, config: Mapping[str, Any]) -> DraftSizes:
    """The sizes of the model's own layer for multi-token prediction: a layer with experts.

    Its attention and its shared expert are counted as a layer's part of what is not routed, which
    is a little too much; embedding and head are the model's own.

    Args:
        sizes: The model's.
        config: The members of the config of its text model.
    """
    layers = config["num_nextn_predict_layers"]
    dense = config.get("first_k_dense_replace")
    with_experts = sizes.layers - (dense if isinstance(dense, int) else 0)
    joins = 2 * config["hidden_size"] ** 2 * _BF16
    return DraftSizes(
        divided_bytes=layers * sizes.other_bytes // sizes.layers,
        whole_bytes=layers * joins,
        routed_bytes=layers * sizes.routed_bytes // max(1, with_experts),
        cache_elements=layers * sizes.kv_elements,
    )


def _cache(config: Mapping[str, Any]) -> tuple[int, int]:
    """Elements of the cache for one token, and into how many parts it can be divided."""
    layers = config.get("num_hidden_layers", 1)
    if config.get("kv_lora_rank"):
        return layers * (config["kv_lora_rank"] + config["qk_rope_head_dim"]), 1
    heads = config["num_attention_heads"]
    keys = config.get("num_key_value_heads") or heads
    return layers * 2 * keys * _head(config), keys


def _head(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _weights(config: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes in BF16 of the layer and the head, and of `fc`."""
    hidden = config["hidden_size"]
    written = config.get("draft_vocab_size") or config["vocab_size"]
    layer = _attention(config) + 3 * hidden * config["intermediate_size"]
    joined = _STATES * (config.get("target_hidden_size") or hidden) * hidden
    layers = config.get("num_hidden_layers", 1)
    return (layers * layer + written * hidden) * _BF16, joined * _BF16


def _attention(config: Mapping[str, Any]) -> int:
    """Parameters of the attention, whose input is the embedding beside the hidden state."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if not config.get("kv_lora_rank"):
        keys = config.get("num_key_value_heads") or heads
        return int(hidden * _head(config) * (2 * heads + 2 * 2 * keys + heads))
    rope, latent = config["qk_rope_head_dim"], config["kv_lora_rank"]
    nope, value, query = config["qk_nope_head_dim"], config["v_head_dim"], config["q_lora_rank"]
    down = 2 * hidden * (query + latent + rope)
    up = query * heads * (nope + rope) + latent * heads * (nope + value)
    return int(down + up + heads * value * hidden)


def _of_files(stored: Mapping[str, int]) -> tuple[int, int]:
    """Bytes of the layer and the head, and of `fc`, in the files."""
    loaded = {name: size for name, size in stored.items() if not name.endswith(_UNLOADED)}
    whole = sum(size for name, size in loaded.items() if name.endswith(_FC))
    return sum(loaded.values()) - whole, whole
