"""The configs of NVIDIA's Model Optimizer: one algorithm, or one for each named module.

config.json has `quant_algo` and `ignore`, hf_quant_config.json `quant_algo` and
`exclude_modules`; both are read here.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

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

_MIXED: Final = "MIXED_PRECISION"
_NVFP4_GROUP: Final = 16
_NVFP4_TRAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "NVFP4": ("input_scale",),
    "NVFP4_AWQ": ("input_scale", "pre_quant_scale"),
    "W4A16_NVFP4": (),
}
_FP8: Final[Mapping[str, str]] = {
    "FP8": "modelopt-fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "modelopt-fp8-channel",
}


def read_modelopt(config: Mapping[str, Any]) -> Quantization:
    """Read the algorithm, and the modules that it leaves out.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    ignored = config.get("ignore") or config.get("exclude_modules")
    # A name without a wildcard excludes everything below it: fnmatch with the module's prefix.
    ignore = patterns(ignored, "below")
    if config.get("quant_algo") == _MIXED:
        groups = _layers(member(config, "quantized_layers"))
    else:
        groups = (Group(_storage(config.get("quant_algo"), _group_size(config))),)
    return Quantization(labelled(groups), groups, ignore, _kv_cache_bits(config))


def _layers(layers: Mapping[str, Any]) -> tuple[Group, ...]:
    """A group for each algorithm of `quantized_layers`: module → its settings."""
    modules: defaultdict[Storage, list[str]] = defaultdict(list)
    for module, settings in layers.items():
        if not isinstance(settings, dict):
            raise UnknownSettingError("quantized_layers")
        modules[_storage(settings.get("quant_algo"), settings.get("group_size"))].append(module)
    if not modules:
        raise UnknownSettingError("quantized_layers")
    return tuple(Group(stored, compiled(names)) for stored, names in modules.items())


def _storage(algorithm: object, group_size: object) -> Storage:
    if not isinstance(algorithm, str):
        raise UnknownSettingError("quant_algo")
    if algorithm in _FP8:
        return storage(_FP8[algorithm])
    if algorithm not in _NVFP4_TRAITS:
        raise UnknownSettingError("quant_algo")
    size = _NVFP4_GROUP if group_size is None else group_size
    group = required(whole_number(size), "group_size")
    return storage("modelopt-nvfp4", {"group": group}, frozenset(_NVFP4_TRAITS[algorithm]))


def _group_size(config: Mapping[str, Any]) -> object:
    groups = member(config, "config_groups")
    first = next(iter(groups), "")
    return member(groups, first, "weights").get("group_size", config.get("group_size"))


def _kv_cache_bits(config: Mapping[str, Any]) -> int | None:
    named = config.get("kv_cache_quant_algo")
    bits = {"FP8": 8, "NVFP4": 4}.get(named) if isinstance(named, str) else None
    return bits or whole_number(member(config, "kv_cache_scheme").get("num_bits"))
