"""The memory of a model on a GPU: its weights, split by their division, and its KV cache.

The sums are over the tensors that an engine loads: those of the layers, without the legacy
`inv_freq` and without layers for multi-token prediction, which engines load only for
speculative decoding. A vision tower (about 0.9 GB in Kimi-K2.5) is not counted: it is far
below the error of the estimate.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import msgspec

from k2compat.errors import RefusedError
from k2compat.family import text_config
from k2compat.findings import Codes, Finding

_codes = Codes("launch")

_BF16 = 2

# Far above any model of the architecture; larger ones are not summed.
_MAXIMUM = 10**9

_REQUIRED = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "moe_intermediate_size",
    "n_routed_experts",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "vocab_size",
    "max_position_embeddings",
)


class ModelDimensions(msgspec.Struct, frozen=True, kw_only=True):
    """The dimensions that decide how a model can be divided.

    Attributes:
        precision: How the routed experts are stored: "fp8", "int4", "bf16", or the short name of
            another scheme of checkpoint's table, as "nvfp4".
        layers: Hidden layers.
        heads: Attention heads.
        experts: Routed experts of one layer.
        kv_elements: Elements of the KV cache for one token in one layer (MLA: latent + rope).
        context: The longest context the config allows, in tokens.
        widths: The MLP widths that tensor parallelism cuts, by the config's names.
        block: The divisor of a rank's part of a width, from the quantisation.
        kv_cache_bytes: Bytes of one element of the KV cache in the config: 1 for FP8. Engines use
            it unless a flag overrides it.
    """

    precision: str
    layers: int
    heads: int
    experts: int
    kv_elements: int
    context: int
    widths: Mapping[str, int]
    block: int
    kv_cache_bytes: int = _BF16

    def kv_bytes_per_token(self, element_bytes: int = _BF16) -> int:
        """The KV cache of one token over all layers, in bytes."""
        return self.layers * self.kv_elements * element_bytes


class ModelSizes(ModelDimensions, frozen=True, kw_only=True):
    """A model's dimensions, with the bytes of its weights.

    Attributes:
        routed_bytes: Weights of all routed experts, scales included.
        other_bytes: All other weights: attention, dense and shared MLPs, embeddings.
    """

    routed_bytes: int
    other_bytes: int

    @property
    def total_bytes(self) -> int:
        """All weights."""
        return self.routed_bytes + self.other_bytes


class _Quantisation(NamedTuple):
    """How the routed experts are stored.

    Attributes:
        precision: See `ModelDimensions`.
        block: See `ModelDimensions`.
        kv_cache_bytes: See `ModelDimensions`.
    """

    precision: str
    block: int
    kv_cache_bytes: int = _BF16


def model_sizes(
    config: Mapping[str, Any], loaded: tuple[int, int] | None = None
) -> ModelSizes | Finding:
    """Read a model's sizes from the members of its config.json.

    Args:
        config: The members.
        loaded: The bytes of the routed experts and of everything else, where they are known
            already: summing them takes 20 ms.

    Returns:
        The sizes; or the finding sizes-unknown, where the config is of another architecture,
        lacks a dimension, or names a quantisation whose sizes are not known here.
    """
    dimensions = model_dimensions(config)
    if isinstance(dimensions, Finding):
        return dimensions
    summed = loaded or _loaded(config)
    if isinstance(summed, Finding):
        return summed
    routed, other = summed
    members = msgspec.structs.asdict(dimensions)
    return ModelSizes(**members, routed_bytes=routed, other_bytes=other)


def _loaded(config: Mapping[str, Any]) -> tuple[int, int] | Finding:
    from k2compat.checkpoint import loaded_bytes

    try:
        loaded = loaded_bytes({**text_config(config), "quantization_config": _settings(config)})
    except RefusedError as error:
        return _unknown(error.message.rstrip("."))
    unknown = "the sizes of its quantisation are not known here"
    return _unknown(unknown) if loaded is None else (loaded.routed, loaded.other)


def model_dimensions(config: Mapping[str, Any]) -> ModelDimensions | Finding:
    """Read a model's dimensions from the members of its config.json.

    They take 0.1 ms. The bytes of the weights take 20 ms, most of it for importing checkpoint's
    rules, and only the estimate of a fit needs them.

    Returns:
        The dimensions; or the finding sizes-unknown, as `model_sizes` returns it.
    """
    text = text_config(config)
    unread = [key for key in _REQUIRED if not _is_dimension(text.get(key))]
    if unread:
        return _unknown(f"its config has no usable {', '.join(unread)}")
    quantisation = _quantisation(_settings(config))
    if quantisation is None:
        return _unknown("the sizes of its quantisation are not known here")
    return ModelDimensions(
        precision=quantisation.precision,
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        experts=text["n_routed_experts"],
        kv_elements=text["kv_lora_rank"] + text["qk_rope_head_dim"],
        context=text["max_position_embeddings"],
        widths={key: text[key] for key in ("moe_intermediate_size", "intermediate_size")},
        block=quantisation.block,
        kv_cache_bytes=quantisation.kv_cache_bytes,
    )


def _unknown(reason: str) -> Finding:
    return _codes.finding(
        "sizes-unknown", "config.json", f"Whether the model fits is not estimated: {reason}."
    )


def _is_dimension(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAXIMUM


def _settings(config: Mapping[str, Any]) -> object:
    return text_config(config).get("quantization_config") or config.get("quantization_config")


def _quantisation(settings: object) -> _Quantisation | None:
    if settings is None:
        return _Quantisation("bf16", 1)
    from k2compat.checkpoint import stored_precision  # 10 ms

    stored = stored_precision(settings) if isinstance(settings, dict) else None
    if stored is None:
        return None
    bits = stored.kv_cache_bits or 8 * _BF16
    return _Quantisation(stored.name, stored.block, max(1, bits // 8))
