"""From a config to the sizes that decide which tensors a checkpoint holds.

A config is untrusted: numbers may be strings, absurd or missing. Before it is used, each becomes
a checked `int` within the bounds of `tensor_rules.toml`, or a finding. A config with 10¹² experts
costs no more than one with 384.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from k2compat.checkpoint.model.module_patterns import layer_prefixes
from k2compat.checkpoint.model.quantization import Quantization
from k2compat.checkpoint.model.quantization_configs import (
    differences,
    read_quantization,
)
from k2compat.checkpoint.model.rules import SIZES, VISION_SIZES, SizeRule
from k2compat.checkpoint.reporting import FileFindings
from k2compat.errors import RefusedError
from k2compat.family import DEEPSEEK_V3, KIMI_K2, OTHER_ARCHITECTURES, SWITCHABLE, WRAPPERS
from k2compat.findings import Finding, Severity
from k2compat.printable import counted, shortened

TEXT_PREFIX: Final = "language_model."
"""The prefix of the text model's tensors in a vision model."""

_LAYERS_PREFIX: Final = "model."

EXPERTS_MOST: Final = 1 << 20
"""Experts of all layers; DeepSeek-V3 has 15,104, Kimi-K2 23,040."""

MERGE_MOST: Final = 64

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of one model, each within its bounds.

    Attributes:
        model_type: The config's own: kimi_k2, deepseek_v3 or kimi_k25.
        sizes: By config member and by the symbol of `tensor_rules.toml`. A size that the config
            lacks (q_lora_rank null, no experts) is 0.
        traits: Its traits: "q_lora" or "no_q_lora", "tied" or "untied", "shared_experts",
            "noaux_tc", "attention_bias", "indexer"; "with_model", or "draft" for an MTP layer
            that is stored by itself.
        has_vision: Whether a vision tower belongs to it.
        quantization: How its weights are stored.
        prefix: The prefix of the text model's names.
        pattern_prefixes: The text before "layers." in the config's lists of modules.
    """

    model_type: str
    sizes: Mapping[str, int]
    traits: frozenset[str]
    has_vision: bool
    quantization: Quantization
    prefix: str
    pattern_prefixes: tuple[str, ...] = ()

    @property
    def layers(self) -> int:
        """Layers of the text model, without MTP layers, which follow."""
        return self.sizes["num_hidden_layers"]

    @property
    def mtp_layers(self) -> int:
        """Layers for multi-token prediction; numbered after the last ordinary one."""
        return self.sizes["num_nextn_predict_layers"]

    @property
    def vision_layers(self) -> int:
        """Layers of the vision tower; 0 without one."""
        return self.sizes.get("vt_num_hidden_layers", 0)

    @property
    def experts(self) -> int:
        """Routed experts of each MoE layer; 0 in a dense model."""
        return self.sizes["n_routed_experts"]

    @property
    def variant(self) -> str:
        """Model type and storage, as "kimi_k2 fp8"."""
        return f"{self.model_type} {self.quantization.name}"

    @property
    def names_experts(self) -> bool:
        """Whether the config may store the experts of a layer in different ways."""
        return self.quantization.names_experts

    def pattern_names(self, module: str) -> tuple[str, ...]:
        """A module's names in the config's lists: its own, and those below other prefixes."""
        inner = module.removeprefix(self.prefix)
        of_layer = inner.removeprefix(_LAYERS_PREFIX)
        others = [
            start + of_layer
            if of_layer != inner
            else start.removesuffix(_LAYERS_PREFIX) + inner  # the output head is no layer
            for start in self.pattern_prefixes
        ]
        return tuple(dict.fromkeys((module, inner, *others)))

    def as_draft(self, *, keeps_number: bool = False) -> "Architecture":
        """The layers for multi-token prediction by themselves.

        Args:
            keeps_number: Whether they have their numbers in the model; else it is layer 0.
        """
        changed = (
            {"num_nextn_predict_layers": max(1, self.mtp_layers)}
            if keeps_number
            else {"num_hidden_layers": 0, "num_nextn_predict_layers": 1}
        )
        symbols = {SIZES[name].symbol: size for name, size in changed.items()}
        traits = self.traits - {"with_model"} | {"draft"}
        return replace(self, sizes={**self.sizes, **changed, **symbols}, traits=traits)

    def is_moe(self, layer: int) -> bool:
        """Whether a layer has experts; MTP layers have them, too, if any layer has."""
        return (
            self.experts > 0
            and layer >= self.sizes["first_k_dense_replace"]
            and layer % self.sizes["moe_layer_freq"] == 0
        )


def read_architecture(
    config: Mapping[str, Any], where: str = "config.json"
) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """The architecture that a config describes.

    Args:
        config: The members of a config.json.
        where: Names the config in findings.

    Returns:
        The architecture, or None where it is not known; and all findings.
    """
    defects = FileFindings(where)
    text, member = _text_config(config, defects)
    if text is None:
        return None, defects.findings()
    model_type = str(config["model_type"])
    sizes = _read_sizes(text, SIZES, member, defects)
    has_vision = model_type in WRAPPERS
    if has_vision:
        sizes |= _read_vision(config.get("vision_config"), defects)
    traits = frozenset(("with_model", *_traits(text, sizes, member, defects)))
    _check_together(sizes, member, defects)
    quantization = _read_quantization(config, text, defects)
    if quantization.kv_cache_bits is not None:
        traits |= {"kv_scales"}
    if any(finding.severity is Severity.ERROR for finding in defects.findings()):
        return None, defects.findings()
    prefix = TEXT_PREFIX if has_vision else ""
    return (
        Architecture(
            model_type,
            sizes,
            traits,
            has_vision,
            quantization,
            prefix,
            layer_prefixes(quantization.lists),
        ),
        defects.findings(),
    )


def _read_quantization(
    config: Mapping[str, Any], text: Mapping[str, Any], defects: FileFindings
) -> Quantization:
    """Read the quantisation; engines accept it in the wrapper's config and in the text model's."""
    inner, outer = text.get("quantization_config"), config.get("quantization_config")
    quantization = read_quantization(inner or outer, defects)
    if inner and outer and inner != outer:
        other = read_quantization(outer, FileFindings(""))
        for what, expected, actual in differences(quantization, other):
            defects.add(
                "quantization-conflict",
                f"text_config.quantization_config and quantization_config differ in {what}",
                at="quantization_config",
                expected=expected,
                actual=actual,
            )
    return quantization


def demand_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a config describes.

    Raises:
        RefusedError: With the code of the first finding: architecture-model-type, -other,
            -member-missing, -value or -absurd.
    """
    architecture, findings = read_architecture(config)
    if architecture is None:
        first = next(finding for finding in findings if finding.severity is Severity.ERROR)
        raise RefusedError(
            first.code,
            f"{first.where}: {first.message}.",
            hint=f"k2compat explain {first.code}",
        )
    return architecture


