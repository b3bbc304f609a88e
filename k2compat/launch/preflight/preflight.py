"""The whole preflight of a plan: read the node, then judge plan, node and the model's files.

`k2compat preflight` shows the result, and `k2compat launch --run` checks it before it starts.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k2compat.checkpoint import open_folder_source
from k2compat.findings import Finding
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.checks import check_node, check_offline, node_of, without_open
from k2compat.launch.preflight.inspection import Inspection, question_of
from k2compat.launch.preflight.model_checks import check_model, check_model_path
from k2compat.launch.preflight.read_node import read_node
from k2compat.launch.preflight.requirements import needs_of
from k2compat.launch.preflight.resolving import resolve_plan, resolve_word
from k2compat.launch.request import Argument, LaunchModel


@dataclass(frozen=True, slots=True)
class Preflight:
    """The result of a preflight.

    Attributes:
        plan: The plan; on a node with the values of its variables in place.
        findings: Each once, in the order they were found.
        inspection: The node and its facts; None where only the plan was judged.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    inspection: Inspection | None = None


def preflight_plan(
    plan: Plan,
    model: LaunchModel,
    *,
    node_rank: str | None = None,
    gguf_path: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Preflight:
    """Find what would stop a plan. Nothing is changed, nothing is sent.

    Args:
        plan: The plan.
        model: Its model.
        node_rank: This node, by its place in the plan or its name; None: judge only the plan and
            read nothing.
        gguf_path: The folder of the GGUFs, if it is not the model's folder.
        environment: The node's variables; None means those of this process.

    Raises:
        RefusedError: node-unknown; not-readable for the model's folder; unknown-gpu.
    """
    if node_rank is None:
        return Preflight(plan, tuple(dict.fromkeys(check_offline(plan, model.config))))
    variables = os.environ if environment is None else environment
    resolved = resolve_plan(plan, variables)
    node = node_of(resolved, node_rank)
    source = open_folder_source(model.folder) if model.folder else None
    inspection = Inspection(resolved, node, read_node(question_of(resolved, node), source))
    found = [*without_open(check_offline(resolved, model.config)), *check_node(inspection)]
    found += check_model_path(str(resolve_word(plan.model, variables)))
    if plan.draft is not None:
        found += check_model_path(str(resolve_word(plan.draft.name, variables)), "draft")
    weights = _weights(model.folder, gguf_path if needs_of(plan.engine).weights_apart else None)
    if model.folder is not None and weights is not None:
        found += check_model(model.folder, weights, plan.engine)
    return Preflight(resolved, tuple(dict.fromkeys(found)), inspection)


def _weights(folder: Path | None, gguf_path: str | None) -> Path | None:
    """The folder with the weights; None where it is not known yet."""
    if gguf_path is None:
        return folder
    return None if Argument.parse(gguf_path).placeholders else Path(gguf_path)
