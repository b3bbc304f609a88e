"""The rules of `tensor_rules.toml` as values."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple


class SizeRule(NamedTuple):
    """Bounds of a config's member; see the table."""

    symbol: str
    least: int
    most: int
    null: bool = False
    default: int | None = None
    alias: str = ""


class TensorRule(NamedTuple):
    """One entry of the table.

    Attributes:
        where: "outside", "layer", "mtp", "vision" or "vision_layer".
        name: What follows the place's prefix, with {e} for an expert's number.
        shape: Expressions over sizes.
        part: What a person calls it.
        module: "projection", "linear" or "": whether a scheme may quantise it.
        role: A key of ROLES.
        when: Traits that must all hold.
        kind: "required", "optional" or "legacy".
    """

    where: str
    name: str
    shape: tuple[str, ...]
    part: str
    module: str = ""
    role: str = "plain"
    when: frozenset[str] = frozenset()
    kind: str = "required"


class Role(NamedTuple):
    """Dtypes that are right, and those that load but have lost precision."""

    dtypes: tuple[str, ...]
    weaker: tuple[str, ...] = ()


class StoredTensor(NamedTuple):
    """One of the tensors that stand for a quantised weight; see `[scheme]` in the table."""

    suffix: str
    shape: tuple[str, ...]
    dtypes: tuple[str, ...]
    scale: bool = False


class Scheme(NamedTuple):
    """How quantised modules are stored, and which modules can be."""

    modules: tuple[str, ...]
    tensors: tuple[StoredTensor, ...]


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def _read() -> Mapping[str, Any]:
    text = Path(__file__).with_name("tensor_rules.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


_TABLE = _read()

SIZES: Final[Mapping[str, SizeRule]] = {
    name: SizeRule(**entry) for name, entry in _TABLE["size"].items()
}
VISION_SIZES: Final[Mapping[str, SizeRule]] = {
    name: SizeRule(**entry) for name, entry in _TABLE["vision_size"].items()
}
ROLES: Final[Mapping[str, Role]] = {
    name: Role(**_tuples(entry)) for name, entry in _TABLE["role"].items()
}
SCHEMES: Final[Mapping[str, Scheme]] = {
    name: Scheme(
        modules=tuple(entry["modules"]),
        tensors=tuple(StoredTensor(**_tuples(tensor)) for tensor in entry["tensors"]),
    )
    for name, entry in _TABLE["scheme"].items()
}
TENSORS: Final[tuple[TensorRule, ...]] = tuple(
    TensorRule(**{**_tuples(entry), "when": frozenset(entry.get("when", ()))})
    for entry in _TABLE["tensor"]
)
