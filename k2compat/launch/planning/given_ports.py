"""Ports of `--set` as values of the plan, like the command's own options for ports. Pure.

The plan also uses a port for waits, health checks and the load balancer's addresses. If only one
command changed, all of these would keep the old number.
"""

from msgspec.structs import replace

from k2compat.launch.engines import Profile, Situation
from k2compat.launch.request import Argument, Request

_PORT = "port"


def with_given_ports(request: Request, profile: Profile, situation: Situation) -> Request:
    """The request with the ports of its settings among its values.

    Args:
        request: Its settings do not change.
        profile: The engine's profile: a row whose value is one port gives the flag of the port.
        situation: Decides which rows can apply.
    """
    names = _port_flags(profile, situation)
    found: dict[str, Argument] = {}
    for setting in request.settings:
        flag, _, value = setting.partition("=")
        name = names.get(_stem(flag))
        if name is not None and value:
            found[name] = Argument.parse(value)
    return replace(request, values={**request.values, **found}) if found else request


def _port_flags(profile: Profile, situation: Situation) -> dict[str, str]:
    """Stem of a flag → the value of the profile that it is given."""
    settable = [each for each in profile.commands if each.settable and each.applies(situation)]
    groups = {group for command in settable for group in command.flags}
    strategy, named = situation.strategy, situation.profile
    return {
        _stem(row.flag): row.value.strip("{}")
        for group in sorted(groups)
        for row in profile.rows[group]
        if isinstance(row.value, str)
        and row.value.endswith(f"{_PORT}}}")
        and row.value.count("{") == 1
        and row.value.startswith("{")
        and strategy in (row.strategies or (strategy,))
        and named in (row.profiles or (named,))
    }


def _stem(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")
