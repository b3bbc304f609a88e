"""How the routed experts of a checkpoint are stored, for programs that need only this.

`launch` uses it at each start. The rules of the tensors, which take as long to load as this
module, are not loaded. Neither are the dialects of the other schemes, 5 ms, for the FP8 config that
Moonshot AI and DeepSeek publish.
"""

from typing import Any, Final, NamedTuple

_BF16: Final = "bf16"
_FP8: Final = "fp8"
_MEMBERS_OF_FP8: Final = {"quant_method", "fmt", "activation_scheme", "weight_block_size"}


class StoredPrecision(NamedTuple):
    """How the routed experts of a checkpoint are stored.

    Attributes:
        name: The scheme's short name, as "nvfp4"; "bf16" for plain weights.
        block: Neighbours in a row of the weight that share a scale; 1 where a row has one scale.
        kv_cache_bits: The bits of an element of the KV cache, if the config gives them.
    """

    name: str
    block: int
    kv_cache_bits: int | None = None


def stored_precision(quantization_config: object) -> StoredPrecision | None:
    """How a quantization_config stores the routed experts; None where that is not known.

    Args:
        quantization_config: The member's value; None where there is none.
    """
    if quantization_config is None:
        return StoredPrecision(_BF16, 1)
    if isinstance(quantization_config, dict):
        block = _published_fp8_block(quantization_config)
        if block:
            return StoredPrecision(_FP8, block)
    return _read_precision(quantization_config)


def _published_fp8_block(config: dict[str, Any]) -> int:
    """The block of a config with the members that the publishers' have; 0 for any other one."""
    if not config.keys() <= _MEMBERS_OF_FP8 or config.get("quant_method") != _FP8:
        return 0
    if config.get("fmt", "e4m3") != "e4m3":
        return 0
    match config.get("weight_block_size"):
        case list([int(rows), int(columns)]) if rows == columns and 1 < rows <= 128:
            return rows
    return 0


def _read_precision(quantization_config: object) -> StoredPrecision | None:
    from k2compat.checkpoint.model.quantization import WHOLE_ROW
    from k2compat.checkpoint.model.quantization_configs import read_quantization
    from k2compat.checkpoint.reporting import FileFindings

    quantization = read_quantization(quantization_config, FileFindings(""))
    expert = "layers.60.mlp.experts.0.up_proj"
    names = (f"model.{expert}", f"language_model.model.{expert}", f"language_model.{expert}")
    stored = quantization.storage_of("projection", names)
    if not quantization.is_known:
        return None
    if stored is None:
        return StoredPrecision(_BF16, 1, quantization.kv_cache_bits)
    sizes = [size for name, size in stored.sizes if name in ("group", "b0", "b1")]
    block = max([1, *(size for size in sizes if size < WHOLE_ROW)])
    return StoredPrecision(stored.label, block, quantization.kv_cache_bits)
