"""How a checkpoint's weights are stored: which scheme applies to which module.

    quantization_config ── dialect ──▶ groups (targets, storage), ignored modules

Each program that writes such configs has a dialect in `quantization_configs/`, found by
`quant_method`. A config that no dialect can read gives only a finding: it is not known which
tensors such a checkpoint stores for a quantised module, so they are not judged.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from k2compat.checkpoint.model.module_patterns import ModulePatterns
from k2compat.checkpoint.model.schemes import SCHEMES, UNKNOWN, Storage

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
        lists = (self.ignore, *(group.targets for group in self.groups))
        return any(one is not None and one.names_experts for one in lists)

    @property
    def is_exhausted(self) -> bool:
        """Whether a list took too long to match; later results are then unknown."""
        lists = (self.ignore, *(group.targets for group in self.groups))
        return any(one is not None and one.is_exhausted for one in lists)

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
