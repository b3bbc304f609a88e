"""KTransformers: which weights the experts on the CPU are read from."""

from collections.abc import Set as AbstractSet
from typing import ClassVar

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation

_NATIVE = {"fp8", "int4", "bf16"}
# Numbers of GPUs for which KTransformers' tutorials for Kimi-K2-Thinking and Kimi-K2.5 have values.
_TUTORIAL_GPUS = {"gpus=1", "gpus=2", "gpus=4", "gpus=8"}
_TUTORIAL_GPUS_VISION = {"gpus=4"}
_AMX_TUTORIAL = {"converted", "amx", "int4", "gpu=l20", "gpus=8"}
_48_GB = {"gpu=4090-48g", "gpu=l20"}


class KTransformers(Derivation):
    """Adds the weights from which kt-kernel reads the experts, as one of three facts.

    They are "converted", "gguf_experts" and "native".
    """

    adds: ClassVar = {
        "converted": "the experts on the CPU are read from weights converted for AMX",
        "gguf_experts": "the experts on the CPU are read from GGUFs",
        "amx_tutorial": "a tutorial gives values for converted weights, this GPU and their number",
        "tutorial": "a tutorial gives values for this model, this GPU and this number of GPUs",
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
        readable = _NATIVE | ({"nvfp4"} if "nvfp4_experts" in facts else set())
        if "native_precision" in facts and not facts.isdisjoint(readable):
            return {"native"}
        return {"converted"}

    def node_facts(self, situation: Situation) -> AbstractSet[str]:
        """Whether a tutorial gives values: for INT4 experts and GPUs with 48 GB."""
        facts = situation.facts
        if facts >= _AMX_TUTORIAL and "vision" not in facts:
            return {"amx_tutorial"}
        numbers = _TUTORIAL_GPUS_VISION if "vision" in facts else _TUTORIAL_GPUS
        known = facts >= {"native", "int4"} and not facts.isdisjoint(_48_GB)
        return {"tutorial"} if known and not facts.isdisjoint(numbers) else frozenset()


DERIVATION = KTransformers()
