"""One node of a plan together with the facts about it: the input of every check."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k2compat.launch.plan import Command, Plan
from k2compat.launch.preflight.facts import NodeFacts, Question, Route
from k2compat.launch.preflight.requirements import packages_of_interest, ports_of
from k2compat.launch.request import Argument, Node

# Programs around the engine: their interpreter is not the engine's.
_AROUND = ("ray", "docker", "mpirun", "ssh-keygen", "ssh-copy-id", "sh", "bash")


@dataclass(frozen=True, slots=True)
class Inspection:
    """A node of a plan, and the facts about it.

    Attributes:
        plan: The whole plan.
        node: The inspected node.
        facts: The facts that were read there.
    """

    plan: Plan
    node: Node
    facts: NodeFacts

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands that run on this node."""
        return commands_of(self.plan, self.node)

    @property
    def arguments(self) -> Iterator[tuple[str, ...]]:
        """The same, as plain words."""
        return (tuple(map(str, command.argv)) for command in self.commands)

    @property
    def has_other_nodes(self) -> bool:
        """Whether processes of this node talk to those of others."""
        return self.plan.cluster.size(self.node.group) > 1 or len(self.plan.cluster.groups) > 1

    @property
    def towards_others(self) -> Route | None:
        """The way to the first node of the group, or from there to the next; None if unknown."""
        own = str(self.node.address)
        cluster = self.plan.cluster
        nearest = (*cluster.group(self.node.group), *cluster.nodes)
        hosts = [str(cluster.first(self.node.group)), *(str(node.address) for node in nearest)]
        ways = (self.facts.routes.get(host) for host in hosts if host != own)
        return next((way for way in ways if way is not None), None)

    @property
    def environment(self) -> Mapping[str, str]:
        """The node's variables, with those that the plan sets to a known value."""
        planned = {
            name: str(value)
            for command in self.commands
            for name, value in command.environment.items()
            if not value.placeholders
        }
        return {**self.facts.environment, **planned}

    @property
    def set_variables(self) -> frozenset[str]:
        """The names of the node's variables and of those that the plan sets, known or not."""
        planned = (name for command in self.commands for name in command.environment)
        return frozenset((*self.facts.environment, *planned))


def commands_of(plan: Plan, node: Node) -> tuple[Command, ...]:
    """The commands that a plan runs on a node."""
    return tuple(command for command in plan.commands if command.node == node)


def plan_parts(plan: Plan) -> dict[str, str]:
    """The parts of a plan that must be the same on every node, by name.

    These are the nodes, the GPUs of a node and each command. Variables of commands are left out:
    interfaces may have different names on the nodes.
    """
    return {
        "nodes": " ".join(f"{node.name}={node.address}" for node in plan.cluster.nodes),
        "GPUs per node": str(plan.cluster.gpus_per_node),
        **{command.id: " ".join(map(str, command.argv)) for command in plan.commands},
    }


def question_of(plan: Plan, node: Node) -> Question:
    """The facts that a plan needs about one of its nodes."""
    commands = commands_of(plan, node)
    hosts = [each.address for each in plan.cluster.nodes]
    hosts += [plan.cluster.first(group) for group in plan.cluster.groups]
    programs = [str(command.argv[0]) for command in commands if command.stays]
    return Question(
        hosts=tuple(dict.fromkeys(str(host) for host in hosts if not host.placeholders)),
        ports=tuple(sorted({port for _, port, _ in listening(commands)})),
        program=next((name for name in programs if name not in _AROUND), ""),
        packages=packages_of_interest(plan.engine),
    )


def listening(commands: tuple[Command, ...]) -> Iterator[tuple[Command, int, str]]:
    """Every port of each of a node's commands, once: (command, port, purpose)."""
    for command in commands:
        ports = {
            int(str(port.number)): port.name for port in command.ports if _is_number(port.number)
        }
        for name, port in ports_of(tuple(map(str, command.argv))):
            ports.setdefault(port, name)
        for port, name in ports.items():
            yield command, port, name


def _is_number(word: Argument) -> bool:
    text = str(word)
    return text.isascii() and text.isdigit()
