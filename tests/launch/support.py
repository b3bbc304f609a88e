"""Requests and plans for the tests of launch."""

from collections.abc import Mapping

from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import GPUS_PER_NODE, Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request


def plan(
    engine: str,
    model: str = "moonshotai/Kimi-K2-Instruct",
    *,
    nodes: tuple[str, ...] = (),
    prefill: tuple[str, ...] = (),
    decode: tuple[str, ...] = (),
    gpu: str | None = None,
    gpus_per_node: int = GPUS_PER_NODE,
    values: Mapping[str, str] | None = None,
    facts: frozenset[str] = frozenset(),
    **rest: object,
) -> Plan:
    """The plan of a launch, asked for as a person would."""
    found = (*nodes_at(nodes), *nodes_at(prefill, "prefill"), *nodes_at(decode, "decode"))
    request = Request(
        engine=engine,
        model=read_model(model),
        cluster=Cluster(found, gpus_per_node, gpu),
        values={name: Argument.parse(value) for name, value in (values or {}).items()},
        facts=facts,
        **rest,  # type: ignore[arg-type]
    )
    return plan_launch(request)


def argv(command: Command) -> list[str]:
    """A command's arguments as they were written."""
    return [str(word) for word in command.argv]


def environment(command: Command) -> dict[str, str]:
    """A command's variables as they were written."""
    return {name: str(word) for name, word in command.environment.items()}


def codes(plan: Plan) -> list[str]:
    """The codes of a plan's findings."""
    return [finding.code for finding in plan.findings]