def _text_config(
    config: Mapping[str, Any], defects: FileFindings
) -> tuple[Mapping[str, Any] | None, str]:
    """The text model's members, and their place: "" or "text_config."."""
    model_type = config.get("model_type")
    if not _is_family(model_type, (*SWITCHABLE, *WRAPPERS), "model_type", defects):
        return None, ""
    wrapped = WRAPPERS.get(str(model_type))
    if wrapped is None:
        return config, ""
    text = config.get(wrapped)
    if not isinstance(text, dict):
        defects.add(
            "architecture-value",
            f"{wrapped} should be an object with the text model's config",
            at=wrapped,
            expected="an object",
            actual=_shown(text),
        )
        return None, ""
    # A text model without a type of its own has the type that engines know.
    if "model_type" in text and not _is_family(
        text["model_type"], SWITCHABLE, f"{wrapped}.model_type", defects
    ):
        return None, ""
    return text, f"{wrapped}."


def _is_family(
    model_type: object, known: tuple[str, ...], member: str, defects: FileFindings
) -> bool:
    if isinstance(model_type, str) and model_type in known:
        return True
    if isinstance(model_type, str) and model_type in OTHER_ARCHITECTURES:
        defects.add(
            "architecture-other",
            f"{OTHER_ARCHITECTURES[model_type]}: its tensors are others, and were not checked",
            at=member,
            expected=" or ".join(known),
            actual=model_type,
        )
    else:
        defects.add(
            "architecture-model-type",
            f"this model_type is not of the family {KIMI_K2} and {DEEPSEEK_V3} belong to",
            at=member,
            expected=" or ".join(known),
            actual=_shown(model_type),
        )
    return False


