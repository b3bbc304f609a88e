"""What a GGUF of architecture deepseek2 has to hold, read from `deepseek2.toml`.

The table says what; this module makes tensors of it: from the sizes of one model to the names
and shapes of all its tensors.
"""

import tomllib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from k2compat.checkpoint.model import Sum, evaluate, parse_sum

_TABLE = Path(__file__).with_name("deepseek2.toml")


@dataclass(frozen=True, slots=True)
class SizeRule:
    """A size that shapes are made of, and where it stands.

    Attributes:
        name: As the shapes in the table call it.
        key: Metadata key, without the architecture in front.
        mla_key: The key that goes before `key` where the file has split MLA tensors.
        least: Smallest value that makes sense.
        most: Largest value; nothing beyond is expanded.
        default: Taken where the key is absent; None where it has to be there.
        per_layer: Whether the value may be an array with a number for each layer.
        config: The same size in the original config, over its members; empty if it has none.
    """

    name: str
    key: str
    most: int
    least: int = 1
    mla_key: str | None = None
    default: int | None = None
    per_layer: bool = False
    config: Sum = ()


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A metadata value that changes no shape.

    Attributes:
        key: Without the architecture in front.
        type: The type it has to have, as `VALUE_TYPES` names it.
        required: Whether llama.cpp refuses a file without it; "moe" if one with experts.
        per_layer: Whether the value may be an array with a number for each layer.
        absent: What llama.cpp takes where the key is absent; None where nothing is known.
        config: Members of the original config that say the same, dots for nested ones.
        times: What the converter multiplies the config's number by.
        names: The config's word → the key's number.
        allowed: The values llama.cpp knows; empty for any.
    """

    key: str
    type: str
    required: bool | Literal["moe"] = False
    per_layer: bool = False
    absent: float | bool | str | None = None
    config: tuple[str, ...] = ()
    times: float = 1.0
    names: Mapping[str, int] = field(default_factory=dict)
    allowed: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """What a key's value has to be beside the sizes.

    Attributes:
        key: Without the architecture in front.
        operator: "equal to", "at most", "at least", "below", "a multiple of", "a divisor of".
        to: The other side.
        when: "split", "joint", "moe", "dense" or "groups" where it holds for such models only.
        absent: The other value that llama.cpp takes where the key is absent; empty if that
            breaks nothing.
    """

    key: str
    operator: str
    to: Sum
    when: str | None = None
    absent: Sum = ()


@dataclass(frozen=True, slots=True)
class TensorRule:
    """A tensor, or one of each layer.

    Attributes:
        name: Without `blk.N.` in front.
        shape: A sum of products of sizes for each dimension, fastest first.
        when: Conditions that must all hold for the layer.
        optional: Whether llama.cpp loads the file without it.
        types: Data types it may have; empty for any.
        usual_types: Data types that converters choose by default; empty for any.
        original: Module of the original model, without `model.layers.N.` in front.
    """

    name: str
    shape: tuple[Sum, ...]
    original: str
    when: frozenset[str] = frozenset()
    optional: bool = False
    types: tuple[str, ...] = ()
    usual_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """The whole table; its members are explained there."""

    architecture: str
    layers_without_query_rank: tuple[int, ...]
    types_without_product: frozenset[str]
    tokenizer_model: str
    pre_tokenizers: Mapping[str, str]
    rope_bases: Mapping[str, float]
    other_architectures: Mapping[str, str]
    sizes: tuple[SizeRule, ...]
    values: tuple[ValueRule, ...]
    relations: tuple[Relation, ...]
    tensors: tuple[TensorRule, ...]
    layer_tensors: tuple[TensorRule, ...]


@dataclass(frozen=True, slots=True)
class GgufLayout:
    """Choices that a converter has, and the sizes do not tell.

    Attributes:
        split_mla: Whether attention has attn_k_b and attn_v_b, or the older attn_kv_b.
        fused_layers: Layers whose experts' gate and up projections are one tensor.
        mtp: Whether the layers for multi-token prediction are in the file.
    """

    split_mla: bool
    fused_layers: Container[int] = ()
    mtp: bool = True


@dataclass(frozen=True, slots=True)
class ExpectedGgufTensor:
    """A tensor that the file of a model with certain sizes has.

    Attributes:
        name: In full, as in the file.
        dimensions: Elements per dimension, fastest first; None where the sizes do not tell.
        layer: Number of the layer; None for a tensor outside the layers.
        rule: Where it comes from.
    """

    name: str
    dimensions: tuple[int | None, ...]
    layer: int | None
    rule: TensorRule

    @property
    def original(self) -> str:
        """Module of the original model that the tensor was made from."""
        module = self.rule.original
        return module if self.layer is None else f"model.layers.{self.layer}.{module}"


@cache
def deepseek2() -> Rules:
    """The table, parsed."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return Rules(
        architecture=table["architecture"],
        layers_without_query_rank=tuple(table["layers_without_query_rank"]),
        types_without_product=frozenset(table["types_without_product"]),
        tokenizer_model=table["tokenizer_model"],
        pre_tokenizers=table["pre_tokenizers"],
        rope_bases=table["rope_bases"],
        other_architectures=table["other_architectures"],
        sizes=tuple(_size_rule(name, entry) for name, entry in table["sizes"].items()),
        values=tuple(map(_value_rule, table["values"])),
        relations=tuple(map(_relation, table["relations"])),
        tensors=tuple(map(_tensor_rule, table["tensors"])),
        layer_tensors=tuple(map(_tensor_rule, table["layer_tensors"])),
    )


