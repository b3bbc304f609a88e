"""Decide a plan: request → situation → values of each node → commands and findings. Pure.

    Request ──┬─ profile (data) ── strategy, layout ──┐
              ├─ model ── facts ──────────────────────┼─▶ Places ─ compose ─▶ Commands ─┐
              └─ cluster ── nodes, devices ───────────┘                                 │
    the profile's findings and prerequisites, open placeholders ───────────────▶ Plan ◀─┘

What the user asked for goes before the profile, and nothing is guessed.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import Profile, Situation, derivation_of, read_profile
from k2compat.launch.flags import EngineRelease, check_flags, with_settings
from k2compat.launch.memory import default_strategy, layout_of
from k2compat.launch.plan import Command, Plan, Prerequisite
from k2compat.launch.planning.expand import compose, mounts_of
from k2compat.launch.planning.node_context import places_of, plan_facts
from k2compat.launch.planning.options import decisive_conditions
from k2compat.launch.request import ALWAYS_SET, GPUS_PER_NODE, Argument, Cluster, Node, Request
from k2compat.shell_line import shell_line

PREFILL_DECODE = "pd"
_NAMES_SHOWN = 4

_codes = Codes("launch")

# What an unquoted variable of a shell does not survive.
_TAKEN_APART = re.compile(r"[\s*?\[]")


def plan_launch(request: Request) -> Plan:
    """Decide everything about a launch.

    Raises:
        RefusedError: strategy-not-offered, cluster-groups, cluster-too-large, argument-split,
            placeholder-in-file, engine-version-invalid, setting-refused or value-malformed.
    """
    profile = read_profile(request.engine)
    release = EngineRelease.of(
        request.engine, request.engine_version or profile.versions[request.profile]
    )
    strategy = _strategy(request, profile)
    cluster = _cluster(request, profile, strategy)
    layouts = {
        group: layout_of(
            profile.division(request.profile, strategy, group),
            cluster.size(group),
            cluster.gpus_per_node,
            request.model.experts,
        )
        for group in cluster.groups
    }
    situation = Situation(request.profile, strategy, release.version, plan_facts(request, cluster))
    situation = situation.with_facts(*profile.features_at(release.version))
    conditions = frozenset(decisive_conditions(profile, situation))
    situation = situation.with_facts(*derivation_of(request.engine).facts(situation))
    places = places_of(request, profile, situation, cluster, layouts)
    commands = tuple(
        with_settings(command, release, request.settings)
        if command.settable and request.settings
        else command
        for command in compose(profile, places)
    )
    _demand_whole(commands)
    forbidden = [entry for entry in profile.forbidden if entry.applies(situation)]
    return Plan(
        engine=request.engine,
        engine_version=release.label,
        profile=request.profile,
        strategy=strategy,
        layouts=layouts,
        cluster=cluster,
        commands=commands,
        model=request.model.name,
        image=places[0].values.get("image"),
        image_given="image" in request.values,
        mounts=mounts_of(profile, places[0]),
        options=conditions.union(*(command.options for command in commands)),
        prerequisites=tuple(
            Prerequisite(entry.text, entry.command)
            for entry in profile.prerequisites
            if entry.applies(situation)
        ),
        findings=(
            *request.model.findings,
            *_beyond_tables(release),
            *_said_by_profile(profile, situation, request.model.name),
            *check_flags(commands, release, forbidden, cluster.gpus_per_node),
            *_open_placeholders(commands, ALWAYS_SET | request.filled),
        ),
    )


def _demand_whole(commands: Sequence[Command]) -> None:
    """Refuse arguments that a command's own program would take apart."""
    for command in commands:
        for word in command.argv[command.head :] if command.splits else ():
            if _TAKEN_APART.search(str(word)) or not word.parts:
                raise RefusedError(
                    "argument-split",
                    f"{command.id} is started by a program that splits its arguments again: "
                    f"{str(word)!r} would not arrive whole.",
                    hint="Take a value without spaces and * ? [; for a folder, a link with such "
                    "a name.",
                )


