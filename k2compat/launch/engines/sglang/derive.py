"""SGLang: where the load balancer finds the groups."""

from collections.abc import Mapping
from dataclasses import replace

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import Argument, Cluster, Placeholder, host_port


class Sglang(Derivation):
    """Adds `prefill_url` and `decode_url`: a group's first node answers for all of it."""

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Argument]:
        """The groups' URLs, placeholders in braces, as the guide writes them."""
        del situation
        return {
            f"{group}_url": Argument.fill(
                "http://{server}",
                {"server": host_port(_braced(cluster.first(group)), values["server_port"])},
            )
            for group in cluster.groups
            if group
        }


def _braced(word: Argument) -> Argument:
    """`${NAME}` for `$NAME`, so that no text after it becomes part of the name."""
    parts = tuple(
        Placeholder(part.name, f"${{{part.name}}}")
        if isinstance(part, Placeholder) and part.spelling.startswith("$")
        else part
        for part in word.parts
    )
    return replace(word, parts=parts)


DERIVATION = Sglang()
