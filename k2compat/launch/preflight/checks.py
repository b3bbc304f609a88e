"""All checks of a plan, and of a plan on one node."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.flags import values_of
from k2compat.launch.plan import Plan
from k2compat.launch.planning import check_plan
from k2compat.launch.preflight.hardware_checks import check_system
from k2compat.launch.preflight.inspection import Inspection, commands_of, listening
from k2compat.launch.preflight.network_checks import check_network
from k2compat.launch.preflight.software_checks import check_software
from k2compat.launch.request import Node

_codes = Codes("launch")

_LARGEST_PORT = 65_535
_OPEN = "placeholder-open"
_INTERFACE = "_SOCKET_IFNAME"


def check_offline(plan: Plan, config: Mapping[str, Any]) -> Iterator[Finding]:
    """Find faults of the plan itself; nothing is read.

    Args:
        plan: The plan.
        config: The members of the model's config.json.
    """
    yield from plan.findings
    yield from check_plan(plan, config)
    yield from check_ranks(plan)
    yield from check_port_clashes(plan)


def check_node(inspection: Inspection) -> Iterator[Finding]:
    """Find what would stop a plan on one node."""
    yield from _check_placeholders(inspection)
    yield from check_network(inspection)
    yield from check_ports_free(inspection)
    yield from check_system(inspection)
    yield from check_software(inspection)


def without_open(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out findings on open placeholders: a node judges them by its own variables."""
    return (finding for finding in findings if finding.code != _OPEN)


def node_of(plan: Plan, text: str) -> Node:
    """The node that --node-rank means, by its place in the plan or its name.

    Raises:
        RefusedError: node-unknown.
    """
    nodes = plan.cluster.nodes
    if text.isascii() and text.isdigit() and int(text) < len(nodes):
        return nodes[int(text)]
    for node in nodes:
        if node.name == text:
            return node
    names = ", ".join(f"{rank} ({node.name}, {node.address})" for rank, node in enumerate(nodes))
    raise RefusedError(
        "node-unknown", f"The plan has no node {text!r}.", hint=f"Its nodes are {names}."
    )


def check_ranks(plan: Plan) -> Iterator[Finding]:
    """Find groups whose nodes do not have the ranks 0, 1, 2, …, each once."""
    for group in plan.cluster.groups:
        ranks = [
            value
            for command in plan.commands
            if command.node.group == group and command.stays
            for value in values_of(tuple(map(str, command.argv)), "--node-rank")
        ]
        numbers = sorted(int(rank) for rank in ranks if rank.isascii() and rank.isdigit())
        if len(numbers) == len(ranks) and numbers != list(range(len(ranks))):
            yield _codes.finding(
                "ranks-wrong",
                group or "nodes",
                f"The nodes have the ranks {', '.join(map(str, numbers))}.",
                expected=", ".join(map(str, range(len(ranks)))),
                actual=", ".join(map(str, numbers)),
            )


def _check_placeholders(inspection: Inspection) -> Iterator[Finding]:
    holders: dict[str, list[str]] = {}
    for command in inspection.commands:
        for name in dict.fromkeys(
            each.name for word in command.words for each in word.placeholders
        ):
            holders.setdefault(name, []).append(command.id)
    for name, commands in holders.items():
        yield _codes.finding(
            "placeholder-unresolved",
            ", ".join(commands),
            f"{name} has no value on this node.",
            count=len(commands),
            fix=("export", f"{name}={_value_for(inspection, name)}"),
        )


def _value_for(inspection: Inspection, name: str) -> str:
    """A possible value for a placeholder: the interface is known where it names one."""
    way = inspection.towards_others
    for command in inspection.commands:
        for variable, word in command.environment.items():
            if variable.endswith(_INTERFACE) and any(p.name == name for p in word.placeholders):
                return (way.interface if way else None) or "INTERFACE"
    return "VALUE"


def check_port_clashes(plan: Plan) -> Iterator[Finding]:
    """Find ports that two commands of one node would listen on, defaults included."""
    for node in plan.nodes:
        holders: dict[int, list[str]] = {}
        for command, port, name in listening(commands_of(plan, node)):
            holders.setdefault(port, []).append(f"{command.id} ({name})")
        for port, names in sorted(holders.items()):
            if len(names) > 1:
                yield _codes.finding(
                    "port-clash",
                    node.name,
                    f"{' and '.join(names)} would listen on port {port} of {node.name}.",
                    count=len(names),
                    actual=str(port),
                    fix="Give one of them another port.",
                )
            if not 0 < port <= _LARGEST_PORT:
                yield _codes.finding(
                    "port-invalid",
                    names[0],
                    f"{port} is no port.",
                    expected=f"1 to {_LARGEST_PORT}",
                    actual=str(port),
                )


def check_ports_free(inspection: Inspection) -> Iterator[Finding]:
    """Find ports of this node's commands on which it is not possible to listen."""
    names = {
        port: f"{command.id} ({name})" for command, port, name in listening(inspection.commands)
    }
    for port, reason in sorted(inspection.facts.ports.items()):
        if reason and 0 < port <= _LARGEST_PORT:
            yield _codes.finding(
                "port-taken",
                str(port),
                f"Port {port} cannot be listened on: {reason}.",
                expected=f"free for {names.get(port, 'the plan')}",
                actual=reason,
                fix=("ss", "-ltnp", f"sport = :{port}"),
            )
