"""The tensors that a checkpoint of some architecture should hold.

    config ── architecture ──▶ sizes, traits, quantization ──┐
    tensor_rules.toml ───────────────────────────────────────┴──▶ blocks ──▶ tensors

A block is what shares a prefix: a layer, or what lies outside all layers. Layers alike share
one table of their tensors, so that Kimi-K2's 139,644 are held as two tables of 15 and 2,327.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from k2compat.checkpoint.model.architecture import Architecture, demand_architecture
from k2compat.checkpoint.model.parameters import model_elements
from k2compat.checkpoint.model.quantization import Quantization
from k2compat.checkpoint.model.rules import ROLES, SCHEMES, TENSORS, TensorRule
from k2compat.checkpoint.model.shapes import shape_of

VISION_LAYERS = "vision_tower.encoder.blocks."
TEXT_LAYERS = "model.layers."

VISION = "vision"
MTP = "mtp"

_WEIGHT = ".weight"
_EXPERT = "{e}"


class Kind(NamedTuple):
    """What tensors of one rule have in common.

    Attributes:
        part: What a person calls them: "expert", "attention", …
        necessity: "required", "optional" (tied embeddings), "legacy" (loaders skip them),
            "vision" or "mtp" (all of them or none).
        shape: Slowest dimension first; None where it is not known (an unknown quantisation).
        dtypes: Each is right; empty where it is not known.
        weaker: Dtypes that load, but have lost precision.
        is_quantised: Whether the quantisation decides its dtype.
        is_scale: Whether it describes another tensor: FP8's and INT4's scales.
        elements: Number of elements.
        model_elements: The model's own parameters in them.
    """

    part: str
    necessity: str
    shape: tuple[int, ...] | None
    dtypes: tuple[str, ...]
    weaker: tuple[str, ...] = ()
    is_quantised: bool = False
    is_scale: bool = False
    elements: int = 0
    model_elements: int = 0


class ExpectedTensor(NamedTuple):
    """One tensor that a checkpoint holds, or may hold.

    Attributes:
        name: Whole, as in the safetensors header.
        shape: Elements per dimension, slowest first; None where it is not known.
        dtypes: The dtypes it may have, the usual one first; empty where it is not known.
        kind: "required", "optional", "legacy", "vision" or "mtp".
    """

    name: str
    shape: tuple[int, ...] | None
    dtypes: tuple[str, ...]
    kind: str

    @property
    def elements(self) -> int:
        """Number of elements; 0 where the shape is not known."""
        return 0 if self.shape is None else prod(self.shape)


class Block(NamedTuple):
    """The tensors that share a prefix.

    Attributes:
        prefix: What ends in a layer's number and a dot; "" outside any layer.
        layer: The number; None outside any layer.
        kinds: What follows the prefix, and what such a tensor is like. Shared by layers alike.
            Where a quantisation is unknown, a quantised module's own name stands for all the
            tensors that it may have.
    """

    prefix: str
    layer: int | None
    kinds: Mapping[str, Kind]


def expected_tensors(config: Mapping[str, Any] | Architecture) -> Iterator[ExpectedTensor]:
    """The tensors of a checkpoint, one after the other, layer by layer.

    Nothing is held but the tables of two kinds of layers, however many layers there are.

    Args:
        config: The members of a config.json, or an architecture read from one.

    Yields:
        Every tensor, legacy and optional ones included. For modules with an unknown
        quantisation the module itself, with no shape.

    Raises:
        RefusedError: The config describes no architecture of the family, or an absurd one;
            see `demand_architecture`.
    """
    architecture = config if isinstance(config, Architecture) else demand_architecture(config)
    return (
        ExpectedTensor(block.prefix + name, kind.shape, kind.dtypes, kind.necessity)
        for block in expected_blocks(architecture)
        for name, kind in block.kinds.items()
    )


def expected_blocks(architecture: Architecture) -> Iterator[Block]:
    """The same, a block at a time: what is outside layers, layers, MTP layers, vision's layers."""
    prefix = architecture.prefix
    text = _kinds(architecture, "outside", prefix)
    outside = {prefix + name: kind for name, kind in text.items()}
    if architecture.has_vision:
        outside |= _kinds(architecture, "vision", "", VISION)
    yield Block("", None, outside)
    shared: dict[object, Mapping[str, Kind]] = {}
    for layer in range(architecture.layers + architecture.mtp_layers):
        layer_prefix = f"{prefix}{TEXT_LAYERS}{layer}."
        is_mtp = layer >= architecture.layers
        style = (
            "moe" if architecture.experts and (is_mtp or architecture.is_moe(layer)) else "dense"
        )
        places = ["layer", "mtp"] if is_mtp else ["layer"]
        rules = _rules(architecture, places, style)
        # Patterns of `ignore` may treat layers differently.
        covered = tuple(_is_covered(architecture, rule, layer_prefix) for rule in rules)
        alike = (style, is_mtp, covered)
        if alike not in shared:
            necessity = MTP if is_mtp else None
            shared[alike] = dict(_expand(architecture, rules, covered, necessity))
        yield Block(layer_prefix, layer, shared[alike])
    if architecture.has_vision:
        vision = _kinds(architecture, "vision_layer", "", VISION)
        for layer in range(architecture.sizes["vt_num_hidden_layers"]):
            yield Block(f"{VISION_LAYERS}{layer}.", layer, vision)


