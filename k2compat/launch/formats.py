"""What a format of the output changes of what was asked for, before anything is planned. Pure.

Slurm and Kubernetes choose the nodes themselves, so their addresses become names that the job
fills in; and where they watch a process, no command may go into the background.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.cluster import Cluster, Node
from k2compat.launch.request import Request
from k2compat.launch.words import Word

SUPERVISED: Final = "supervised"
"""The fact that somebody watches the processes: each stays in the foreground."""

LEADER, WORKER = "leader", "worker"
HEAD = "head"


def for_format(request: Request, output_format: str) -> Request:
    """The request as a format needs it.

    Raises:
        RefusedError: format-not-offered, or hosts-not-ours for hosts that a scheduler chooses.
    """
    adapt = _ADAPTED.get(output_format)
    if adapt is None:
        return request
    if request.profile == "guide":
        raise RefusedError(
            "format-not-offered",
            f"The guide has no commands for {output_format}.",
            hint="Leave --profile guide out.",
        )
    return adapt(replace(request, facts=request.facts | {SUPERVISED}))


def _slurm(request: Request) -> Request:
    """Every node is named $NODE0, $NODE1, …, which the job sets."""
    if request.engine == "trtllm":
        raise _not_offered(request, "slurm")
    cluster = _of_unnamed_nodes(request, "Slurm")
    return replace(request, cluster=cluster)


def _lws(request: Request) -> Request:
    """Each group is a leader and its workers; Kubernetes' names resolve to their pods."""
    if request.engine == "trtllm":
        raise _not_offered(request, "lws")
    cluster = _of_unnamed_nodes(request, "Kubernetes")
    return replace(request, cluster=_leaders_and_workers(cluster))


def _compose(request: Request) -> Request:
    if request.engine == "trtllm":
        raise _not_offered(request, "compose")
    return request


def _ray(request: Request) -> Request:
    """A head, and one script for every worker."""
    if request.engine != "vllm":
        raise _not_offered(request, "ray")
    cluster = request.cluster or Cluster(())
    if cluster.groups not in ((), ("",)) or request.strategy == "dp-ep":
        raise _not_offered(request, "ray")
    first = cluster.nodes[0].address if cluster.nodes else Word.parse("$HEAD_ADDRESS")
    head = Node(HEAD, Word.literal(0), first)
    worker = Node(WORKER, Word.parse("$NODE_RANK"), Word.parse("$NODE_ADDRESS"))
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
        node = Node("node0", Word.literal(0), Word.parse("$NODE0"))
        return replace(cluster, nodes=(node,))
    for node in cluster.nodes:
        if not node.address.placeholders:
            raise RefusedError(
                "hosts-not-ours",
                f"{who} chooses the nodes; {node.address} cannot be promised.",
                hint="Give their number in place of their addresses: --nodes 2",
            )
    return cluster


def _leaders_and_workers(cluster: Cluster) -> Cluster:
    nodes: list[Node] = []
    firsts: dict[str, Word] = {}
    counts: dict[str, int] = {}
    for group in cluster.groups:
        members = cluster.group(group)
        name = set_name(group)
        firsts[group] = Word.literal(f"{name}-0.{name}")
        counts[group] = len(members)
        nodes.append(_pod(members[0], f"{name}-{LEADER}", "0"))
        if len(members) > 1:
            nodes.append(_pod(members[1], f"{name}-{WORKER}", "$LWS_WORKER_INDEX"))
    return replace(cluster, nodes=tuple(nodes), firsts=firsts, counts=counts)


def set_name(group: str) -> str:
    """The name of a group's LeaderWorkerSet."""
    return f"kimi-k2-{group}" if group else "kimi-k2"


def _pod(node: Node, name: str, rank: str) -> Node:
    return replace(node, name=name, rank=Word.parse(rank), address=Word.parse("$POD_IP"))


def _not_offered(request: Request, output_format: str) -> RefusedError:
    return RefusedError(
        "format-not-offered",
        f"{request.engine} cannot be rendered as {output_format} with what was asked for.",
        hint="Take --format sh: scripts for each node, which any scheduler can start.",
    )
