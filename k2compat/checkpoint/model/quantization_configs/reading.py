"""Find the dialect of a quantization_config, read it, and report what cannot be followed.

FP8 in blocks, of DeepSeek and Moonshot AI, and W4AFP8 are read here; each other program's dialect
has a module.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from k2compat.checkpoint.model.module_patterns import (
    ModulePatterns,
    UnknownSettingError,
    compiled,
    patterns,
)
from k2compat.checkpoint.model.quantization import (
    PLAIN,
    SCHEMES,
    UNKNOWN,
    Group,
    Quantization,
    Storage,
    labelled,
    member,
    storage,
    unknown_quantization,
    whole_number,
)
from k2compat.checkpoint.model.quantization_configs.compressed_tensors import (
    read_compressed_tensors,
)
from k2compat.checkpoint.model.quantization_configs.modelopt import read_modelopt
from k2compat.checkpoint.model.quantization_configs.modelslim import read_modelslim
from k2compat.checkpoint.model.quantization_configs.quark import read_quark
from k2compat.checkpoint.model.quantization_configs.transposed import read_awq, read_gptq
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import shortened


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


Dialect = Callable[[Mapping[str, Any]], Quantization]
"""Reads a config. Raises UnknownSettingError for a setting that the dialect does not know: the
resulting tensors are then not known."""

DIALECTS: Final[Mapping[str, Dialect]] = {
    "fp8": read_fp8,
    "w4afp8": read_w4afp8,
    "compressed-tensors": read_compressed_tensors,
    "modelopt": read_modelopt,
    "modelopt_fp4": read_modelopt,
    "quark": read_quark,
    "awq": read_awq,
    "gptq": read_gptq,
    "ascend": read_modelslim,
}
"""By quant_method. "ascend" is vLLM's name for ModelSlim, whose description has no method."""

_BITS: Final = (2, 3, 4, 5, 6, 8)


def read_quantization(config: object, defects: FileFindings) -> Quantization:
    """How a quantization_config stores the weights.

    Args:
        config: The member's value; None or {} where there is none.
        defects: Takes the findings.
    """
    if config is None or config == {}:
        return PLAIN
    if not isinstance(config, dict):
        defects.add(
            "architecture-value",
            "quantization_config is not an object",
            at="quantization_config",
            expected="an object",
        )
        return PLAIN
    _check_block(config.get("weight_block_size"), defects)
    dialect = DIALECTS.get(str(config.get("quant_method")))
    reason = ""
    quantization = None
    if dialect is not None:
        try:
            quantization = dialect(config)
        except UnknownSettingError as unknown:
            reason = f" (its {unknown})"
    if quantization is None:
        quantization = unknown_quantization(_name(config), _bits(config))
        _add_unknown(quantization.name, defects, reason)
        return quantization
    _add_unsure(quantization, defects)
    return quantization


def without_patterns(quantization: Quantization, defects: FileFindings) -> Quantization:
    """An unknown quantisation in place of one whose patterns take too long to match.

    Args:
        quantization: As the config has it.
        defects: Takes the findings.
    """
    _add_unknown(quantization.name, defects, " (its ignore list takes too long to follow)")
    return replace(quantization, groups=(Group(Storage(UNKNOWN, bits=quantization.bits)),))


def _check_block(block: object, defects: FileFindings) -> None:
    numbers = [whole_number(each) for each in block] if isinstance(block, list) else []
    if block is not None and (len(numbers) != 2 or None in numbers):
        defects.add(
            "architecture-value",
            "weight_block_size is not two whole numbers, each at least 1",
            at="quantization_config.weight_block_size",
            expected="[128, 128]",
            actual=block,
        )


def _add_unknown(name: str, defects: FileFindings, reason: str) -> None:
    defects.add(
        "quantization-unknown",
        f"which tensors {name} stores for a quantised module is not known here{reason}: they were "
        "not checked, all others were",
        at="quantization_config",
        actual=name,
    )


def _add_unsure(quantization: Quantization, defects: FileFindings) -> None:
    for scheme in dict.fromkeys(stored.scheme for stored in quantization.storages):
        if SCHEMES[scheme].unsure:
            defects.add(
                "quantization-unconfirmed",
                f"no published checkpoint confirms {SCHEMES[scheme].unsure}: each reading was "
                "accepted",
                at="quantization_config",
                actual=scheme,
            )


def _bits(config: Mapping[str, Any]) -> int | None:
    """The bits of a weight: `bits` (AWQ, GPTQ, MLX), `num_bits` (compressed-tensors), W4AFP8."""
    groups = member(config, "config_groups")
    weights = member(groups, next(iter(groups), ""), "weights")
    found = whole_number(weights.get("num_bits") if weights else config.get("bits"))
    if found in _BITS:
        return found
    return 4 if config.get("quant_method") == "w4afp8" else None


def _name(config: Mapping[str, Any]) -> str:
    """The config's own name for it: quant_algo NVFP4, else quant_method."""
    for key in ("quant_algo", "quant_method"):
        value = config.get(key)
        if isinstance(value, str) and value:
            return shortened(value).lower()
    return UNKNOWN
