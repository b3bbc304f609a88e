"""Options that were given and change nothing: what is rendered without them is the same. Pure.

Which options an engine, a profile or a strategy takes stands in no list: it follows from the
profiles. So each option is tried with another value, and the outcomes are compared.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.plan import Plan
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Node
from k2compat.launch.request.request import Request

_codes = Codes("launch")

# Something that nobody gave.
_OTHER: Final = "54321"
_ANOTHER: Final = "54322"

_DEVICES: Final[Mapping[str, Callable[[Node], Node]]] = {
    "interface": lambda node: replace(node, interface=Argument.literal(_OTHER)),
    "ib_device": lambda node: replace(node, ib_device=Argument.literal(_OTHER)),
}


def unused_options(
    request: Request, plan: Plan, output_format: str, given: Collection[str]
) -> Iterator[Finding]:
    """Find options that no command takes.

    Args:
        request: What was asked for.
        plan: Its plan.
        output_format: One of FORMATS.
        given: The options that were given, by the names of their parameters.
    """
    said = {finding.where for finding in plan.findings}
    for name in given:
        option = "--" + name.replace("_", "-")
        other = _otherwise(request, name)
        if other is None or option in said:
            continue
        if render(plan_launch(other), output_format) == render(plan, output_format):
            yield _codes.finding(
                "option-unused",
                option,
                f"{option} changes nothing here: no command of {request.engine} takes it with "
                f"profile {plan.profile}, strategy {plan.strategy} and these nodes.",
                fix=f"Leave {option} out.",
            )


def _otherwise(request: Request, name: str) -> Request | None:
    """The request with another value of an option; None for one that decides more than commands."""
    if name in request.values:
        other = _ANOTHER if str(request.values[name]) == _OTHER else _OTHER
        return replace(request, values={**request.values, name: Argument.literal(other)})
    if name == "amx":
        return replace(request, facts=request.facts - {"amx"})
    if name == "executor":
        both = {"executor=mp", "executor=ray"}
        return replace(request, facts=request.facts ^ both)
    if name in _DEVICES and request.cluster is not None and request.cluster.nodes:
        nodes = map(_DEVICES[name], request.cluster.nodes)
        return replace(request, cluster=replace(request.cluster, nodes=tuple(nodes)))
    return None
