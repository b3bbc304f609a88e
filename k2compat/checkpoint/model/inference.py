"""Infer how a module is stored from its tensors: the scheme and sizes that give these shapes."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, combinations, product
from typing import Final, NamedTuple

from k2compat.checkpoint.model.quantization import (
    SCHEMES,
    WHOLE_ROW,
    ModuleTensor,
    Storage,
    module_tensors,
    storage,
)

_WEIGHT: Final = "weight"
_FLOATS: Final = frozenset({"BF16", "F16", "F32"})
_SIZES: Final = {
    "bits": (4, 8, 2, 3, 5, 6, 7, 1),
    "group": (32, 128, 64, 16, 256, WHOLE_ROW),
    "b0": (1, 128, 64, 256, 32),
    "b1": (WHOLE_ROW, 128, 64, 256, 32, 16),
}
"""The values that published checkpoints have."""


class FoundTensor(NamedTuple):
    """A tensor of a module, from a file or from the rule that it fulfils.

    Attributes:
        suffix: Follows the module's name and a dot.
        dtypes: The possible ones; exactly one if it is from a file.
        shapes: The same.
    """

    suffix: str
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


SUFFIXES: Final = frozenset(tensor.suffix for each in SCHEMES.values() for tensor in each.tensors)
"""The suffixes of all tensors that any scheme stores for a module."""


def is_plain(found: frozenset[FoundTensor], rows: int, columns: int) -> bool:
    """Whether the tensors are a plain weight."""
    return len(found) == 1 and all(
        one.suffix == _WEIGHT and (rows, columns) in one.shapes and _FLOATS & {*one.dtypes}
        for one in found
    )


@lru_cache(maxsize=4096)
def infer_storage(
    found: frozenset[FoundTensor], rows: int, columns: int, near: Storage | None = None
) -> Storage | None:
    """The storage that gives exactly these tensors; None where none does.

    Args:
        found: All tensors of the module.
        rows: The rows of the module's plain weight.
        columns: Its columns.
        near: If several storages fit, the nearest to this one is returned.
    """
    return next((one for one in _storages(near) if fits(found, rows, columns, one)), None)


@lru_cache(maxsize=256)
def possible_storages(
    found: frozenset[FoundTensor], rows: int, columns: int
) -> tuple[Storage, ...]:
    """Every storage that gives exactly these tensors, the most usual first."""
    return tuple(one for one in _storages(None) if fits(found, rows, columns, one))


def fits(found: frozenset[FoundTensor], rows: int, columns: int, stored: Storage) -> bool:
    """Whether a storage gives exactly these tensors of a module."""
    by_suffix = {one.suffix: one for one in found}
    tensors = module_tensors(stored, rows, columns)
    required = {tensor.suffix for tensor in tensors if not tensor.is_uniform}
    return required <= by_suffix.keys() <= {tensor.suffix for tensor in tensors} and all(
        _fulfils(by_suffix[tensor.suffix], tensor)
        for tensor in tensors
        if tensor.suffix in by_suffix
    )


def _fulfils(found: FoundTensor, tensor: ModuleTensor) -> bool:
    return bool({*found.dtypes} & {*tensor.dtypes} and {*found.shapes} & {*tensor.shapes})


def _storages(near: Storage | None) -> Iterator[Storage]:
    """Every storage that published checkpoints may have, those near another one first."""
    if near is not None and near.is_known:
        yield near
        own = sorted(_of_scheme(near.scheme), key=lambda one: _distance(one, near))
        yield from own
    for scheme in SCHEMES:
        yield from _of_scheme(scheme)


def _distance(one: Storage, near: Storage) -> int:
    return len({*one.sizes} ^ {*near.sizes}) + len(one.traits ^ near.traits)


@lru_cache(maxsize=64)
def _of_scheme(scheme: str) -> tuple[Storage, ...]:
    names = sorted(SCHEMES[scheme].sizes)
    values = [dict.fromkeys((SCHEMES[scheme].sizes[name], *_SIZES[name])) for name in names]
    traits = sorted(set(chain.from_iterable(each.when for each in SCHEMES[scheme].tensors)))
    subsets = [frozenset(c) for n in range(len(traits) + 1) for c in combinations(traits, n)]
    made = []
    for chosen in product(*values):
        sizes = dict(zip(names, chosen, strict=True))
        bits = sizes.get("bits")
        made += [storage(scheme, sizes, subset, bits) for subset in subsets]
    return tuple(made)
