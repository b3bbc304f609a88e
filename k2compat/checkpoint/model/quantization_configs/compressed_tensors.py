"""The configs of compressed-tensors and llm-compressor: groups of modules, each with a format."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from k2compat.checkpoint.model.module_patterns import ModulePatterns, UnknownSettingError, patterns
from k2compat.checkpoint.model.quantization import (
    PLAIN,
    WHOLE_ROW,
    Group,
    Quantization,
    Storage,
    labelled,
    member,
    required,
    storage,
    whole_number,
)

_EVERY_LINEAR: Final = "Linear"
_INTEGER_BITS: Final = range(1, 9)
"""Packed ones leave no bit of their 32 unused, whether their bits divide 32 or not."""

_SPARSE: Final = ("sparse-24-bitmask", "sparse-bitmask", "marlin-24")
"""Formats that store other tensors. 2:4 or 4:8 sparsity in dense tensors changes no shape."""


def read_compressed_tensors(config: Mapping[str, Any]) -> Quantization:
    """Groups of modules with their formats.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    found, cache = member(config, "config_groups"), member(config, "kv_cache_scheme")
    if member(config, "sparsity_config").get("format") in _SPARSE or not (found or cache):
        raise UnknownSettingError("config_groups")
    groups = tuple(_group(config, group) for group in found.values())
    # Groups that name modules decide before those that name the type of module.
    groups = tuple(sorted(groups, key=lambda group: group.targets is None))
    ignore = patterns(config.get("ignore"))
    name = labelled(groups) or PLAIN.name
    return Quantization(name, groups, ignore, whole_number(cache.get("num_bits")))


def _group(config: Mapping[str, Any], group: object) -> Group:
    if not isinstance(group, dict):
        raise UnknownSettingError("config_groups")
    return Group(_storage(config, group), _targets(group.get("targets")))


def _targets(targets: object) -> ModulePatterns | None:
    found = patterns(targets)
    if not found.patterns:
        raise UnknownSettingError("targets")
    return None if _EVERY_LINEAR in found.patterns else found


def _storage(config: Mapping[str, Any], group: Mapping[str, Any]) -> Storage | None:
    weights, inputs = member(group, "weights"), member(group, "input_activations")
    form = group.get("format") or config.get("format")
    if not weights or form == "dense":
        return None  # the modules stay as they are
    kind, bits = weights.get("type"), whole_number(weights.get("num_bits"))
    traits = frozenset(_traits(weights, inputs))
    match form, kind, bits:
        case "pack-quantized", "int", bits if bits in _INTEGER_BITS:
            return storage("ct-packed", {"group": _group_size(weights)}, traits, bits)
        case "float-quantized" | "naive-quantized", "float", 8:
            return _scaled("ct-fp8", weights, traits)
        case "int-quantized" | "naive-quantized", "int", bits if bits in _INTEGER_BITS:
            return _scaled("ct-int8", weights, traits, bits)
        case "nvfp4-pack-quantized", "float", 4:
            return storage("ct-nvfp4", {"group": _group_size(weights, 16)}, traits)
        case "mxfp4-pack-quantized", "float", 4:
            return storage("ct-mxfp4", {"group": _group_size(weights, 32)}, traits)
        case "mxfp6-pack-quantized", "float", 6:
            return storage("ct-mxfp6", {"group": _group_size(weights, 32)}, traits)
        case "mxfp8-quantized", "float", 8:
            return storage("ct-mxfp8", {"group": _group_size(weights, 32)}, traits)
    raise UnknownSettingError("format")


def _traits(weights: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[str]:
    if weights.get("symmetric") is False:
        yield "asymmetric"
    # "static" and "weight" reorder only during calibration, and store nothing.
    if weights.get("actorder") in ("group", True):
        yield "act_order"
    # Dynamic activations store nothing; "local" ones of NVFP4 store their global scale.
    if inputs and inputs.get("dynamic", False) in (False, "local"):
        yield "input_scale"
        if inputs.get("symmetric") is False:
            yield "input_zero_point"


def _group_size(weights: Mapping[str, Any], default: int | None = None) -> int:
    size = weights.get("group_size", default)
    if weights.get("strategy") == "channel":
        return WHOLE_ROW
    return required(whole_number(size), "group_size")


def _scaled(
    scheme: str, weights: Mapping[str, Any], traits: frozenset[str], bits: int | None = None
) -> Storage:
    match weights.get("strategy"):
        case "tensor":
            return storage(f"{scheme}-tensor", {}, traits, bits)
        case "channel":
            return storage(scheme, {"b0": 1, "b1": WHOLE_ROW}, traits, bits)
        case "group":
            return storage(scheme, {"b0": 1, "b1": _group_size(weights)}, traits, bits)
        case "block":
            block = weights.get("block_structure")
            sizes = [whole_number(each) for each in block] if isinstance(block, list) else []
            if len(sizes) == 2:
                rows, columns = (required(size, "block_structure") for size in sizes)
                return storage(scheme, {"b0": rows, "b1": columns}, traits, bits)
    raise UnknownSettingError("strategy")
