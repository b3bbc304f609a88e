"""The tensors that a checkpoint of some architecture should hold.

    config ── architecture ──▶ sizes, traits, quantization ──┐
    tensor_rules.toml ───────────────────────────────────────┴──▶ blocks ──▶ tensors

A block has the tensors with one prefix: those of a layer, or those outside all layers. Equal
layers share one table, so that Kimi-K2's 139,644 tensors need two tables of 15 and 2,327 rows.

How many of the model's own parameters a stored tensor holds is counted here, too: scales, zero
points and buffers hold none, and a packed tensor holds several in each element.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import prod
from typing import Any, Final, NamedTuple

from k2compat.checkpoint.model.architecture import Architecture, demand_architecture
from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.model.quantization import Storage, module_tensors, shape_of
from k2compat.checkpoint.model.rules import ROLES, TENSORS, TensorRule

VISION_LAYERS = "vision_tower.encoder.blocks."
TEXT_LAYERS = "model.layers."

VISION = "vision"
MTP = "mtp"
PLAIN_WEIGHTS = "plain weights"
"""The storage of tensors that no scheme stores."""

_REQUIRED = "required"
_SPECIAL = ("legacy", "uniform")
_WEIGHT = ".weight"
_EXPERT = "{e}"


class Module(NamedTuple):
    """A module that a scheme may quantise.

    Attributes:
        kind: "projection", "linear" or "router".
        shape: Rows and columns of its plain weight.
        storage: The storage of the config; None for a plain weight.
    """

    kind: str
    shape: tuple[int, ...]
    storage: Storage | None


class Kind(NamedTuple):
    """Common properties of the tensors of one rule.

    Attributes:
        part: Their name in messages: "expert", "attention", …
        necessity: "required", "optional" (tied embeddings), "legacy" (loaders skip them),
            "vision" or "mtp" (all of them or none), "uniform" (all of one kind or none).
        shape: Slowest dimension first; None where it is not known (an unknown quantisation).
        dtypes: Each is right; empty where it is not known.
        weaker: Dtypes that load, but have lost precision.
        is_scale: Whether it describes another tensor: FP8's and INT4's scales.
        elements: Number of elements.
        model_elements: The model's own parameters in them.
        other_shapes: Further shapes that are right.
        module: The module whose tensor it is; None where no scheme may quantise it.
        bytes: The bytes of its data in the usual shape and dtype.
        stored_as: The scheme and its programs, or "plain weights"; "" where it is not known.
    """

    part: str
    necessity: str
    shape: tuple[int, ...] | None
    dtypes: tuple[str, ...]
    weaker: tuple[str, ...] = ()
    is_scale: bool = False
    elements: int = 0
    model_elements: int = 0
    other_shapes: tuple[tuple[int, ...], ...] = ()
    module: Module | None = None
    bytes: int = 0
    stored_as: str = ""


class ExpectedTensor(NamedTuple):
    """One tensor that a checkpoint holds, or may hold.

    Attributes:
        name: Whole, as in the safetensors header.
        shape: Elements per dimension, slowest first; None where it is not known.
        dtypes: The dtypes it may have, the usual one first; empty where it is not known.
        kind: "required", "optional", "legacy", "uniform", "vision" or "mtp".
    """

    name: str
    shape: tuple[int, ...] | None
    dtypes: tuple[str, ...]
    kind: str

    @property
    def is_usual(self) -> bool:
        """Whether today's programs store it, in a checkpoint that these rules describe."""
        return self.kind not in _SPECIAL

    @property
    def elements(self) -> int:
        """Number of elements; 0 where the shape is not known."""
        return 0 if self.shape is None else prod(self.shape)


