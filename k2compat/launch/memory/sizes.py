"""What a model takes on a GPU: its weights, split by how they are divided, and its KV cache.

The sums are over the tensors that an engine loads: those of the layers, without the legacy
`inv_freq` and without layers for multi-token prediction, which engines load only for
speculative decoding. A vision tower (about 0.9 GB in Kimi-K2.5) is not counted: it is far
below the error of the estimate.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeGuard

from k2compat.family import text_config
from k2compat.findings import Codes, Finding

_codes = Codes("launch")

_BF16 = 2
_F32 = 4
_I32 = 4

# Far above any model of the architecture; sums over larger ones are not worth doing.
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


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The sizes that decide whether a model fits, and how it can be divided.

    Attributes:
        precision: "fp8", "int4", "nvfp4" or "bf16": how the routed experts are stored.
        routed_bytes: Weights of all routed experts, scales included.
        other_bytes: All other weights: attention, dense and shared MLPs, embeddings.
        layers: Hidden layers.
        heads: Attention heads.
        experts: Routed experts of one layer.
        kv_elements: Elements of the KV cache for one token in one layer (MLA: latent + rope).
        context: The longest context the config allows, in tokens.
        widths: The MLP widths that tensor parallelism cuts, by the config's names.
        block: What a rank's part of a width must be a multiple of, by the quantisation.
    """

    precision: str
    routed_bytes: int
    other_bytes: int
    layers: int
    heads: int
    experts: int
    kv_elements: int
    context: int
    widths: Mapping[str, int]
    block: int

    @property
    def total_bytes(self) -> int:
        """All weights."""
        return self.routed_bytes + self.other_bytes

    def kv_bytes_per_token(self, element_bytes: int = _BF16) -> int:
        """The KV cache of one token over all layers, in bytes."""
        return self.layers * self.kv_elements * element_bytes


@dataclass(frozen=True, slots=True)
class _Quantisation:
    """How many bytes a matrix of [rows, columns] takes, in a routed expert and elsewhere."""

    precision: str
    routed: Callable[[int, int], int]
    other: Callable[[int, int], int]
    block: int


def model_sizes(config: Mapping[str, Any]) -> ModelSizes | Finding:
    """Read a model's sizes from the members of its config.json.

    Returns:
        The sizes; or the finding sizes-unknown, where the config is of another architecture,
        lacks a dimension, or names a quantisation whose sizes are not known here.
    """
    text = text_config(config)
    unread = [key for key in _REQUIRED if not _is_dimension(text.get(key))]
    if unread:
        return _unknown(f"its config has no usable {', '.join(unread)}")
    quantisation = _quantisation(
        text.get("quantization_config") or config.get("quantization_config")
    )
    if quantisation is None:
        return _unknown("the sizes of its quantisation are not known here")
    routed = sum(quantisation.routed(*shape) for shape in _expert_shapes(text))
    moe_layers = _moe_layers(text)
    return ModelSizes(
        precision=quantisation.precision,
        routed_bytes=moe_layers * text["n_routed_experts"] * routed,
        other_bytes=_other_bytes(text, moe_layers, quantisation.other),
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        experts=text["n_routed_experts"],
        kv_elements=text["kv_lora_rank"] + text["qk_rope_head_dim"],
        context=text["max_position_embeddings"],
        widths={key: text[key] for key in ("moe_intermediate_size", "intermediate_size")},
        block=quantisation.block,
    )


def _unknown(reason: str) -> Finding:
    return _codes.finding(
        "sizes-unknown", "config.json", f"Whether the model fits is not estimated: {reason}."
    )


