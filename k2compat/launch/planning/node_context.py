"""What templates and conditions can ask about a node: its values and its facts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import prod
from typing import Final

from k2compat.launch.engines import Profile, Situation, derivation_of
from k2compat.launch.memory import Layout
from k2compat.launch.planning.expand import NodeContext
from k2compat.launch.request import Argument, Cluster, Node, Request

START_RANK: Final = "DATA_PARALLEL_START_RANK"
"""The variable for a node's first data-parallel rank, where the node's own rank is open."""


def places_of(
    request: Request,
    profile: Profile,
    situation: Situation,
    cluster: Cluster,
    layouts: Mapping[str, Layout],
) -> list[NodeContext]:
    """Every node with its values and facts, in the order of the cluster.

    Args:
        request: The user's own values go before the profile's.
        profile: The engine's.
        situation: What holds everywhere.
        cluster: The nodes.
        layouts: Group → how its GPUs are divided.
    """
    shared = _shared_values(request, profile, situation, cluster)
    places: list[NodeContext] = []
    for index, node in enumerate(cluster.nodes):
        layout = layouts[node.group]
        facts = _node_facts(node, layout, first=index == 0)
        values = {**shared, **_node_values(node, cluster, layout)}
        values |= _products(profile.products.get(request.profile, {}), values)
        own = {"peers": _peers(node, cluster)}
        places.append(NodeContext(node, situation.with_facts(*facts), values, own))
    return places


def plan_facts(request: Request, cluster: Cluster) -> frozenset[str]:
    """What holds everywhere, before the engine adds its own.

    "multi_node"; "interfaces_differ"; what the model is; what the user asked for; "gpu=NAME";
    "given:NAME" for each value that the user gave.
    """
    facts = {*request.model.facts, *request.facts}
    facts |= {f"given:{name}" for name in request.values}
    if cluster.gpu is not None:
        facts.add(f"gpu={cluster.gpu.lower()}")
    if any(cluster.size(group) > 1 for group in cluster.groups):
        facts.add("multi_node")
    if len({node.interface for node in cluster.nodes}) > 1:
        facts.add("interfaces_differ")
    return frozenset(facts)


def _shared_values(
    request: Request, profile: Profile, situation: Situation, cluster: Cluster
) -> Mapping[str, Argument]:
    values = {
        "model": request.model.name,
        "gpus_per_node": Argument.literal(cluster.gpus_per_node),
        "engine_version": Argument.literal(situation.version),
    }
    for group in cluster.groups:
        prefix = f"{group}_" if group else ""
        values |= {
            f"{prefix}master": cluster.first(group),
            f"{prefix}master_bracketed": _bracketed(cluster.first(group)),
        }
    given = {name: word.given_by(name) for name, word in request.values.items()}
    for name, template in profile.values_of(request.profile, situation.strategy).items():
        values[name] = given.get(name) or _value(template, values)
    values |= {name: word for name, word in given.items() if name not in values}
    return {**values, **derivation_of(profile.engine).values(situation, cluster, values)}


def _value(template: str, values: Mapping[str, Argument]) -> Argument:
    """A profile's value: a placeholder of its own, or a template."""
    word = Argument.parse(template)
    return word if word.placeholders else Argument.fill(template, values)


def _node_values(node: Node, cluster: Cluster, layout: Layout) -> Mapping[str, Argument]:
    nodes = cluster.size(node.group)
    local = max(layout.data_parallel // nodes, 1)
    numbers = {
        **{f"{kind}_size": size for kind, size in asdict(layout).items()},
        "nodes": nodes,
        "world_size": nodes * cluster.gpus_per_node,
        "data_parallel_size_local": local,
    }
    values = {name: Argument.literal(number) for name, number in numbers.items()}
    values["data_parallel_start_rank"] = _start_rank(node, local)
    if str(node.rank).isdigit():
        values["node_number"] = Argument.literal(int(str(node.rank)) + 1)
    values |= {
        "node_rank": node.rank,
        "node_name": Argument.literal(node.name),
        "address": node.address,
        "address_bracketed": _bracketed(node.address),
        "master": cluster.first(node.group),
        "master_bracketed": _bracketed(cluster.first(node.group)),
    }
    for name, word in (("interface", node.interface), ("ib_device", node.ib_device)):
        if word is not None:
            values[name] = word.given_by(name)
    return values


def _peers(node: Node, cluster: Cluster) -> list[Argument]:
    """The addresses of the group's other nodes."""
    return [other.address for other in cluster.group(node.group) if other != node]


def _start_rank(node: Node, local: int) -> Argument:
    """The first data-parallel rank of a node; where its rank is open, this is open, too."""
    rank = str(node.rank)
    if rank.isdigit():
        return Argument.literal(int(rank) * local)
    return Argument.parse(f"${START_RANK}")


def _products(
    products: Mapping[str, Sequence[str]], values: Mapping[str, Argument]
) -> Mapping[str, Argument]:
    """Numbers of a whole group, from those of one rank."""
    found: dict[str, Argument] = {}
    for name, factors in products.items():
        words = [values.get(factor) or Argument.literal(factor) for factor in factors]
        options = frozenset().union(*(word.options for word in words))
        found[name] = Argument.literal(prod(int(str(word)) for word in words)).given_by(*options)
    return found


def _node_facts(node: Node, layout: Layout, *, first: bool) -> Iterator[str]:
    if node.group:
        yield node.group
    if layout.redundant_experts:
        yield "redundant_experts"
    if first:
        yield "very_first_node"
    if node.is_first:
        yield "first_node"
    if node.interface is not None:
        yield "interface"
    if node.ib_device is not None:
        yield "ib_device"


def _bracketed(address: Argument) -> Argument:
    return Argument.fill("[{a}]", {"a": address}) if ":" in str(address) else address