class Block(NamedTuple):
    """The tensors that share a prefix.

    Attributes:
        prefix: The common prefix, which ends in a layer's number and a dot; "" outside any layer.
        layer: The number; None outside any layer.
        kinds: The names after the prefix, each with its kind. Equal layers share this table.
            Where a quantisation is unknown, a quantised module's own name represents all
            tensors that it may have.
    """

    prefix: str
    layer: int | None
    kinds: Mapping[str, Kind]


def expected_tensors(config: Mapping[str, Any] | Architecture) -> Iterator[ExpectedTensor]:
    """The tensors of a checkpoint, one after the other, layer by layer.

    Only the tables of two kinds of layers are kept, for any number of layers.

    Args:
        config: The members of a config.json, or an architecture read from one.

    Yields:
        Every tensor, legacy, optional and uniform ones included. For modules with an unknown
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
    """The same by blocks: outside of layers, layers, MTP layers, layers of the vision tower."""
    prefix = architecture.prefix
    outside: dict[str, Kind] = {}
    if "draft" not in architecture.traits:
        text = _kinds(architecture, "outside", prefix)
        outside = {prefix + name: kind for name, kind in text.items()}
    if architecture.has_vision:
        outside |= _kinds(architecture, "vision", "", VISION)
    yield Block("", None, outside)
    shared: dict[object, Mapping[str, Kind]] = {}
    first = architecture.layers if "draft" in architecture.traits else 0
    for layer in range(first, architecture.layers + architecture.mtp_layers):
        layer_prefix = f"{prefix}{TEXT_LAYERS}{layer}."
        is_mtp = layer >= architecture.layers
        style = (
            "moe" if architecture.experts and (is_mtp or architecture.is_moe(layer)) else "dense"
        )
        places = ["layer", "mtp"] if is_mtp else ["layer"]
        rules = _rules(architecture, places, style)
        # Patterns of the config may treat layers, and experts, differently.
        storages = tuple(_storages(architecture, rule, layer_prefix) for rule in rules)
        alike = (style, is_mtp, storages)
        if alike not in shared:
            necessity = MTP if is_mtp else None
            shared[alike] = dict(_expand(architecture, rules, storages, necessity))
        yield Block(layer_prefix, layer, shared[alike])
    if architecture.has_vision:
        vision = _kinds(architecture, "vision_layer", "", VISION)
        for layer in range(architecture.vision_layers):
            yield Block(f"{VISION_LAYERS}{layer}.", layer, vision)


def _kinds(
    architecture: Architecture, place: str, prefix: str, necessity: str | None = None
) -> dict[str, Kind]:
    rules = _rules(architecture, [place], "")
    storages = tuple(_storages(architecture, rule, prefix) for rule in rules)
    return dict(_expand(architecture, rules, storages, necessity))


def _rules(architecture: Architecture, places: list[str], style: str) -> list[TensorRule]:
    traits = architecture.traits | {style}
    return [rule for rule in TENSORS if rule.where in places and rule.when <= traits]


def _storages(
    architecture: Architecture, rule: TensorRule, prefix: str
) -> tuple[Storage | None, ...]:
    """The storage of a rule's module; one for each expert where experts may differ."""
    if not rule.module:
        return (None,)
    module = rule.name.removesuffix(_WEIGHT)
    is_expert = _EXPERT in module
    experts = range(architecture.experts if is_expert and architecture.names_experts else 1)
    return tuple(
        architecture.quantization.storage_of(
            rule.module,
            architecture.pattern_names(prefix + module.replace(_EXPERT, str(expert))),
        )
        for expert in experts
    )


def _expand(
    architecture: Architecture,
    rules: Iterable[TensorRule],
    storages: Iterable[tuple[Storage | None, ...]],
    necessity: str | None,
) -> Iterator[tuple[str, Kind]]:
    for rule, stored_as in zip(rules, storages, strict=True):
        made = {
            stored: list(_stored(architecture, rule, stored, necessity))
            for stored in dict.fromkeys(stored_as)
        }
        if _EXPERT not in rule.name:
            yield from made[stored_as[0]]
            continue
        for expert in range(architecture.experts):
            for name, kind in made[stored_as[expert % len(stored_as)]]:
                yield name.replace(_EXPERT, str(expert)), kind


