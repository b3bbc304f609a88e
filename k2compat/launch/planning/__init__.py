"""From a request to a plan, and the checks of the plan."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.planning.checks import check_plan, fits_of, refusal_of
    from k2compat.launch.planning.formats import (
        GIVEN_TO_PODS,
        LEADER,
        for_format,
        set_name,
    )
    from k2compat.launch.planning.given_sizes import layout_in
    from k2compat.launch.planning.options import unused_options
    from k2compat.launch.planning.planner import plan_launch
    from k2compat.launch.request import START_RANK

__all__ = [
    "GIVEN_TO_PODS",
    "LEADER",
    "START_RANK",
    "check_plan",
    "fits_of",
    "for_format",
    "layout_in",
    "plan_launch",
    "refusal_of",
    "set_name",
    "unused_options",
]

_HOMES = {
    "GIVEN_TO_PODS": "formats",
    "LEADER": "formats",
    "START_RANK": "formats",
    "check_plan": "checks",
    "fits_of": "checks",
    "for_format": "formats",
    "layout_in": "given_sizes",
    "plan_launch": "planner",
    "refusal_of": "checks",
    "set_name": "formats",
    "unused_options": "options",
}

__getattr__ = lazy_names(__name__, _HOMES)