def _beyond_tables(release: EngineRelease) -> Iterator[Finding]:
    nearest = release.nearest_known()
    if nearest is not None:
        than = "newer" if release.version > nearest else "older"
        yield _codes.finding(
            "engine-version-unknown",
            "--engine-version",
            f"{release} is {than} than {nearest}, by whose flags it was checked.",
        )


def _strategy(request: Request, profile: Profile) -> str:
    offered = profile.clusters[request.profile]
    strategy, cluster = request.strategy, request.cluster
    if strategy is None and cluster and cluster.groups not in ((), ("",)):
        strategy = PREFILL_DECODE
    if strategy is None:
        nodes = max(cluster.size(""), 1) if cluster else 1
        return default_strategy(offered, nodes, cluster.gpus_per_node if cluster else GPUS_PER_NODE)
    wanted = profile.aliases.get(request.profile, {}).get(strategy, strategy)
    if wanted not in offered:
        raise RefusedError(
            "strategy-not-offered",
            f"There is no strategy {strategy} for {request.engine} in profile {request.profile}.",
            hint=f"It has --strategy {', '.join(offered)}",
        )
    return wanted


def _cluster(request: Request, profile: Profile, strategy: str) -> Cluster:
    """The user's nodes, or the profile's where the user named none."""
    wanted = ("prefill", "decode") if strategy == PREFILL_DECODE else ("",)
    named = request.cluster
    if named is None or not named.nodes:
        return _default_cluster(profile, request, strategy, named)
    if named.groups != wanted:
        options = "--prefill-nodes and --decode-nodes" if len(wanted) > 1 else "--nodes"
        raise RefusedError(
            "cluster-groups",
            f"Strategy {strategy} takes its nodes from {options}.",
            hint=f"Give {options}, or another --strategy.",
        )
    if profile.nodes_max is not None and len(named.nodes) > profile.nodes_max:
        raise RefusedError(
            "cluster-too-large",
            f"{request.engine} runs on {profile.nodes_max} node; {len(named.nodes)} were named.",
            hint="Name one node; vllm, sglang and trtllm spread a model over several.",
        )
    return named


def _default_cluster(
    profile: Profile, request: Request, strategy: str, sizes: Cluster | None
) -> Cluster:
    groups = profile.clusters[request.profile][strategy]
    nodes = [
        Node(
            name=f"{entry.group or 'node'}{'' if entry.count else rank}",
            rank=Argument.parse(entry.rank) if entry.count else Argument.literal(rank),
            address=Argument.parse(address),
            group=entry.group,
        )
        for entry in groups
        for rank, address in enumerate(entry.addresses)
    ]
    return Cluster(
        nodes=tuple(nodes),
        gpus_per_node=sizes.gpus_per_node if sizes else GPUS_PER_NODE,
        gpu=sizes.gpu if sizes else None,
        counts={entry.group: entry.count for entry in groups if entry.count},
        firsts={entry.group: Argument.parse(entry.first) for entry in groups if entry.first},
    )


def _said_by_profile(profile: Profile, situation: Situation, model: Argument) -> Iterator[Finding]:
    for entry in profile.findings:
        if entry.applies(situation):
            yield _codes.finding(
                entry.code,
                entry.where,
                entry.message,
                expected=entry.expected,
                actual=entry.actual,
                fix=entry.fix and entry.fix.replace("MODEL", shell_line(str(model))),
            )


def _open_placeholders(commands: Sequence[Command], known: AbstractSet[str]) -> Iterator[Finding]:
    """One finding for all: a plan for many nodes has many, and all ask for the same."""
    spellings: dict[str, str] = {}  # $X and ${X} are one; the first spelling stands for both
    for command in commands:
        for placeholder in (each for word in command.words for each in word.placeholders):
            if placeholder.name not in known:
                spellings.setdefault(placeholder.name, placeholder.spelling)
    names = tuple(spellings.values())
    if names:
        more = len(names) - _NAMES_SHOWN
        shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
        yield _codes.finding(
            "placeholder-open",
            shown,
            f"{shown} {verb} not known yet: set {them} where the commands are run.",
            count=len(names),
            items=names,
        )