def _size_rule(name: str, entry: Mapping[str, Any]) -> SizeRule:
    return SizeRule(**{**entry, "name": name, "config": parse_sum(entry.get("config", ""))})


def _value_rule(entry: Mapping[str, Any]) -> ValueRule:
    lists = {name: tuple(entry.get(name, ())) for name in ("config", "allowed")}
    return ValueRule(**{**entry, **lists})


def _relation(entry: Mapping[str, Any]) -> Relation:
    return Relation(
        key=entry["key"],
        operator=entry["is"],
        to=parse_sum(entry["to"]),
        when=entry.get("when"),
        absent=parse_sum(entry.get("absent", "")),
    )


def _tensor_rule(entry: Mapping[str, Any]) -> TensorRule:
    return TensorRule(
        name=entry["name"],
        shape=tuple(map(parse_sum, entry["shape"])),
        original=entry["original"],
        when=frozenset(entry.get("when", ())),
        optional=entry.get("optional", False),
        types=tuple(entry.get("types", ())),
        usual_types=tuple(entry.get("usual_types", ())),
    )


def config_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """The table's sizes as a config gives them, without those it does not tell.

    Args:
        config: Members of the (text) config. A null is 0: what it counts does not exist.
    """
    members = {
        name: value or 0
        for name, value in config.items()
        if value is None or (isinstance(value, int) and not isinstance(value, bool))
    }
    found = {rule.name: evaluate(rule.config, members) for rule in deepseek2().sizes if rule.config}
    return {name: size for name, size in found.items() if size is not None}


def config_value(rule: ValueRule, config: Mapping[str, Any]) -> float | bool | str | None:
    """What a config says of a metadata value, in the metadata's terms; None where it is silent."""
    for path in rule.config:
        value: Any = config
        for member in path.split("."):
            value = value.get(member) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            # A word that the table does not know cannot be compared.
            return rule.names.get(value) if rule.names else value
        if isinstance(value, int | float):
            return value if rule.times == 1 else value * rule.times
    return None


def expected_gguf_tensors(
    sizes: Mapping[str, int], layout: GgufLayout
) -> Iterator[ExpectedGgufTensor]:
    """Every tensor of a model, one by one.

    Args:
        sizes: Those of the table, "vocabulary" (rows of the embedding) and "head_nope", as far
            as they are known; "layers" always. The caller has held them against their bounds.
        layout: What the sizes do not tell.
    """
    rules = deepseek2()
    for rule in rules.tensors:
        yield _expected(rule, rule.name, sizes, None)
    for layer in range(sizes["layers"]):
        conditions = _conditions(layer, sizes, layout)
        if "mtp" in conditions and not layout.mtp:
            continue
        for rule in rules.layer_tensors:
            if rule.when <= conditions:
                yield _expected(rule, f"blk.{layer}.{rule.name}", sizes, layer)


def _expected(
    rule: TensorRule, name: str, sizes: Mapping[str, int], layer: int | None
) -> ExpectedGgufTensor:
    dimensions = tuple(evaluate(dimension, sizes) for dimension in rule.shape)
    return ExpectedGgufTensor(name, dimensions, layer, rule)


def _conditions(layer: int, sizes: Mapping[str, int], layout: GgufLayout) -> frozenset[str]:
    conditions = {
        "split" if layout.split_mla else "joint",
        "query-rank" if sizes.get("query_rank", 1) else "no-query-rank",
        "dense" if layer < sizes.get("dense_layers", 0) else "moe",
        "fused" if layer in layout.fused_layers else "separate",
    }
    if layer >= sizes["layers"] - sizes.get("mtp_layers", 0):
        conditions.add("mtp")
    return frozenset(conditions)
