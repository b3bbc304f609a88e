"""What only one engine derives: conditions and values that no table can express."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request.arguments import Word
from k2compat.launch.request.cluster import Cluster


class Engine:
    """An engine that derives nothing; each module of this folder overrides what it must."""

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """Conditions that follow from those that are known."""
        del situation
        return frozenset()

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Word]
    ) -> Mapping[str, Word]:
        """Values that all nodes share, beside the profile's and the user's."""
        del situation, cluster, values
        return {}
