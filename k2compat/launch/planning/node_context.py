"""The values and facts of a node for templates and conditions. Pure."""

from collections.abc import Mapping

from msgspec.structs import asdict

from k2compat.launch.engines import Profile, ProfileTerms, derivation_of
from k2compat.launch.memory import Layout
from k2compat.launch.planning.expand import NodeContext
from k2compat.launch.request import Cluster, Request, node_terms, shared_values


def contexts_of(
    request: Request,
    profile: Profile,
    terms: ProfileTerms,
    cluster: Cluster,
    layouts: Mapping[str, Layout],
) -> list[NodeContext]:
    """Every node with its values and facts, in the order of the cluster.

    Args:
        request: The user's own values override the profile's.
        profile: The engine's profile.
        terms: The profile's terms for the request.
        cluster: The nodes.
        layouts: Group → how its GPUs are divided.
    """
    situation = terms.situation
    shared = shared_values(request, cluster, situation.version, terms.values)
    derivation = derivation_of(profile.engine)
    shared, lists = derivation.of_all_nodes(situation, cluster, shared)
    contexts: list[NodeContext] = []
    for node in cluster.nodes:
        own = node_terms(node, cluster, asdict(layouts[node.group]), shared, terms.products)
        there = situation.with_facts(
            *own.facts, *_heads(request, layouts[node.group]), f"gpus={cluster.gpus_per_node}"
        )
        there = there.with_facts(*derivation.node_facts(there))
        contexts.append(NodeContext(node, there, own.values, {**own.lists, **lists}))
    return contexts


def _heads(request: Request, layout: Layout) -> frozenset[str]:
    """AMD's attention kernels (AITER, MLA) take multiples of 16 heads."""
    heads = request.model.text_config.get("num_attention_heads")
    whole = isinstance(heads, int) and heads % (16 * layout.tensor_parallel) == 0
    return frozenset({"sixteen_heads"} if whole else ())
