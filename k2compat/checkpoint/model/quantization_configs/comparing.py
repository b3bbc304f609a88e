"""Compare quantisations with each other, and their lists with the names of modules."""

from collections.abc import Iterator
from typing import Final

from k2compat.checkpoint.model.module_patterns import ModulePatterns
from k2compat.checkpoint.model.quantization import SCHEMES, WHOLE_ROW, Quantization, Storage
from k2compat.checkpoint.reporting import named
from k2compat.printable import counted


def differences(first: Quantization, second: Quantization) -> Iterator[tuple[str, str, str]]:
    """The differences between two configs of one checkpoint: a name, and the value in each.

    Quantisations that cannot be read are compared only by name.
    """
    if first.name != second.name:
        yield "the scheme", first.name, second.name
    elif first.is_known and second.is_known and set(first.storages) != set(second.storages):
        yield "their settings", described(first.storages), described(second.storages)
    if _covered(first.ignore) != _covered(second.ignore):
        only_first = _covered(first.ignore) - _covered(second.ignore)
        only_second = _covered(second.ignore) - _covered(first.ignore)
        yield "the modules they exclude", _only(only_first), _only(only_second)
    if first.kv_cache_bits != second.kv_cache_bits:
        yield "the KV cache", _bits(first.kv_cache_bits), _bits(second.kv_cache_bits)


def described(storages: tuple[Storage, ...]) -> str:
    """Storages in words, as "INT4, group 32, asymmetric"."""
    return "; ".join(map(describe, storages))


def describe(stored: Storage | None) -> str:
    """A storage in words, as "int4 (bits 4, group 32, asymmetric)"; None is "not quantised"."""
    if stored is None:
        return "not quantised"
    sizes = [
        f"{_WORDS.get(name, name)} {'the whole row' if value == WHOLE_ROW else value}"
        for name, value in stored.sizes
    ]
    details = ", ".join((*sizes, *sorted(trait.replace("_", " ") for trait in stored.traits)))
    scheme = SCHEMES[stored.scheme]
    return f"{scheme.title} of {scheme.program}" + (f" ({details})" if details else "")


_WORDS: Final = {"b0": "rows", "b1": "columns"}


def _covered(patterns: ModulePatterns) -> frozenset[str]:
    # "x*" and "x" exclude the same where a name excludes everything below it.
    return frozenset(
        pattern.removesuffix("*").removesuffix(".") if patterns.bare == "below" else pattern
        for pattern in patterns.patterns
    )


def _only(patterns: frozenset[str]) -> str:
    return f"{len(patterns)} of its own: {named(sorted(patterns))}" if patterns else "no others"


def _bits(bits: int | None) -> str:
    return "its own dtype" if bits is None else counted(bits, "bit")
