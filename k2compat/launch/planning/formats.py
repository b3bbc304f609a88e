"""Changes of a request for a format of the output, before the plan is made. Pure.

Slurm and Kubernetes choose the nodes themselves, so their addresses become names that the job
fills in; and where they watch a process, no command may go into the background.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.engines import read_profile
from k2compat.launch.request import (
    FORMAT,
    SCRIPTED,
    START_RANK,
    SUPERVISED,
    Argument,
    Cluster,
    Node,
    Request,
    nodes_at,
)
from k2compat.printable import counted

GIVEN_TO_PODS: Final = frozenset({"POD_IP", "LWS_WORKER_INDEX", START_RANK})
"""Variables that every pod of a LeaderWorkerSet has, or computes."""

_WITH_IMAGE: Final = frozenset({"compose", "lws"})
"""Formats whose commands always run in a container."""

LEADER, WORKER = "leader", "worker"
HEAD = "head"


def for_format(request: Request, output_format: str) -> Request:
    """The request as a format needs it, with the facts of the format.

    "sh" has the fact "scripted"; formats for a scheduler or a container have "supervised" and
    "format=NAME", too; "text" has none, since a person types its commands.

    Raises:
        RefusedError: format-not-offered, or hosts-not-ours for hosts that a scheduler chooses.
    """
    adapt = _ADAPTED.get(output_format)
    if adapt is None:
        own = {SCRIPTED} if output_format == "sh" else frozenset[str]()
        return replace(request, facts=request.facts | own)
    if request.profile == "guide":
        raise RefusedError(
            "format-not-offered",
            f"The guide has no commands for {output_format}.",
            hint="Leave --profile guide out.",
        )
    _demand_within_limits(request, output_format)
    facts = {SCRIPTED, SUPERVISED, FORMAT + output_format}
    return adapt(replace(request, facts=request.facts | facts))


def shows_image(output_format: str, *, given: bool) -> bool:
    """Whether a format runs the commands in the plan's image; Slurm does if one was given."""
    return output_format in _WITH_IMAGE or (output_format == "slurm" and given)


def _demand_within_limits(request: Request, output_format: str) -> None:
    """Refuse a request beyond the format's limits in the engine's profile."""
    nodes = max(len(request.cluster.nodes), 1) if request.cluster else 1
    for limit in read_profile(request.engine).limits:
        if (
            limit.format == output_format
            and nodes > limit.nodes_max
            and (not limit.strategies or request.strategy in limit.strategies)
        ):
            much = f" on {counted(nodes, 'node')}" if limit.nodes_max else ""
            raise RefusedError(
                "format-not-offered",
                f"{request.engine} cannot be rendered as {output_format}{much}: {limit.reason}.",
                hint=limit.hint,
            )


def _slurm(request: Request) -> Request:
    """Every node is named $NODE0, $NODE1, …, which the job sets."""
    cluster = _of_unnamed_nodes(request, "Slurm")
    names = frozenset(place.name for node in cluster.nodes for place in node.address.placeholders)
    return replace(request, cluster=cluster, filled=names)


def _lws(request: Request) -> Request:
    """Each group is a leader and its workers; Kubernetes' names resolve to their pods."""
    cluster = _of_unnamed_nodes(request, "Kubernetes")
    return replace(request, cluster=_leaders_and_workers(cluster), filled=GIVEN_TO_PODS)


def _compose(request: Request) -> Request:
    """Each node runs one container, which is started before its commands."""
    return request


def _ray(request: Request) -> Request:
    """A head, and one script for every worker."""
    if "executor=mp" in request.facts:
        raise RefusedError(
            "format-not-offered",
            "--format ray starts the nodes with Ray, --executor mp without.",
            hint="Leave one of them out.",
        )
    cluster = request.cluster or Cluster(())
    if cluster.groups not in ((), ("",)):
        return request  # which no plan uses: Ray has no groups
    first = cluster.nodes[0].address if cluster.nodes else Argument.parse("$HEAD_ADDRESS")
    member = cluster.nodes[0] if cluster.nodes else Node(HEAD, Argument.literal(0), first)
    head = replace(member, name=HEAD)
    rank, address = Argument.parse("$NODE_RANK"), Argument.parse("$NODE_ADDRESS")
    worker = replace(_any_worker(cluster.nodes) or member, name=WORKER, rank=rank, address=address)
    return replace(
        request,
        facts=request.facts | {"executor=ray"},
        cluster=replace(
            cluster,
            nodes=(head, worker),
            counts={"": max(len(cluster.nodes), 2)},
            firsts={"": first},
        ),
    )


_ADAPTED: Final[Mapping[str, Callable[[Request], Request]]] = {
    "slurm": _slurm,
    "lws": _lws,
    "compose": _compose,
    "ray": _ray,
}


def _of_unnamed_nodes(request: Request, who: str) -> Cluster:
    cluster = request.cluster or Cluster(())
    if not cluster.nodes:
        return replace(cluster, nodes=_default_nodes(request))
    for node in cluster.nodes:
        if not node.address.placeholders:
            raise RefusedError(
                "hosts-not-ours",
                f"{who} chooses the nodes; {node.address} cannot be promised.",
                hint="Give their number in place of their addresses: --nodes 2",
            )
    return cluster


def _default_nodes(request: Request) -> tuple[Node, ...]:
    """The number of the profile's default nodes."""
    clusters = read_profile(request.engine).clusters[request.profile]
    groups = clusters.get(request.strategy or "", ())
    if not any(entry.group for entry in groups):
        return nodes_at(["1"])
    return tuple(
        node for entry in groups for node in nodes_at([str(len(entry.addresses))], entry.group)
    )


def _leaders_and_workers(cluster: Cluster) -> Cluster:
    nodes: list[Node] = []
    firsts: dict[str, Argument] = {}
    counts: dict[str, int] = {}
    for group in cluster.groups:
        members = cluster.group(group)
        name = set_name(group)
        firsts[group] = Argument.literal(f"{name}-0.{name}")
        counts[group] = len(members)
        nodes.append(_pod(members[0], f"{name}-{LEADER}", "0"))
        if worker := _any_worker(members):
            nodes.append(_pod(worker, f"{name}-{WORKER}", "$LWS_WORKER_INDEX"))
    return replace(cluster, nodes=tuple(nodes), firsts=firsts, counts=counts)


def _any_worker(members: Sequence[Node]) -> Node | None:
    """The node of a script for all workers: it has the devices that are the same on all of them."""
    if len(members) < 2:
        return None
    worker = members[1]
    for other in members[2:]:
        if other.interface != worker.interface:
            worker = replace(worker, interface=None)
        if other.ib_device != worker.ib_device:
            worker = replace(worker, ib_device=None)
    return worker


def set_name(group: str) -> str:
    """The name of a group's LeaderWorkerSet."""
    return f"kimi-k2-{group}" if group else "kimi-k2"


def _pod(node: Node, name: str, rank: str) -> Node:
    return replace(node, name=name, rank=Argument.parse(rank), address=Argument.parse("$POD_IP"))
