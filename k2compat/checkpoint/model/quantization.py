"""How a config says the weights are stored: as they are, FP8 in blocks, INT4 in groups.

Anything else (NVFP4, AWQ, FP8 per tensor) is named and left at that: which tensors such a
checkpoint holds for a quantised module is not known here, so it is not judged.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeGuard

from k2compat.checkpoint.model.ignore_list import IgnoreList, PatternError
from k2compat.checkpoint.model.rules import SCHEMES
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import shortened

UNKNOWN: Final = "unknown"

BLOCK_MOST: Final = 1 << 16
PACKED_BITS: Final = 32
INTEGER_BITS: Final = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights are stored.

    Attributes:
        name: For a person: "bf16", "fp8", "int4", or what the config calls it.
        scheme: A key of SCHEMES, "" for weights as they are, or UNKNOWN.
        sizes: What the scheme's shapes need: b0, b1; or packed, group.
        ignore: Modules that stay as they are.
        bits: Of one quantised weight; None where the config does not give them.
    """

    name: str
    scheme: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    ignore: IgnoreList = field(default_factory=IgnoreList)
    bits: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the stored tensors of a quantised module are known."""
        return self.scheme != UNKNOWN

    def covers(self, module_kind: str, names: Sequence[str]) -> bool:
        """Whether it quantises a module.

        Args:
            module_kind: "projection", "linear" or "" (never quantised).
            names: The module's names; one that is ignored is enough.
        """
        if not self.is_known:
            return module_kind != ""
        if self.scheme == "" or module_kind not in SCHEMES[self.scheme].modules:
            return False
        return not any(name in self.ignore for name in names)


PLAIN: Final = Quantization("bf16")


def read_quantization(config: object, defects: FileFindings) -> Quantization:
    """What a quantization_config says.

    Args:
        config: The member's value; None or {} where there is none.
        defects: Takes what is wrong.
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
    quantization = _fp8(config) or _int4(config)
    block = config.get("weight_block_size")
    if block is not None and not _is_block(block):
        defects.add(
            "architecture-value",
            "weight_block_size is not two whole numbers, each at least 1",
            at="quantization_config.weight_block_size",
            expected="[128, 128]",
            actual=block,
        )
    if quantization is None:
        quantization = Quantization(_name(config), UNKNOWN, bits=_bits(config))
        _add_unknown(quantization.name, defects)
    return quantization


def without_ignore_list(quantization: Quantization, defects: FileFindings) -> Quantization:
    """An unknown quantisation in place of one whose ignore list takes too long to follow.

    Args:
        quantization: As the config has it.
        defects: Takes what is wrong.
    """
    _add_unknown(quantization.name, defects, " (its ignore list takes too long to follow)")
    return replace(quantization, scheme=UNKNOWN)


def _add_unknown(name: str, defects: FileFindings, reason: str = "") -> None:
    defects.add(
        "quantization-unknown",
        f"which tensors {name} stores for a quantised module is not known here{reason}: they were "
        "not checked, all others were",
        at="quantization_config",
        actual=name,
    )


def _fp8(config: Mapping[str, Any]) -> Quantization | None:
    """DeepSeek's FP8: `weight_block_size` rows and columns share a scale."""
    block = config.get("weight_block_size")
    if config.get("quant_method") != "fp8" or config.get("fmt", "e4m3") != "e4m3":
        return None
    if not _is_block(block):
        return None
    # Transformers' name, and vLLM's; both mean modules whose names contain the text.
    kept = config.get("modules_to_not_convert") or config.get("ignored_layers") or []
    ignore = _ignore_list([f"re:.*{re.escape(name)}" for name in kept if isinstance(name, str)])
    if ignore is None or not isinstance(kept, list):
        return None
    return Quantization("fp8", "fp8", {"b0": block[0], "b1": block[1]}, ignore)


def _int4(config: Mapping[str, Any]) -> Quantization | None:
    """compressed-tensors with one group of symmetric, packed integers for all linear layers."""
    groups = config.get("config_groups")
    ignore = _ignore_list(config.get("ignore") or [])
    if config.get("quant_method") != "compressed-tensors" or ignore is None:
        return None
    if config.get("format") != "pack-quantized" or not isinstance(groups, dict) or len(groups) != 1:
        return None
    group = next(iter(groups.values()))
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(weights, dict) or group.get("targets") != ["Linear"]:
        return None
    bits, size = weights.get("num_bits"), weights.get("group_size")
    is_known = (
        bits in INTEGER_BITS
        and _is_size(size)
        and weights.get("type") == "int"
        and weights.get("strategy") == "group"
        and weights.get("symmetric") is True
        and not weights.get("actorder")
    )
    if not is_known or not isinstance(bits, int) or not isinstance(size, int):
        return None
    return Quantization(
        f"int{bits}", "int4", {"packed": PACKED_BITS // bits, "group": size}, ignore, bits
    )


def _is_block(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_size, value))


def _is_size(value: object) -> bool:
    return type(value) is int and 1 <= value <= BLOCK_MOST


def _bits(config: Mapping[str, Any]) -> int | None:
    """Of a weight: AWQ's, GPTQ's and MLX's `bits`, compressed-tensors' `num_bits`, W4AFP8."""
    groups = config.get("config_groups")
    group = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = group.get("weights") if isinstance(group, dict) else None
    found = weights.get("num_bits") if isinstance(weights, dict) else config.get("bits")
    if type(found) is int and found in INTEGER_BITS:
        return found
    return 4 if config.get("quant_method") == "w4afp8" else None


def _name(config: Mapping[str, Any]) -> str:
    """What the config calls it: quant_algo NVFP4, else quant_method."""
    for key in ("quant_algo", "quant_method"):
        value = config.get(key)
        if isinstance(value, str) and value:
            return shortened(value).lower()
    return UNKNOWN


def _ignore_list(patterns: object) -> IgnoreList | None:
    """The list, or None where it cannot be followed."""
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        return None
    try:
        return IgnoreList(patterns)
    except PatternError:
        return None
