"""The options of the user that had an effect, and those that had none.

There is no list of the options of an engine: they follow from its profile. Each argument keeps the
options whose values it was filled with (`Argument.options`). An option that is a condition has an
effect if other entries of the profile would apply without it (`ProfileTerms.options`).
"""

from collections.abc import Collection, Iterator
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.plan import Plan
from k2compat.launch.planning.formats import shows_image
from k2compat.launch.request import Request

_codes = Codes("launch")

_DEVICES: Final = frozenset({"interface", "ib_device"})


def unused_options(
    request: Request, plan: Plan, output_format: str, given: Collection[str]
) -> Iterator[Finding]:
    """Find options that no command uses.

    Args:
        request: The request.
        plan: Its plan.
        output_format: One of FORMATS.
        given: The options that were given, by the names of their parameters.
    """
    named = {finding.where for finding in plan.findings}
    used = plan.deciding.union(*(command.options for command in plan.commands))
    if shows_image(output_format, given="image" in request.values):
        mounted = (mount.source.options | mount.target.options for mount in plan.mounts)
        used = used.union({"image"}, *mounted)
    for name in given:
        option = "--" + name.replace("_", "-")
        if name in _judged(request) and name not in used and option not in named:
            yield _codes.finding(
                "option-unused",
                option,
                f"{option} changes nothing here: no command of {request.engine} takes it with "
                f"profile {plan.profile}, strategy {plan.strategy} and these nodes.",
                fix=f"Leave {option} out.",
            )


def _judged(request: Request) -> frozenset[str]:
    """The options that affect only commands; others affect more."""
    devices = _DEVICES if request.cluster is not None and request.cluster.nodes else frozenset()
    return devices.union(request.values, {"amx", "executor"})
