"""SGLang: whether DeepEP can be used, and the addresses of the groups for the load balancer."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import ClassVar, Final

from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import Argument, Cluster, Placeholder, host_port, role_of

# What its kernels for 4-bit experts, and AMD's GPUs, do without.
# Sources: https://github.com/sgl-project/sglang/pull/38115 for INT4; DeepEP is CUDA alone.
_WITHOUT_DEEPEP: Final = frozenset({"int4", "nvfp4", "mxfp4", "amd"})


class Sglang(Derivation):
    """Adds "deepep", and the URLs of the groups, which are those of their first nodes."""

    adds: ClassVar = {"deepep": "DeepEP can carry the tokens to the experts"}

    def facts(self, situation: Situation) -> AbstractSet[str]:
        """Whether DeepEP can be used."""
        return {"deepep"} if situation.facts.isdisjoint(_WITHOUT_DEEPEP) else frozenset()

    def lists(
        self, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Sequence[Argument]]:
        """`prefill_urls` and `decode_urls`, one for each group; a bootstrap port for each."""
        found = {f"{role}_urls": urls for role, urls in _urls(cluster, values).items()}
        ports = [values["bootstrap_port"] for _ in found.get("prefill_urls", ())]
        return {**found, "bootstrap_ports": ports}


def _urls(cluster: Cluster, values: Mapping[str, Argument]) -> Mapping[str, Sequence[Argument]]:
    """Role → the URLs of its groups, placeholders in braces, as the guide writes them."""
    found: dict[str, list[Argument]] = {}
    for group in filter(None, cluster.groups):
        server = host_port(_braced(cluster.first(group)), values["server_port"])
        url = Argument.fill("http://{server}", {"server": server})
        found.setdefault(role_of(group), []).append(url)
    return found


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
