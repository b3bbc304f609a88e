"""The made-up engine derives a fact and a value."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster


class Quickserve(Derivation):
    """Adds "quick", and the name of the workers."""

    adds: ClassVar = {"quick": "always"}

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """One fact."""
        return {"quick"}

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Argument]:
        """One value."""
        return {"workers": Argument.literal(f"quick-{cluster.gpus_per_node}")}


DERIVATION = Quickserve()
