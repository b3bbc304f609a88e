"""How a checkpoint's weights are stored: which scheme applies to which module.

    quantization_config ── dialect ──▶ groups (targets, storage), ignored modules

Each program that writes such configs has a dialect in `quantization_configs/`, found by
`quant_method`. A config that no dialect can read gives only a finding: it is not known which
tensors such a checkpoint stores for a quantised module, so they are not judged.

    schemes.toml ──▶ SCHEMES: the tensors of a quantised module, whose shapes are formulas
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from k2compat.checkpoint.model.module_patterns import ModulePatterns, UnknownSettingError
from k2compat.typed_toml import parse_toml

_EXPRESSION: Final = re.compile(r"(?:\s*\w+\s*(?:[*/+](?!\s*$)|$))*")
_FACTOR: Final = re.compile(r"([*/]?)\s*(\w+)")


class _Factor(NamedTuple):
    """A factor of a product.

    Attributes:
        name: A size, or digits.
        divides: Whether the product is divided by it.
    """

    name: str
    divides: bool = False


@cache
def _products(text: str) -> tuple[tuple[_Factor, ...], ...]:
    if _EXPRESSION.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no sum of products of sizes")
    return tuple(
        tuple(_Factor(name, sign == "/") for sign, name in _FACTOR.findall(product))
        for product in text.split("+")
        if product.strip()
    )


def evaluate(expression: str, sizes: Mapping[str, int]) -> int | None:
    """The value of an expression; None where one of its sizes is not known.

    Raises:
        ValueError: The text is no expression.
    """
    total = 0
    for product in _products(expression):
        value = 1
        for name, divides in product:
            size = int(name) if name.isdigit() else sizes.get(name)
            if size is None:
                return None
            value = -(-value // size) if divides else value * size
        total += value
    return total


def shape_of(expressions: Iterable[str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that expressions such as "nh*N + nh*R" or "d0/b0" give.

    Raises:
        KeyError: A size is not known.
    """
    shape = []
    for text in expressions:
        size = evaluate(text, sizes)
        if size is None:
            raise KeyError(text)
        shape.append(size)
    return tuple(shape)


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


MODULE_KINDS: Final = ("projection", "linear", "router")


class Group(msgspec.Struct, frozen=True):
    """Modules that are stored in the same way.

    Attributes:
        storage: Their storage; None for modules that a config excludes by name or type.
        targets: The modules; None for all to which the scheme applies.
    """

    storage: Storage | None
    targets: ModulePatterns | None = None

    def reaches(self, module_kind: str) -> bool:
        """Whether the scheme quantises modules of a kind: "projection", "linear", "router"."""
        if self.storage is None or not self.storage.is_known:
            return module_kind in ("projection", "linear")
        return module_kind in SCHEMES[self.storage.scheme].modules


class Quantization(msgspec.Struct, frozen=True):
    """How weights are stored.

    Attributes:
        name: For messages: "bf16", "fp8", "int4", or the config's own name.
        groups: The first whose targets include a module decides.
        ignore: Modules that are not quantised.
        kv_cache_bits: The bits of an element of the KV cache, if the config gives them.
    """

    name: str
    groups: tuple[Group, ...] = ()
    ignore: ModulePatterns = msgspec.field(default_factory=ModulePatterns)
    kv_cache_bits: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the stored tensors of every quantised module are known."""
        return all(group.storage is None or group.storage.is_known for group in self.groups)

    @property
    def is_plain(self) -> bool:
        """Whether it quantises nothing."""
        return not self.storages

    @property
    def lists(self) -> tuple[ModulePatterns | None, ...]:
        """Every list of modules: those that stay as they are, and each group's targets."""
        return (self.ignore, *(group.targets for group in self.groups))

    @property
    def storages(self) -> tuple[Storage, ...]:
        """Each storage once."""
        found = (group.storage for group in self.groups if group.storage is not None)
        return tuple(dict.fromkeys(found))

    @property
    def bits(self) -> int | None:
        """The bits of a quantised weight of the first group."""
        return self.storages[0].bits if self.storages else None

    @property
    def names_experts(self) -> bool:
        """Whether the experts of a layer may be stored in different ways."""
        return any(one is not None and one.names_experts for one in self.lists)

    @property
    def is_exhausted(self) -> bool:
        """Whether a list took too long to match; later results are then unknown."""
        return any(one is not None and one.is_exhausted for one in self.lists)

    def storage_of(self, module_kind: str, names: Sequence[str]) -> Storage | None:
        """How a module is stored; None where its weight is plain.

        Args:
            module_kind: One of MODULE_KINDS, or "" for modules that are never quantised.
            names: The module's names; one that matches is enough.
        """
        if module_kind not in MODULE_KINDS or any(name in self.ignore for name in names):
            return None
        for group in self.groups:
            if group.reaches(module_kind) and (
                group.targets is None or any(name in group.targets for name in names)
            ):
                return group.storage
        return None

    def is_unsure(self, module_kind: str) -> bool:
        """Whether sources contradict each other about modules of a kind."""
        return any(
            module_kind in SCHEMES[storage.scheme].unsure_modules
            for storage in self.storages
            if storage.is_known
        )


PLAIN: Final = Quantization("bf16")


def unknown_quantization(
    name: str, bits: int | None = None, ignore: ModulePatterns | None = None
) -> Quantization:
    """A quantisation of which only the name is known."""
    groups = (Group(Storage(UNKNOWN, bits=bits)),)
    return Quantization(name, groups, ignore or ModulePatterns())


def labelled(groups: Sequence[Group]) -> str:
    """The name of a quantisation: the labels of its schemes, "mxfp4+fp8"."""
    labels = (group.storage.label for group in groups if group.storage is not None)
    return "+".join(dict.fromkeys(labels))


def whole_number(value: object, least: int = 1, most: int = 1 << 16) -> int | None:
    """A config's value as a whole number within bounds; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if least <= value <= most and value == int(value) else None


def member(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A nested object of a config; {} where there is none."""
    found: object = config
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def required(value: int | None, what: str) -> int:
    """A number that the dialect requires.

    Raises:
        UnknownSettingError: There is none.
    """
    if value is None:
        raise UnknownSettingError(what)
    return value
