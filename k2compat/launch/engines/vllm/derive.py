"""vLLM: who starts the processes of the other nodes, and the image for AMD's GPUs."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar

from packaging.version import Version

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import Argument, Cluster

FIRST_WITH_NNODES = Version("0.11.2")
"""From here on `--nnodes` can start several nodes without Ray."""

FIRST_REFUSING = Version("0.13")
"""Older versions use Ray by themselves for more GPUs than a node has; from here on they refuse."""

FIRST_ROCM_IMAGE = Version("0.14")
"""From here on vLLM itself publishes an image for ROCm (docs.vllm.ai, Using Docker)."""

_ONE_MODEL_OVER_NODES = {"tp", "tep", "tp-pp"}


class Vllm(Derivation):
    """Adds "ray" or "nnodes", if one copy of the model spans several nodes."""

    adds: ClassVar = {
        "nnodes": "vLLM itself starts the processes of the other nodes",
        "ray": "Ray starts the processes of the other nodes",
    }

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """The way to start the other nodes' processes, which the guide leaves open."""
        if (
            situation.profile == "guide"
            or "multi_node" not in situation.facts
            or situation.strategy not in _ONE_MODEL_OVER_NODES
        ):
            return frozenset()
        without_ray = FIRST_WITH_NNODES if "executor=mp" in situation.facts else FIRST_REFUSING
        if "executor=ray" in situation.facts or situation.version < without_ray:
            return {"ray"}
        return {"nnodes"}

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Argument]:
        """The image for ROCm on AMD's GPUs; for older versions the user must name one."""
        del cluster
        if "amd" not in situation.facts or "given:image" in situation.facts:
            return {}
        if situation.version < FIRST_ROCM_IMAGE:
            return {"image": Argument.parse("<IMAGE>")}
        return {"image": Argument.fill("vllm/vllm-openai-rocm:v{engine_version}", values)}


DERIVATION = Vllm()
