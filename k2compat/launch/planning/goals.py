"""The settings of a goal, from the engine's own documents. Pure.

They are added to the plan like those of `--set`, before the user's own, so that layout, flags and
fit follow from them and are checked.
"""

from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Goal, describe, goals_of, read_profile
from k2compat.launch.flags import EngineRelease
from k2compat.launch.memory import gpu_facts
from k2compat.launch.request import GPUS_PER_NODE, Cluster, Request
from k2compat.printable import counted

_codes = Codes("launch")


def with_goal(request: Request) -> tuple[Request, tuple[Finding, ...]]:
    """The request with the settings of its goal, and the finding that names their source.

    Args:
        request: One with a goal.

    Raises:
        RefusedError: goal-not-documented, or strategy-not-offered where the user's strategy is not
            the documented one; unknown-gpu, gpu-not-supported.
    """
    if request.profile == "guide":
        raise RefusedError(
            "goal-not-documented",
            "The guide's commands are rendered to the letter, without a goal.",
            hint="Leave --profile guide out.",
        )
    goal = _chosen(request)
    if request.strategy not in (None, goal.strategy):
        raise RefusedError(
            "strategy-not-offered",
            f"{goal} is documented with strategy {goal.strategy}.",
            hint=f"Leave --strategy out, or --goal {goal.goal}.",
        )
    figure = f": {goal.figure}" if goal.figure else ""
    finding = _codes.finding(
        "goal-chosen", "--goal", f"The settings for {goal.goal} are those of {goal.source}{figure}."
    )
    chosen = replace(
        request,
        strategy=goal.strategy,
        proposed=goal.settings,
        environment={**goal.environment, **request.environment},
    )
    return chosen, (finding,)


def _chosen(request: Request) -> Goal:
    profile = read_profile(request.engine)
    label = request.engine_version or profile.versions[request.profile]
    release = EngineRelease.of(request.engine, label)
    cluster = request.cluster or Cluster(())
    facts = request.model.facts | request.facts | gpu_facts(cluster.gpu)
    gpus = max(len(cluster.nodes), 1) * (cluster.gpus_per_node or GPUS_PER_NODE)
    goals = goals_of(request.engine)
    for goal in goals:
        if goal.goal == request.goal and goal.suits(release.version, facts, gpus):
            return goal
    having = describe(sorted(goals, key=lambda goal: goal.goal != request.goal))
    on = f"{gpus} × {cluster.gpu}" if cluster.gpu else f"{counted(gpus, 'GPU')} without --gpu"
    raise RefusedError(
        "goal-not-documented",
        f"No settings are documented for {request.goal} with {release}, {request.model.name} and "
        f"{on}.",
        hint=f"Documented are: {having}."
        if having
        else f"Leave --goal out: {request.engine} documents none.",
    )
