"""FP8 in blocks, of DeepSeek and Moonshot AI; and W4AFP8, which stores its experts in INT4."""

from collections.abc import Mapping
from typing import Any

from k2compat.checkpoint.model.module_patterns import ModulePatterns
from k2compat.checkpoint.model.quantization import Group, Quantization, labelled, whole_number
from k2compat.checkpoint.model.quantization_configs.dialect import (
    UnknownSettingError,
    compiled,
    patterns,
)
from k2compat.checkpoint.model.schemes import Storage, storage


def read_fp8(config: Mapping[str, Any]) -> Quantization:
    """Read FP8 in blocks: `weight_block_size` rows and columns share a scale.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    if config.get("fmt", "e4m3") != "e4m3":
        raise UnknownSettingError("fmt")
    stored = _blocks(config.get("weight_block_size"), config.get("scale_fmt"))
    return Quantization("fp8", (Group(stored),), _kept(config))


def read_w4afp8(config: Mapping[str, Any]) -> Quantization:
    """Read W4AFP8: the routed experts in INT4, all other projections in FP8 blocks.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    experts = compiled(["re:.*\\.experts\\."])
    group = whole_number(config.get("group_size", 128))
    if group is None:
        raise UnknownSettingError("group_size")
    groups = (
        Group(storage("w4afp8", {"group": group}), experts),
        Group(_blocks(config.get("weight_block_size", [128, 128]), None)),
    )
    return Quantization(labelled(groups[:1]), groups, _kept(config))


def _blocks(size: object, scale_format: object) -> Storage:
    numbers = [whole_number(each) for each in size] if isinstance(size, list) else []
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        raise UnknownSettingError("weight_block_size")
    scheme = "deepseek-fp8-ue8m0" if scale_format == "ue8m0" else "deepseek-fp8"
    return storage(scheme, {"b0": numbers[0], "b1": numbers[1]})


def _kept(config: Mapping[str, Any]) -> ModulePatterns:
    # Transformers' name, and vLLM's; both mean modules whose names contain the text.
    kept = config.get("modules_to_not_convert") or config.get("ignored_layers")
    return patterns(kept, "substring")
