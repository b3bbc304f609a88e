"""Facts and values of a single engine that no table can express."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module
from typing import ClassVar

from k2compat.launch.engines import engine_folder
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import Argument, Cluster


class Derivation:
    """An engine that derives nothing; an engine's `derive.py` overrides methods of it.

    Attributes:
        adds: The facts that `facts` may return, each with its meaning.
    """

    adds: ClassVar[Mapping[str, str]] = {}

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """Facts that follow from the known ones."""
        del situation
        return frozenset()

    def node_facts(self, situation: Situation) -> AbstractSet[str]:
        """Facts of one node that follow from the known ones."""
        del situation
        return frozenset()

    def of_all_nodes(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> tuple[Mapping[str, Argument], Mapping[str, Sequence[Argument]]]:
        """The values and the lists that all nodes share.

        Args:
            situation: With the facts that hold on every node.
            cluster: The nodes.
            values: The profile's and the user's, which come back with the engine's own.
        """
        shared = {**values, **self.values(situation, cluster, values)}
        return shared, self.lists(cluster, shared)

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Argument]:
        """Values that all nodes share, beyond the profile's and the user's."""
        del situation, cluster, values
        return {}

    def lists(
        self, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Sequence[Argument]]:
        """Lists of values that all nodes share, for rows with `each`."""
        del cluster, values
        return {}


_NOTHING = Derivation()


def derivation_of(engine: str) -> Derivation:
    """The derivation of an engine.

    Raises:
        RefusedError: engine-unknown.
    """
    if not (engine_folder(engine) / "derive.py").exists():
        return _NOTHING
    found = import_module(f"{__package__}.{engine}.derive").DERIVATION
    assert isinstance(found, Derivation)  # noqa: S101 - a module of ours
    return found
