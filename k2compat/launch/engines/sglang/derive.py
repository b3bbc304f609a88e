"""SGLang: whether DeepEP can be used, and where the load balancer finds the groups."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import ClassVar, Final

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import Argument, Cluster, Placeholder, host_port

# What its kernels for 4-bit experts, and AMD's GPUs, do without.
# Sources: https://github.com/sgl-project/sglang/pull/38115 for INT4; DeepEP is CUDA alone.
_WITHOUT_DEEPEP: Final = frozenset({"int4", "nvfp4", "mxfp4", "amd"})


class Sglang(Derivation):
    """Adds "deepep"; `prefill_url` and `decode_url`: a group's first node answers for all of it."""

    adds: ClassVar = {"deepep": "DeepEP can carry the tokens to the experts"}

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """Whether DeepEP can carry the tokens."""
        return {"deepep"} if situation.facts.isdisjoint(_WITHOUT_DEEPEP) else frozenset()

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
