"""The configs of AMD's Quark: one setting for all modules, and others for named ones."""

from collections.abc import Mapping
from typing import Any

from k2compat.checkpoint.model.module_patterns import UnknownSettingError, compiled, patterns
from k2compat.checkpoint.model.quantization import (
    Group,
    Quantization,
    Storage,
    labelled,
    member,
    required,
    storage,
    whole_number,
)


def read_quark(config: Mapping[str, Any]) -> Quantization:
    """Settings of named modules, then those of all others.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    named = tuple(
        Group(_storage(settings), compiled([pattern]))
        for pattern, settings in member(config, "layer_quant_config").items()
    )
    everywhere = config.get("global_quant_config")
    groups = named if everywhere is None else (*named, Group(_storage(everywhere)))
    if not groups:
        raise UnknownSettingError("global_quant_config")
    kv_cache = next(iter(member(config, "kv_cache_quant_config").values()), None)
    bits = 8 if isinstance(kv_cache, dict) else None
    return Quantization(labelled(groups), groups, patterns(config.get("exclude"), "below"), bits)


def _storage(settings: object) -> Storage | None:
    if not isinstance(settings, dict):
        raise UnknownSettingError("layer_quant_config")
    weight, inputs = member(settings, "weight"), member(settings, "input_tensors")
    if not weight:
        return None  # the modules stay as they are
    is_static = bool(inputs) and inputs.get("is_dynamic") is False
    traits = frozenset({"input_scale"} if is_static else ())
    match weight.get("dtype"), weight.get("qscheme"):
        case "fp4", "per_group" if weight.get("scale_format") == "e8m0":
            group = required(whole_number(weight.get("group_size")), "group_size")
            return storage("quark-mxfp4", {"group": group})
        case "fp8_e4m3", "per_channel" if weight.get("ch_axis", 0) == 0:
            return storage("quark-fp8-channel", {}, traits)
        case "fp8_e4m3", "per_tensor":
            return storage("quark-fp8-tensor", {}, traits)
    raise UnknownSettingError("dtype")