def _is_dimension(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAXIMUM


def _moe_layers(text: Mapping[str, Any]) -> int:
    first = _number(text, "first_k_dense_replace")
    every = _number(text, "moe_layer_freq") or 1
    layers: int = text["num_hidden_layers"]
    return max(0, (layers - 1) // every - (first - 1) // every) if first < layers else 0


def _number(text: Mapping[str, Any], key: str) -> int:
    value: object = text.get(key)
    return value if _is_dimension(value) else 0


def _expert_shapes(text: Mapping[str, Any]) -> list[tuple[int, int]]:
    return _mlp_shapes(text["hidden_size"], text["moe_intermediate_size"])


def _mlp_shapes(hidden: int, width: int) -> list[tuple[int, int]]:
    return [(width, hidden), (width, hidden), (hidden, width)]


def _other_bytes(
    text: Mapping[str, Any], moe_layers: int, matrix: Callable[[int, int], int]
) -> int:
    hidden, layers = text["hidden_size"], text["num_hidden_layers"]
    experts = text["n_routed_experts"]
    attention = sum(matrix(*shape) for shape in _attention_shapes(text))
    vectors = _BF16 * (2 * hidden + text["kv_lora_rank"] + _number(text, "q_lora_rank"))
    dense = sum(matrix(*shape) for shape in _mlp_shapes(hidden, text["intermediate_size"]))
    shared_width = text["moe_intermediate_size"] * _number(text, "n_shared_experts")
    shared = sum(matrix(*shape) for shape in _mlp_shapes(hidden, shared_width))
    bias = _F32 * experts if text.get("topk_method") == "noaux_tc" else 0
    router = _BF16 * experts * hidden + bias
    embeddings = 1 if text.get("tie_word_embeddings") is True else 2
    total: int = (
        layers * (attention + vectors)
        + (layers - moe_layers) * dense
        + moe_layers * (shared + router)
        + _BF16 * (embeddings * text["vocab_size"] * hidden + hidden)
    )
    return total


def _attention_shapes(text: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    hidden, heads, latent = text["hidden_size"], text["num_attention_heads"], text["kv_lora_rank"]
    nope, rope, value = (text[f"{key}_head_dim"] for key in ("qk_nope", "qk_rope", "v"))
    query = _number(text, "q_lora_rank")
    if query:
        yield query, hidden
    yield heads * (nope + rope), query or hidden
    yield latent + rope, hidden
    yield heads * (nope + value), latent
    yield hidden, heads * value


def _bf16_matrix(rows: int, columns: int) -> int:
    return _BF16 * rows * columns


_UNQUANTISED = _Quantisation("bf16", _bf16_matrix, _bf16_matrix, 1)


def _quantisation(settings: object) -> _Quantisation | None:
    if settings is None:
        return _UNQUANTISED
    if not isinstance(settings, dict):
        return None
    read = _READERS.get(str(settings.get("quant_method")))
    return read(settings) if read else None


def _read_fp8(settings: Mapping[str, Any]) -> _Quantisation | None:
    """FP8 in blocks: every matrix of the layers, with an F32 scale for each block."""
    block = settings.get("weight_block_size")
    if not (isinstance(block, list) and len(block) == 2 and all(map(_is_dimension, block))):
        return None
    block_rows: int
    block_columns: int
    block_rows, block_columns = block

    def matrix(rows: int, columns: int) -> int:
        return rows * columns + _F32 * ceil(rows / block_rows) * ceil(columns / block_columns)

    return _Quantisation("fp8", matrix, matrix, max(block))


def _read_compressed_tensors(settings: Mapping[str, Any]) -> _Quantisation | None:
    """INT4 in groups, packed in I32: only the routed experts, with a BF16 scale a group."""
    weights = _group_weights(settings)
    group = _number(weights, "group_size")
    if (weights.get("num_bits"), weights.get("type")) != (4, "int") or not group:
        return None

    def matrix(rows: int, columns: int) -> int:
        packed = _I32 * rows * ceil(columns / 8)
        shape = 2 * _I32
        return packed + _BF16 * rows * ceil(columns / group) + shape

    return _Quantisation("int4", matrix, _bf16_matrix, group)


def _read_modelopt(settings: Mapping[str, Any]) -> _Quantisation | None:
    """NVFP4: routed experts in 4 bits, with an FP8 scale a group and two F32 a matrix.

    The lists of what is left out differ from export to export; all else is counted as BF16,
    which is the most it can be.
    """
    group = _number(_group_weights(settings), "group_size")
    if settings.get("quant_algo") != "NVFP4" or not group:
        return None

    def matrix(rows: int, columns: int) -> int:
        return rows * ceil(columns / 2) + rows * ceil(columns / group) + 2 * _F32

    return _Quantisation("nvfp4", matrix, _bf16_matrix, group)


def _group_weights(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    groups = settings.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    return weights if isinstance(weights, dict) else {}


_READERS: Mapping[str, Callable[[Mapping[str, Any]], _Quantisation | None]] = {
    "fp8": _read_fp8,
    "compressed-tensors": _read_compressed_tensors,
    "modelopt": _read_modelopt,
}
