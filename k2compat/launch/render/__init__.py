"""A plan for readers: text for a person, scripts, a cluster's own formats. Pure.

Each format has a module here; `document` gives the members of the JSON document.
"""

from collections.abc import Callable, Mapping

from k2compat.launch.plan import Plan
from k2compat.launch.render.compose import as_compose
from k2compat.launch.render.lws import as_leader_worker_sets
from k2compat.launch.render.script import Script
from k2compat.launch.render.shell import as_scripts
from k2compat.launch.render.slurm import as_sbatch
from k2compat.launch.render.text import as_text

__all__ = ["FORMATS", "Script", "render"]

_RENDERERS: Mapping[str, Callable[[Plan], Mapping[str, Script]]] = {
    "text": lambda plan: {"launch.txt": Script(as_text(plan))},
    "sh": as_scripts,
    "slurm": as_sbatch,
    "lws": as_leader_worker_sets,
    "compose": as_compose,
    "ray": lambda plan: as_scripts(plan, waits=True),
}

FORMATS = tuple(_RENDERERS)


def render(plan: Plan, output_format: str) -> Mapping[str, Script]:
    """The files of a format, by their names.

    Args:
        plan: The plan.
        output_format: One of FORMATS.
    """
    return _RENDERERS[output_format](plan)
