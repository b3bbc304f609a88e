"""Rendering of a plan: text for a person, scripts, a cluster's own formats. Pure.

Each format has a module here; `document` gives the members of the JSON document.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from k2compat.launch.plan import Plan
from k2compat.launch.render.script import Script
from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.launch.render.document import as_document
    from k2compat.launch.render.shell import lies_beside, node_script
    from k2compat.launch.render.shell_words import open_names

__all__ = [
    "FORMATS",
    "Script",
    "as_document",
    "lies_beside",
    "node_script",
    "open_names",
    "render_plan",
]

_HOMES = {
    "as_document": "document",
    "lies_beside": "shell",
    "node_script": "shell",
    "open_names": "shell_words",
}

__getattr__ = lazy_names(__name__, _HOMES)

# Format → the module and the function that make it. They are imported when they are asked for:
# YAML's library alone is a twentieth of the time of a launch that prints text.
_RENDERERS: Final[Mapping[str, tuple[str, str]]] = {
    "text": ("text", "as_text_file"),
    "sh": ("shell", "as_scripts"),
    "slurm": ("slurm", "as_sbatch"),
    "lws": ("lws", "as_leader_worker_sets"),
    "compose": ("compose", "as_compose"),
    "ray": ("shell", "as_scripts"),
}

FORMATS: Final = tuple(_RENDERERS)


def render_plan(plan: Plan, output_format: str) -> Mapping[str, Script]:
    """The files of a format, by their names.

    Args:
        plan: The plan.
        output_format: One of FORMATS.
    """
    module, name = _RENDERERS[output_format]
    files: Mapping[str, Script] = getattr(import_module(f"{__name__}.{module}"), name)(plan)
    return files
