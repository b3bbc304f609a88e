"""Ports: two commands on one, and those that cannot be listened on. Pure."""

from collections.abc import Iterator

from k2compat.findings import Codes, Finding
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.inspection import Inspection, commands_of, listening

_codes = Codes("launch")

_LARGEST_PORT = 65_535


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
    """Find ports of this node's commands that the system does not give."""
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
