"""Give a plan's open placeholders the values that variables of this node have. Pure.

A shell does the same when it runs the plan's script, so the checks judge the real commands.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from k2compat.launch.plan import Command, Plan
from k2compat.launch.request import Argument, Node


def resolve_plan(plan: Plan, environment: Mapping[str, str]) -> Plan:
    """The plan with every placeholder replaced that has a non-empty variable of its name."""

    def word(open_word: Argument) -> Argument:
        return resolve_word(open_word, environment)

    def node(open_node: Node) -> Node:
        return replace(
            open_node,
            rank=word(open_node.rank),
            address=word(open_node.address),
            interface=open_node.interface and word(open_node.interface),
            ib_device=open_node.ib_device and word(open_node.ib_device),
        )

    def command(open_command: Command) -> Command:
        return replace(
            open_command,
            node=node(open_command.node),
            argv=tuple(map(word, open_command.argv)),
            environment={name: word(value) for name, value in open_command.environment.items()},
            inside=open_command.inside and word(open_command.inside),
            ports=tuple(replace(port, number=word(port.number)) for port in open_command.ports),
        )

    cluster = replace(
        plan.cluster,
        nodes=tuple(map(node, plan.cluster.nodes)),
        firsts={group: word(first) for group, first in plan.cluster.firsts.items()},
    )
    return replace(plan, cluster=cluster, commands=tuple(map(command, plan.commands)))


def resolve_word(word: Argument, environment: Mapping[str, str]) -> Argument:
    """An argument with every placeholder replaced that has a non-empty variable of its name."""
    parts: list[Argument] = []
    for part in word.parts:
        value = part if isinstance(part, str) else environment.get(part.name)
        parts.append(Argument.literal(value) if value else Argument((part,)))
    return Argument.join("", parts)
