"""The rules for a GGUF of architecture deepseek2, read from `deepseek2.toml`.

From the table and the sizes of one model, this module makes the names and shapes of all its
tensors.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from k2compat.checkpoint.model import evaluate
from k2compat.typed_toml import read_toml

_TABLE = Path(__file__).with_name("deepseek2.toml")


class SizeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A size that is used in shapes, and its place in the metadata.

    Attributes:
        name: Its name in the shapes of the table: the key of its entry.
        key: Metadata key, without the architecture in front.
        mla_key: The key that goes before `key` where the file has split MLA tensors.
        least: Smallest value that makes sense.
        most: Largest value; nothing beyond is expanded.
        default: The value where the key is absent; None where the key is required.
        per_layer: Whether the value may be an array with a number for each layer.
        config: The same size in the original config, as an expression over its members; empty if
            it has none.
    """

    name: str = ""
    key: str
    most: int
    least: int = 1
    mla_key: str | None = None
    default: int | None = None
    per_layer: bool = False
    config: str = ""


class ValueRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metadata value that changes no shape.

    Attributes:
        key: Without the architecture in front.
        type: The required type, by its name in `VALUE_TYPES`.
        required: Whether llama.cpp refuses a file without it; "moe" if one with experts.
        per_layer: Whether the value may be an array with a number for each layer.
        absent: The value that llama.cpp uses where the key is absent; None where it is not known.
        config: Members of the original config with the same meaning, dots for nested ones.
        times: What the converter multiplies the config's number by.
        names: The config's word → the key's number.
        allowed: The values llama.cpp knows; empty for any.
    """

    key: str
    type: str
    required: bool | Literal["moe"] = False
    per_layer: bool = False
    absent: int | float | bool | str | None = None
    config: tuple[str, ...] = ()
    times: float = 1.0
    names: dict[str, int] = {}
    allowed: tuple[int | str, ...] = ()


class Relation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A required relation between a key's value and the sizes.

    Attributes:
        key: Without the architecture in front.
        operator: How the two sides compare.
        to: The other side, an expression over sizes.
        when: The kind of model to which it applies; None for every one.
        absent: The other value that llama.cpp uses where the key is absent; empty if that does no
            harm.
    """

    key: str
    operator: Literal[
        "equal to", "at most", "at least", "below", "a multiple of", "a divisor of"
    ] = msgspec.field(name="is")
    to: str
    when: Literal["split", "joint", "moe", "dense", "groups"] | None = None
    absent: str = ""


class TensorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor, or one of each layer.

    Attributes:
        name: Without `blk.N.` in front.
        shape: An expression over sizes for each dimension, fastest first.
        when: Conditions that must all hold for the layer.
        optional: Whether llama.cpp loads the file without it.
        types: Data types it may have; empty for any.
        usual_types: Data types that converters choose by default; empty for any.
        original: Module of the original model, without `model.layers.N.` in front.
    """

    name: str
    shape: tuple[str, ...]
    original: str
    when: frozenset[str] = frozenset()
    optional: bool = False
    types: tuple[str, ...] = ()
    usual_types: tuple[str, ...] = ()


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table, which explains its members."""

    architecture: str
    layers_without_query_rank: tuple[int, ...]
    types_without_product: frozenset[str]
    tokenizer_model: str
    pre_tokenizers: dict[str, str]
    rope_bases: dict[str, float]
    other_architectures: dict[str, str]
    size_rules: dict[str, SizeRule] = msgspec.field(name="sizes")
    values: tuple[ValueRule, ...]
    relations: tuple[Relation, ...]
    tensors: tuple[TensorRule, ...]
    layer_tensors: tuple[TensorRule, ...]

    @property
    def sizes(self) -> tuple[SizeRule, ...]:
        """The sizes in the table's order."""
        return tuple(self.size_rules.values())


@dataclass(frozen=True, slots=True)
class GgufLayout:
    """Choices of a converter that do not follow from the sizes.

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
        dimensions: Elements per dimension, fastest first; None where the sizes do not give it.
        layer: Number of the layer; None for a tensor outside the layers.
        rule: Its rule.
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
    table = read_toml(_TABLE, Rules)
    named = {
        name: msgspec.structs.replace(rule, name=name) for name, rule in table.size_rules.items()
    }
    return msgspec.structs.replace(table, size_rules=named)


def config_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """The table's sizes that a config gives.

    Args:
        config: Members of the (text) config. A null counts as 0.
    """
    members = {
        name: value or 0
        for name, value in config.items()
        if value is None or (isinstance(value, int) and not isinstance(value, bool))
    }
    found = {rule.name: evaluate(rule.config, members) for rule in deepseek2().sizes if rule.config}
    return {name: size for name, size in found.items() if size is not None}


def config_value(rule: ValueRule, config: Mapping[str, Any]) -> float | bool | str | None:
    """The value of a metadata key that follows from a config; None where the config has none."""
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
            as they are known; "layers" always. The caller has checked their bounds.
        layout: The choices that do not follow from the sizes.
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