def _kinds(
    architecture: Architecture, place: str, prefix: str, necessity: str | None = None
) -> dict[str, Kind]:
    rules = _rules(architecture, [place], "")
    covered = tuple(_is_covered(architecture, rule, prefix) for rule in rules)
    return dict(_expand(architecture, rules, covered, necessity))


def _rules(architecture: Architecture, places: list[str], style: str) -> list[TensorRule]:
    traits = architecture.traits | {style}
    return [rule for rule in TENSORS if rule.where in places and rule.when <= traits]


def _is_covered(architecture: Architecture, rule: TensorRule, prefix: str) -> bool:
    """Whether the quantisation reaches a module; all experts of a layer are alike.

    Ignored modules are named with and without the wrapper's prefix.
    """
    if not rule.module:
        return False
    name = prefix + rule.name.removesuffix(_WEIGHT).replace(_EXPERT, "0")
    names = (name, name.removeprefix(architecture.prefix))
    return architecture.quantization.covers(rule.module, names)


def _expand(
    architecture: Architecture,
    rules: Iterable[TensorRule],
    covered: Iterable[bool],
    necessity: str | None,
) -> Iterator[tuple[str, Kind]]:
    for rule, is_covered in zip(rules, covered, strict=True):
        stored = list(_stored(architecture, rule, is_covered, necessity))
        if _EXPERT not in rule.name:
            yield from stored
            continue
        for expert in range(architecture.experts):
            for name, kind in stored:
                yield name.replace(_EXPERT, str(expert)), kind


def _stored(
    architecture: Architecture, rule: TensorRule, is_covered: bool, necessity: str | None
) -> Iterator[tuple[str, Kind]]:
    """The tensors that stand for a rule's one."""
    shape = shape_of(rule.shape, architecture.sizes)
    needed = rule.kind if necessity is None or rule.kind == "legacy" else necessity
    if not is_covered:
        role = ROLES[rule.role]
        is_quantised = rule.module == "projection"
        yield (
            rule.name,
            Kind(
                rule.part,
                needed,
                shape,
                role.dtypes,
                role.weaker,
                is_quantised=is_quantised,
                elements=prod(shape),
                model_elements=model_elements(rule.name, role.dtypes[0], prod(shape), None),
            ),
        )
        return
    module = rule.name.removesuffix(_WEIGHT)
    if not architecture.quantization.is_known:
        yield module, Kind(rule.part, needed, None, (), is_quantised=True)
        return
    yield from _quantised(architecture.quantization, rule.part, module, shape, needed)


def _quantised(
    quantization: Quantization, part: str, module: str, shape: tuple[int, ...], needed: str
) -> Iterator[tuple[str, Kind]]:
    sizes = {"d0": shape[0], "d1": shape[1], **quantization.sizes}
    for tensor in SCHEMES[quantization.scheme].tensors:
        stored = shape_of(tensor.shape, sizes)
        yield (
            f"{module}.{tensor.suffix}",
            Kind(
                part,
                needed,
                stored,
                tensor.dtypes,
                is_quantised=True,
                is_scale=tensor.scale,
                elements=prod(stored),
                model_elements=model_elements(
                    tensor.suffix, tensor.dtypes[0], prod(stored), quantization.bits
                ),
            ),
        )
