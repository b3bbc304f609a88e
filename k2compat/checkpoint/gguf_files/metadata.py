"""Reading of the sizes of a deepseek2 GGUF from its metadata, with llama.cpp's refusals.

A file is untrusted: each number is compared with the bounds of `deepseek2.toml` before it is
used. A block_count of four billion costs no more than one of 61.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from k2compat.checkpoint.gguf_files.arrays import GgufArray, GgufValue
from k2compat.checkpoint.gguf_files.rules import Relation, SizeRule, ValueRule, deepseek2
from k2compat.checkpoint.model import evaluate
from k2compat.checkpoint.reporting import FileFindings
from k2compat.printable import shortened

PER_LAYER_TYPES = ("uint32", "int32")
"""Of arrays with a number for each layer."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one model, with the type of each value.

    Attributes:
        values: Key → value.
        types: Key → name of the value's type.
    """

    values: Mapping[str, GgufValue]
    types: Mapping[str, str]

    def of(self, key: str) -> "GgufValue | None":
        """The value of one of the architecture's own keys; None where it is absent."""
        return self.values.get(full_key(key))

    def number(self, key: str) -> int | float | None:
        """The number at a key, or the first one of an array; None where there is none."""
        value = self.of(key)
        if isinstance(value, GgufArray):
            value = next(iter(value), None)
        return value if isinstance(value, int | float) else None


def full_key(key: str) -> str:
    """A key of the table, in the form of the file."""
    return f"{deepseek2().architecture}.{key}"


def has_split_mla(metadata: Metadata) -> bool:
    """Whether llama.cpp will look for split MLA tensors, which only the _mla keys decide."""
    keys = [rule.mla_key for rule in deepseek2().sizes if rule.mla_key]
    return any(metadata.number(key) for key in keys)


def read_sizes(metadata: Metadata, defects: FileFindings, *, split_mla: bool) -> dict[str, int]:
    """The model's sizes by the names of the table, without those that are unusable.

    Args:
        metadata: The metadata of the model's first file.
        defects: Takes findings on missing keys, wrong types and values out of bounds.
        split_mla: Whether the _mla keys hold the sizes of heads.
    """
    sizes: dict[str, int] = {}
    for rule in deepseek2().sizes:
        size = _read_size(metadata, rule, sizes, defects, split_mla=split_mla)
        if size is not None:
            sizes[rule.name] = size
    if "head_key" in sizes and "rope" in sizes:
        sizes["head_nope"] = sizes["head_key"] - sizes["rope"]
    return sizes


def check_values(
    metadata: Metadata, sizes: Mapping[str, int], defects: FileFindings, *, split_mla: bool
) -> None:
    """Find faults of values that change no shape, and contradictions between values."""
    has = {
        "split": split_mla,
        "joint": not split_mla,
        "moe": bool(sizes.get("experts")),
        "dense": sizes.get("experts") == 0,
        "groups": sizes.get("expert_groups", 0) > 1,
    }
    for rule in deepseek2().values:
        required = rule.required is True or has.get(str(rule.required), False)
        _check_value(metadata, rule, defects, required=required)
    for relation in deepseek2().relations:
        if relation.when is None or has[relation.when]:
            _check_relation(metadata, relation, sizes, defects)


def _read_size(
    metadata: Metadata,
    rule: SizeRule,
    sizes: Mapping[str, int],
    defects: FileFindings,
    *,
    split_mla: bool,
) -> int | None:
    key = rule.mla_key if rule.mla_key and split_mla else rule.key
    if metadata.of(key) is None:
        if rule.default is not None:
            return rule.default
        if _may_lack(rule, sizes):
            return 0
        _missing(key, defects)
        return None
    if not _has_type(metadata, key, "uint32", defects, per_layer=rule.per_layer):
        return None
    size = metadata.number(key)
    if not isinstance(size, int):
        return None  # an array without elements; for `_has_type` it is one of no layers
    if not rule.least <= size <= rule.most:
        defects.add(
            "gguf-key-bounds",
            "the value is beyond what any model has",
            at=f"key {full_key(key)}",
            expected=f"{rule.least:,} to {rule.most:,}",
            actual=f"{size:,}",
        )
        return None
    return size


def _may_lack(rule: SizeRule, sizes: Mapping[str, int]) -> bool:
    return (
        rule.name == "query_rank" and sizes.get("layers") in deepseek2().layers_without_query_rank
    )


def _check_value(
    metadata: Metadata, rule: ValueRule, defects: FileFindings, *, required: bool
) -> None:
    value = metadata.of(rule.key)
    if value is None:
        if required:
            _missing(rule.key, defects)
        return
    if not _has_type(metadata, rule.key, rule.type, defects, per_layer=rule.per_layer):
        return
    unknown = bool(rule.allowed) and value not in rule.allowed
    if unknown or (isinstance(value, float) and not isfinite(value)):
        defects.add(
            "gguf-key-bounds",
            "the value is none that llama.cpp knows",
            at=f"key {full_key(rule.key)}",
            expected=", ".join(map(str, rule.allowed)) or "a finite number",
            actual=value,
        )


def _has_type(
    metadata: Metadata, key: str, value_type: str, defects: FileFindings, *, per_layer: bool
) -> bool:
    """Whether llama.cpp can read the value, which it takes in one type only."""
    full = full_key(key)
    value, actual = metadata.values[full], metadata.types[full]
    if isinstance(value, GgufArray):
        actual = f"array of {value.count:,} {value.element_type}"
        layers = metadata.of("block_count")
        if per_layer and value.element_type in PER_LAYER_TYPES and value.count == layers:
            return True
    elif actual == value_type:
        return True
    defects.add(
        "gguf-key-type",
        "the value has a type that llama.cpp does not take",
        at=f"key {full}",
        expected=f"{value_type}, or an array with one for each layer" if per_layer else value_type,
        actual=actual,
    )
    return False


def _missing(key: str, defects: FileFindings) -> None:
    defects.add("gguf-key-missing", "the key is missing", at=f"key {full_key(key)}")


def _check_relation(
    metadata: Metadata, relation: Relation, sizes: Mapping[str, int], defects: FileFindings
) -> None:
    other = evaluate(relation.to, sizes)
    value = metadata.number(relation.key)
    if value is None and relation.absent:
        value = evaluate(relation.absent, sizes)
    if other is None or value is None or _holds(value, relation.operator, other):
        return
    names = relation.to
    meant = "" if names.isdigit() else f" ({names})"
    shown = "absent" if metadata.of(relation.key) is None else value
    defects.add(
        "gguf-key-conflict",
        "conflicts with other metadata",
        at=f"key {full_key(relation.key)}",
        expected=f"{relation.operator} {other:,}{shortened(meant)}",
        actual=shown,
    )


def _holds(value: float, operator: str, other: int) -> bool:
    match operator:
        case "equal to":
            return value == other
        case "at most":
            return value <= other
        case "at least":
            return value >= other
        case "below":
            return value < other
        case "a multiple of":
            return value % other == 0
        case "a divisor of":
            return value != 0 and other % value == 0
    raise AssertionError(operator)
