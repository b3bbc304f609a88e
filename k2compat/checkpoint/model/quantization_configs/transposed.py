"""The configs of AWQ and GPTQ, which store weights transposed and packed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from k2compat.checkpoint.model.module_patterns import UnknownSettingError, compiled, patterns
from k2compat.checkpoint.model.quantization import (
    WHOLE_ROW,
    Group,
    Quantization,
    Storage,
    member,
    required,
    storage,
    whole_number,
)

_BITS: Final = (2, 4, 8)
_EXCLUDED, _INCLUDED = "-:", "+:"
"""Signs before the expressions of GPTQ's `dynamic`: unquantised modules, other settings."""


def read_awq(config: Mapping[str, Any]) -> Quantization:
    """Read AWQ in the gemm layout; gemv and others pack in another way.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    if str(config.get("version", "gemm")).lower() != "gemm":
        raise UnknownSettingError("version")
    ignore = patterns(config.get("modules_to_not_convert"), "substring")
    return Quantization("awq", (Group(_storage("awq", config)),), ignore)


def read_gptq(config: Mapping[str, Any]) -> Quantization:
    """Read GPTQ, with exceptions in `dynamic`.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    if config.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
        raise UnknownSettingError("checkpoint_format")
    dynamic = member(config, "dynamic")
    ignore = compiled(
        f"re:{name.removeprefix(_EXCLUDED)}" for name in dynamic if name.startswith(_EXCLUDED)
    )
    groups = (*_exceptions(config, dynamic), Group(_storage("gptq", config)))
    return Quantization("gptq", groups, ignore)


def _exceptions(config: Mapping[str, Any], dynamic: Mapping[str, Any]) -> Iterator[Group]:
    for name, settings in dynamic.items():
        if not name.startswith(_EXCLUDED):
            changes = settings if isinstance(settings, dict) else {}
            expression = f"re:{name.removeprefix(_INCLUDED)}"
            yield Group(_storage("gptq", {**config, **changes}), compiled([expression]))


def _storage(scheme: str, config: Mapping[str, Any]) -> Storage:
    bits = whole_number(config.get("bits"))
    if bits not in _BITS:
        raise UnknownSettingError("bits")
    size = config.get("group_size", 128)
    group = WHOLE_ROW if size == -1 else required(whole_number(size), "group_size")
    return storage(scheme, {"group": group}, bits=bits)