def _read_sizes(
    config: Mapping[str, Any], rules: Mapping[str, SizeRule], member: str, defects: FileFindings
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, rule in rules.items():
        found = config.get(name, config.get(rule.alias, _MISSING))
        value = _read_size(found, rule, member + name, defects)
        sizes[name] = sizes[rule.symbol] = value
    return sizes


def _read_size(value: object, rule: SizeRule, at: str, defects: FileFindings) -> int:
    if value is None and rule.null:
        return 0
    if (value is None or value is _MISSING) and rule.default is not None:
        return rule.default
    bounds = f"a whole number from {rule.least:,} to {rule.most:,}"
    if value is _MISSING:
        defects.add("architecture-member-missing", f"{at} is missing", at=at, expected=bounds)
    # A bool is an int in Python. 7168.0 is not, and engines build shapes from the value.
    elif type(value) is not int:
        message = f"{at} is not a whole number"
        defects.add("architecture-value", message, at=at, expected=bounds, actual=_shown(value))
    elif not rule.least <= value <= rule.most:
        message = f"{at} is beyond what any model has"
        defects.add("architecture-absurd", message, at=at, expected=bounds, actual=_shown(value))
    else:
        return value
    return 0


def _read_vision(vision: object, defects: FileFindings) -> dict[str, int]:
    if vision is None:
        vision = {}  # Transformers uses a default
    if not isinstance(vision, dict):
        defects.add(
            "architecture-value",
            "vision_config should be an object",
            at="vision_config",
            expected="an object",
            actual=_shown(vision),
        )
        return {}
    sizes = _read_sizes(vision, VISION_SIZES, "vision_config.", defects)
    kernel = vision.get("merge_kernel_size") or [2, 2]
    if (
        isinstance(kernel, list)
        and len(kernel) == 2
        and all(type(number) is int and 1 <= number <= MERGE_MOST for number in kernel)
    ):
        sizes["merge"] = kernel[0] * kernel[1]
    else:
        defects.add(
            "architecture-value",
            "vision_config.merge_kernel_size is not two small whole numbers",
            at="vision_config.merge_kernel_size",
            expected="[2, 2]",
            actual=_shown(kernel),
        )
    return sizes


def _traits(
    config: Mapping[str, Any], sizes: Mapping[str, int], member: str, defects: FileFindings
) -> Iterator[str]:
    yield "q_lora" if sizes["q_lora_rank"] else "no_q_lora"
    yield "tied" if _flag(config, "tie_word_embeddings", member, defects) else "untied"
    if _flag(config, "attention_bias", member, defects):
        yield "attention_bias"
    if sizes["n_shared_experts"]:
        yield "shared_experts"
    if sizes["index_n_heads"] and sizes["index_head_dim"]:
        yield "indexer"
    # Absent in configs that Transformers wrote; its own model knows no other method.
    if config.get("topk_method") in (None, "noaux_tc"):
        yield "noaux_tc"


def _flag(config: Mapping[str, Any], name: str, member: str, defects: FileFindings) -> bool:
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        at = member + name
        message = f"{at} is neither true nor false"
        defects.add("architecture-value", message, at=at, actual=_shown(value))
    return value is True


def _check_together(sizes: Mapping[str, int], member: str, defects: FileFindings) -> None:
    """Bounds that need more than one member."""
    experts, layers = sizes["n_routed_experts"], sizes["num_hidden_layers"]
    if experts and not sizes["moe_intermediate_size"]:
        at = f"{member}moe_intermediate_size"
        message = f"{at} is missing, though there are experts"
        defects.add("architecture-member-missing", message, at=at)
    if experts * layers > EXPERTS_MOST:
        defects.add(
            "architecture-absurd",
            f"no model has {counted(layers, 'layer')} of {counted(experts, 'expert')}",
            at=f"{member}n_routed_experts",
            expected=f"at most {EXPERTS_MOST:,} experts in all",
            actual=f"{experts * layers:,}",
        )


def _shown(value: object) -> str:
    """A value as in a config, shortened."""
    if value is None or value is _MISSING:
        return "null" if value is None else "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**24:
        return "a number of more than 24 digits"
    return shortened(repr(value) if isinstance(value, str) else str(value))