def _stored(
    architecture: Architecture, rule: TensorRule, stored: Storage | None, necessity: str | None
) -> Iterator[tuple[str, Kind]]:
    """The tensors that store the tensor of a rule."""
    shape = shape_of(rule.shape, architecture.sizes)
    needed = rule.kind if necessity is None or rule.kind != _REQUIRED else necessity
    module = Module(rule.module, shape, stored) if rule.module else None
    if stored is None:
        role = ROLES[rule.role]
        yield (
            rule.name,
            Kind(
                rule.part,
                needed,
                shape,
                role.dtypes,
                role.weaker,
                elements=prod(shape),
                model_elements=model_elements(rule.name, role.dtypes[0], prod(shape), None),
                other_shapes=tuple(shape_of(other, architecture.sizes) for other in rule.shapes),
                module=module,
                bytes=_bytes(prod(shape), role.dtypes[0]),
                stored_as=PLAIN_WEIGHTS,
            ),
        )
    elif not stored.is_known:
        yield rule.name.removesuffix(_WEIGHT), Kind(rule.part, needed, None, (), module=module)
    else:
        yield from _quantised(rule, stored, needed, Module(rule.module, shape, stored))


def _quantised(
    rule: TensorRule, stored: Storage, needed: str, module: Module
) -> Iterator[tuple[str, Kind]]:
    rows, columns = module.shape
    for tensor in module_tensors(stored, rows, columns):
        yield (
            f"{rule.name.removesuffix(_WEIGHT)}.{tensor.suffix}",
            Kind(
                rule.part,
                "uniform" if tensor.is_uniform else needed,
                tensor.shapes[0],
                tensor.dtypes,
                is_scale=tensor.is_scale,
                elements=tensor.elements,
                model_elements=tensor.parameters,
                other_shapes=tensor.shapes[1:],
                module=module,
                bytes=_bytes(tensor.elements, tensor.dtypes[0]),
                stored_as=stored.title,
            ),
        )


def _bytes(elements: int, dtype: str) -> int:
    return elements * DTYPE_BITS[dtype] // 8


DEFAULT_BITS: Final = 4
"""The bits of a packed weight whose config gives none; NVFP4 and MXFP4 always have these."""

# Suffixes of compressed-tensors, modelopt, Quark, AWQ, GPTQ, ModelSlim and MLX.
_DESCRIBES: Final = re.compile(
    r"(?:.*_)?(?:scales?|scale_inv|scale_2|scale_second|scale_bias|offset|offset_second"
    r"|zero_point|qzeros|g_idx|biases|quant_bias|weight_shape|inv_freq)"
)
_PACKED: Final = ("weight", "weight_packed", "qweight")
_CONTAINERS: Final = ("U8", "I8", "I32", "U32")


def model_elements(name: str, dtype: str, elements: int, bits: int | None) -> int:
    """The model's parameters in a tensor.

    Args:
        name: The tensor's name, or the part after its layer's prefix.
        dtype: The name of its dtype in safetensors.
        elements: Stored elements.
        bits: The bits of one quantised weight in the config; None where it gives none.
    """
    per_element = _per_element(name.rpartition(".")[2], dtype, bits)
    return elements * per_element


@lru_cache(maxsize=1024)
def _per_element(suffix: str, dtype: str, bits: int | None) -> int:
    if _DESCRIBES.fullmatch(suffix):
        return 0
    if suffix not in _PACKED or dtype not in _CONTAINERS:
        return 1
    # An I8 element is one INT8 weight, unless the config shows that it holds two INT4 weights.
    own = DTYPE_BITS[dtype] if dtype == "I8" else DEFAULT_BITS
    return max(DTYPE_BITS[dtype] // (bits or own), 1)
