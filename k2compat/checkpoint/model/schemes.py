"""The schemes of `schemes.toml`: which tensors store a quantised module, with shapes and dtypes."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from k2compat.checkpoint.model.shapes import shape_of
from k2compat.typed_toml import parse_toml

UNKNOWN: Final = "unknown"
"""The scheme of modules whose tensors are not known."""

WHOLE_ROW: Final = 1 << 62
"""The size of a group or block that is longer than any row: one scale for the whole row."""


class StoredTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of a quantised module, as the table has it; the fields are described there."""

    suffix: str
    shape: tuple[str, ...]
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[str, ...], ...] = ()
    scale: bool = False
    when: frozenset[str] = frozenset()
    uniform: bool = False


class Scheme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scheme, as the table has it; the fields are described there."""

    title: str
    label: str
    program: str
    told_by: str
    modules: tuple[str, ...]
    source: str
    tensors: tuple[StoredTensor, ...]
    unsure_modules: tuple[str, ...] = ()
    bits: int | None = None
    sizes: dict[str, int] = {}
    unsure: str = ""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    scheme: dict[str, Scheme]


class _Schemes(Mapping[str, Scheme]):
    """The schemes of `schemes.toml`, each read when it is first used.

    One checkpoint has one or two of them. Python parses the whole table in 11 ms, a tenth of the
    processor time of a `launch`.
    """

    _PATH: Final = Path(__file__).with_name("schemes.toml")
    _BEGIN: Final = re.compile(r"^(?=\[scheme\.([\w-]+)\])", re.MULTILINE)

    def __init__(self) -> None:
        self._read: dict[str, Scheme] = {}

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        _, *parts = self._BEGIN.split(self._PATH.read_text("utf-8"))
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def __getitem__(self, name: str) -> Scheme:
        """A scheme.

        Raises:
            KeyError: There is none of this name.
            ValueError: The table has a mistake.
        """
        if name not in self._read:
            self._read[name] = parse_toml(self._texts[name], _Table, self._PATH).scheme[name]
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


SCHEMES: Final[Mapping[str, Scheme]] = _Schemes()
"""Every scheme, by its key in the table."""


class Storage(NamedTuple):
    """How the modules of one group of a config are stored.

    Attributes:
        scheme: A key of SCHEMES, or UNKNOWN.
        sizes: Pairs of a size's name and value, for the scheme's shapes.
        traits: The settings that `when` of the scheme's tensors needs.
        bits: The bits of one weight; None where the config does not give them.
    """

    scheme: str
    sizes: tuple[tuple[str, int], ...] = ()
    traits: frozenset[str] = frozenset()
    bits: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the tensors of a module are known."""
        return self.scheme != UNKNOWN

    @property
    def title(self) -> str:
        """The scheme and the programs that write it; of a known scheme."""
        return f"{SCHEMES[self.scheme].title} of {SCHEMES[self.scheme].program}"

    @property
    def label(self) -> str:
        """The scheme's short name, as "int4"."""
        return SCHEMES[self.scheme].label.format(bits=self.bits) if self.is_known else UNKNOWN


class ModuleTensor(NamedTuple):
    """One tensor of a module whose sizes are known.

    Attributes:
        suffix: Follows the module's name and a dot.
        shapes: Each is right, the usual one first.
        dtypes: Each is right, the usual one first.
        is_scale: Whether it describes another tensor.
        is_uniform: Whether all modules of a kind have it, or none of them.
        elements: Of the usual shape.
        parameters: The model's own parameters in it.
    """

    suffix: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    is_scale: bool
    is_uniform: bool
    elements: int
    parameters: int


def storage(
    scheme: str,
    sizes: Mapping[str, int] | None = None,
    traits: frozenset[str] = frozenset(),
    bits: int | None = None,
) -> Storage:
    """A storage by a scheme of the table, which gives the missing sizes and bits."""
    known = SCHEMES[scheme]
    values = {**known.sizes, **(sizes or {})}
    if bits is not None and "bits" in known.sizes:
        values["bits"] = bits
    own_bits = values.get("bits", known.bits if bits is None else bits)
    return Storage(scheme, tuple(sorted(values.items())), traits, own_bits)


@lru_cache(maxsize=4096)
def module_tensors(stored: Storage, rows: int, columns: int) -> tuple[ModuleTensor, ...]:
    """The tensors of a module.

    Args:
        stored: A storage of a known scheme.
        rows: Outputs of the module, the first dimension of its plain weight.
        columns: Its inputs.
    """
    sizes = {"d0": rows, "d1": columns, **dict(stored.sizes)}
    made = []
    for tensor in SCHEMES[stored.scheme].tensors:
        if tensor.when <= stored.traits:
            shapes = tuple(shape_of(shape, sizes) for shape in (tensor.shape, *tensor.shapes))
            made.append(
                ModuleTensor(
                    tensor.suffix,
                    shapes,
                    tensor.dtypes,
                    tensor.scale,
                    tensor.uniform,
                    prod(shapes[0]),
                    0 if tensor.scale else rows * columns,
                )
            )
    return tuple(made)
