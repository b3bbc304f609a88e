"""KTransformers: which weights the experts on the CPU are read from."""

from collections.abc import Set as AbstractSet
from typing import ClassVar

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation

_NATIVE = {"fp8", "int4", "bf16"}


class KTransformers(Derivation):
    """Adds where kt-kernel finds the experts: "converted", "gguf_experts" or "native"."""

    adds: ClassVar = {
        "converted": "the experts on the CPU are read from weights converted for AMX",
        "gguf_experts": "the experts on the CPU are read from GGUFs",
        "native": "the experts on the CPU are read from the model's own weights",
    }

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """AMX reads weights converted for it, LLAMAFILE GGUFs, all others the model's own."""
        facts = situation.facts
        if "kt_kernel" not in facts:
            return frozenset()
        if "amx" in facts:
            return {"converted"}
        if "given:gguf_path" in facts:
            return {"gguf_experts"}
        if "native_precision" in facts and not facts.isdisjoint(_NATIVE):
            return {"native"}
        return {"converted"}


DERIVATION = KTransformers()
