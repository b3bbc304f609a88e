"""The values and facts of a request for the templates and conditions of a profile. Pure.

Values are for `{name}` in templates, facts for `when`: those of the whole launch first, then those
of each node.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Final

import msgspec

from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, Node
from k2compat.launch.request.draft import Draft
from k2compat.launch.request.request import Request

START_RANK: Final = "DATA_PARALLEL_START_RANK"
"""The variable for a node's first data-parallel rank, where the node's own rank is open."""


def request_facts(request: Request, cluster: Cluster) -> frozenset[str]:
    """The facts that hold on every node, before the engine adds its own.

    "multi_node"; "interfaces_differ"; the facts of the model and the draft; the user's conditions;
    "given:NAME" for each value that the user gave.
    """
    facts = {*request.model.facts, *request.facts}
    facts |= {f"given:{name}" for name in request.values}
    facts |= request.draft.facts if request.draft else set()
    if any(size > 1 for size in cluster.sizes.values()):
        facts.add("multi_node")
    if len({node.interface for node in cluster.nodes}) > 1:
        facts.add("interfaces_differ")
    return frozenset(facts)


def shared_values(
    request: Request, cluster: Cluster, engine_version: object, templates: Mapping[str, str]
) -> Mapping[str, Argument]:
    """The values that are the same on every node: name → value.

    Args:
        request: The user's own values override the profile's.
        cluster: The nodes.
        engine_version: The engine's version.
        templates: The profile's values: name → template, which may use earlier values.
    """
    values = {
        "model": request.model.name,
        "gpus_per_node": Argument.literal(cluster.gpus_per_node),
        "engine_version": Argument.literal(engine_version),
    }
    if request.draft is not None:
        values |= _draft_values(request.draft)
    for group in cluster.groups:
        prefix = f"{group}_" if group else ""
        values |= {
            f"{prefix}master": cluster.first(group),
            f"{prefix}master_bracketed": _bracketed(cluster.first(group)),
        }
    given = {name: word.given_by(name) for name, word in request.values.items()}
    for name, template in templates.items():
        values[name] = given.get(name) or _value(template, values)
    return {**values, **{name: word for name, word in given.items() if name not in values}}


def _draft_values(draft: Draft) -> Mapping[str, Argument]:
    """The draft's name, plain and escaped for a JSON string."""
    parts = tuple(
        json.dumps(part, ensure_ascii=False)[1:-1] if isinstance(part, str) else part
        for part in draft.name.parts
    )
    return {
        "draft": draft.name.given_by("draft"),
        "draft_json": Argument(parts).given_by("draft"),
    }


def _value(template: str, values: Mapping[str, Argument]) -> Argument:
    """A profile's value: a placeholder of its own, or a template."""
    word = Argument.parse(template)
    return word if word.placeholders else Argument.fill(template, values)


class NodeTerms(msgspec.Struct, frozen=True):
    """The values and facts of one node for templates and conditions.

    Attributes:
        facts: The facts of this node only.
        values: Name → value, with those of the whole launch.
        lists: Name → values, for commands with `each`.
    """

    facts: frozenset[str]
    values: Mapping[str, Argument]
    lists: Mapping[str, Sequence[Argument]]


def node_terms(
    node: Node,
    cluster: Cluster,
    parallel_sizes: Mapping[str, int],
    shared: Mapping[str, Argument],
    products: Mapping[str, Sequence[str]],
) -> NodeTerms:
    """The values and facts of one node for templates and conditions.

    Args:
        node: The node.
        cluster: The nodes.
        parallel_sizes: Kind of parallelism → ranks, of the node's group.
        shared: The values that are the same on every node.
        products: Name → factors: numbers, or names of the node's values.
    """
    facts = set(_facts(node, parallel_sizes, first=node == cluster.nodes[0]))
    values = {**shared, **_values(node, cluster, parallel_sizes)}
    values |= _products(products, values)
    peers = [other.address for other in cluster.group(node.group) if other != node]
    return NodeTerms(frozenset(facts), values, {"peers": peers})


def _values(
    node: Node, cluster: Cluster, parallel_sizes: Mapping[str, int]
) -> Mapping[str, Argument]:
    nodes = cluster.size(node.group)
    local = max(parallel_sizes["data_parallel"] // nodes, 1)
    numbers = {
        **{f"{kind}_size": size for kind, size in parallel_sizes.items()},
        "stage_size": parallel_sizes["tensor_parallel"] * parallel_sizes["data_parallel"],
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


def _facts(node: Node, parallel_sizes: Mapping[str, int], *, first: bool) -> Iterator[str]:
    if node.role:
        yield node.role
    if parallel_sizes["redundant_experts"]:
        yield "redundant_experts"
    if parallel_sizes["tensor_parallel"] > 1:
        yield "tensor_parallel"
    if first:
        yield "very_first_node"
    if node.is_first:
        yield "first_node"
    if node.interface is not None:
        yield "interface"
    if node.ib_device is not None:
        yield "ib_device"


def _start_rank(node: Node, local: int) -> Argument:
    """The first data-parallel rank of a node; where its rank is open, this is open, too."""
    rank = str(node.rank)
    if rank.isdigit():
        return Argument.literal(int(rank) * local)
    return Argument.parse(f"${START_RANK}")


def _products(
    products: Mapping[str, Sequence[str]], values: Mapping[str, Argument]
) -> Mapping[str, Argument]:
    """Numbers of a whole group, computed from those of one rank."""
    found: dict[str, Argument] = {}
    for name, factors in products.items():
        words = [values.get(factor) or Argument.literal(factor) for factor in factors]
        options = frozenset().union(*(word.options for word in words))
        found[name] = Argument.literal(prod(int(str(word)) for word in words)).given_by(*options)
    return found


def _bracketed(address: Argument) -> Argument:
    return Argument.fill("[{a}]", {"a": address}) if ":" in str(address) else address
