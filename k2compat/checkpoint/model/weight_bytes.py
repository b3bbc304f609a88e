"""The bytes that an engine loads of a checkpoint, summed over the rules of its tensors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from k2compat.checkpoint.model.architecture import demand_architecture
from k2compat.checkpoint.model.quantization_configs import read_quantization
from k2compat.checkpoint.model.schemes import WHOLE_ROW
from k2compat.checkpoint.model.tensors import Kind, expected_blocks
from k2compat.checkpoint.reporting import FileFindings

_ROUTED = "mlp.experts."


class LoadedBytes(NamedTuple):
    """The bytes of the tensors that an engine loads to serve text.

    Attributes:
        routed: Bytes of the routed experts, scales included.
        other: Bytes of everything else: attention, dense and shared MLPs, routers, embeddings.
        routed_tensors: The number of tensors of the routed experts.
    """

    routed: int
    other: int
    routed_tensors: int


class StoredPrecision(NamedTuple):
    """How the routed experts of a checkpoint are stored.

    Attributes:
        name: The scheme's short name, as "nvfp4"; "bf16" for weights as they are.
        block: Neighbours in a row of the weight that share a scale; 1 where a row has one.
        kv_cache_bits: Of an element of the KV cache that the config asks for; None for its own.
    """

    name: str
    block: int
    kv_cache_bits: int | None = None


def stored_precision(quantization_config: object) -> StoredPrecision | None:
    """How a quantization_config stores the routed experts; None where that is not known.

    Args:
        quantization_config: The member's value; None where there is none.
    """
    quantization = read_quantization(quantization_config, FileFindings(""))
    expert = "layers.60.mlp.experts.0.up_proj"
    names = (f"model.{expert}", f"language_model.model.{expert}", f"language_model.{expert}")
    stored = quantization.storage_of("projection", names)
    if not quantization.is_known:
        return None
    if stored is None:
        return StoredPrecision("bf16", 1, quantization.kv_cache_bits)
    sizes = [size for name, size in stored.sizes if name in ("group", "b0", "b1")]
    block = max([1, *(size for size in sizes if size < WHOLE_ROW)])
    return StoredPrecision(stored.label, block, quantization.kv_cache_bits)


def loaded_bytes(config: Mapping[str, Any]) -> LoadedBytes | None:
    """The bytes that an engine loads of a checkpoint; nothing is read but its config.

    Left out is what engines load for speculative decoding and for images alone, and the legacy
    `inv_freq`. Layers alike are summed once: 2,342 rows stand for Kimi-K2's 139,644 tensors.

    Args:
        config: The members of a config.json.

    Returns:
        The sums; None where the tensors of the config's quantisation are not known here.

    Raises:
        RefusedError: The config describes no architecture of the family, or an absurd one;
            see `demand_architecture`.
    """
    architecture = demand_architecture(config)
    if not architecture.quantization.is_known:
        return None
    sums: dict[int, LoadedBytes] = {}
    blocks = list(expected_blocks(architecture))  # which keep the tables, and so their ids, alive
    for block in blocks:
        if id(block.kinds) not in sums:
            sums[id(block.kinds)] = _sum(block.kinds)
    parts = [sums[id(block.kinds)] for block in blocks]
    return LoadedBytes(*(sum(column) for column in zip(*parts, strict=True)))


def _sum(kinds: Mapping[str, Kind]) -> LoadedBytes:
    needed = {name: kind for name, kind in kinds.items() if kind.necessity == "required"}
    sizes = {name: kind.bytes for name, kind in needed.items()}
    routed = [size for name, size in sizes.items() if name.startswith(_ROUTED)]
    return LoadedBytes(sum(routed), sum(sizes.values()) - sum(routed), len(routed))
