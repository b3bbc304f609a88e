"""The rules of `tensor_rules.toml` as typed values; the table explains them.

An unknown key, or a value of another kind, is refused with its place.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from k2compat.typed_toml import read_toml


class SizeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of a config's member."""

    symbol: str
    least: int
    most: int
    null: bool = False
    default: int | None = None
    alias: str = ""


class TensorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor, or one of each layer or expert.

    Attributes:
        where: The block of the tensor.
        name: The name after the block's prefix, with {e} for an expert's number.
        shape: Expressions over sizes, see `shapes`.
        part: The word for such tensors in messages.
        module: Whether a scheme may quantise it.
        role: A key of `[role]`.
        when: Traits that must all hold.
        kind: Whether a checkpoint may lack it.
        shapes: Further shapes that are right.
    """

    where: Literal["outside", "layer", "mtp", "vision", "vision_layer"]
    name: str
    shape: tuple[str, ...]
    part: str
    module: Literal["projection", "linear", "router", ""] = ""
    role: str = "plain"
    when: frozenset[str] = frozenset()
    kind: Literal["required", "optional", "legacy", "uniform"] = "required"
    shapes: tuple[tuple[str, ...], ...] = ()


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Right dtypes, and dtypes that load but have lost precision."""

    dtypes: tuple[str, ...]
    weaker: tuple[str, ...] = ()


class TensorRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    size: dict[str, SizeRule]
    vision_size: dict[str, SizeRule]
    role: dict[str, Role]
    tensor: tuple[TensorRule, ...]


_TABLE: Final = read_toml(Path(__file__).with_name("tensor_rules.toml"), TensorRules)

SIZES: Final = _TABLE.size
VISION_SIZES: Final = _TABLE.vision_size
ROLES: Final = _TABLE.role
TENSORS: Final = _TABLE.tensor
