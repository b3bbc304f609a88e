"""The decisions of a plan as a sequence of steps, from values to values. Pure.

    request ─▶ release ─▶ strategy, cluster ─▶ facts ─▶ profile's terms ─▶ layouts
            ─▶ nodes with their values and facts ─▶ commands ─▶ checks of their flags ─▶ plan

The user's values override the profile's, and nothing is guessed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import (
    FindingTemplate,
    Profile,
    ProfileTerms,
    Situation,
    memory_flags_of,
    read_profile,
    terms_of,
)
from k2compat.launch.flags import EngineRelease, check_flags, with_proposed, with_settings
from k2compat.launch.memory import Layout, default_strategy, gpu_facts, layouts_of
from k2compat.launch.plan import Command, Plan, Prerequisite
from k2compat.launch.planning.expand import compose, mounts_of
from k2compat.launch.planning.node_context import contexts_of
from k2compat.launch.request import (
    ALWAYS_SET,
    GPUS_PER_NODE,
    Argument,
    Cluster,
    Node,
    Request,
    request_facts,
    role_of,
)
from k2compat.printable import counted
from k2compat.shell_line import shell_line

PREFILL_DECODE = "pd"
_NAMES_SHOWN = 4

_codes = Codes("launch")

# Characters that an unquoted variable of a shell does not preserve.
_TAKEN_APART = re.compile(r"[\s*?\[]")


def plan_launch(request: Request) -> Plan:
    """Decide everything about a launch.

    Raises:
        RefusedError: strategy-not-offered, cluster-groups, cluster-too-large, argument-split,
            placeholder-in-file, engine-version-invalid, setting-refused, draft-not-offered or
            value-malformed.
    """
    chosen: tuple[Finding, ...] = ()
    if request.goal is not None:
        from k2compat.launch.planning.goals import with_goal  # 2 ms, for goals alone

        request, chosen = with_goal(request)
    profile = read_profile(request.engine)
    drafting: tuple[Finding, ...] = ()
    if request.draft is not None:
        from k2compat.launch.planning.drafts import demand_draft

        drafting = tuple(demand_draft(request.draft, request, profile))
    release = EngineRelease.of(
        request.engine, request.engine_version or profile.versions[request.profile]
    )
    named = request.cluster.sizes if request.cluster else {}
    strategy = _strategy(request, profile, named)
    cluster = _cluster(request, profile, strategy, tuple(named))
    facts = request_facts(request, cluster)
    if cluster.gpu is not None:
        facts |= gpu_facts(cluster.gpu)
    situation = Situation(request.profile, strategy, release.version, facts)
    terms = terms_of(profile, situation, cluster.sizes)
    given = None
    if request.settings or request.proposed:
        # 3 ms, for settings alone
        from k2compat.launch.planning.given_ports import with_given_ports
        from k2compat.launch.planning.given_sizes import demand_nodes, given_sizes

        request = _with_proposed(request, profile, terms, release)
        demand_nodes(request.engine, request.settings, cluster)
        request = with_given_ports(request, profile, terms.situation)
        given = given_sizes(profile, terms.situation, release, request.settings)
    layouts = layouts_of(
        terms.divisions, cluster.sizes, cluster.gpus_per_node, request.model.experts, given
    )
    idle: Sequence[Finding] = ()
    if given is not None:
        cluster, idle = _used(cluster, layouts, request.engine)
    contexts = contexts_of(request, profile, terms, cluster, layouts)
    commands = tuple(
        _with_request(command, release, request) if command.settable else command
        for command in compose(profile, contexts)
    )
    _demand_whole(commands)
    plan = Plan(
        engine=request.engine,
        engine_version=release.label,
        profile=request.profile,
        strategy=strategy,
        layouts=layouts,
        cluster=cluster,
        commands=commands,
        model=request.model.name,
        draft=request.draft,
        image=contexts[0].values.get("image"),
        image_given="image" in request.values,
        mounts=mounts_of(profile, contexts[0]),
        deciding=terms.options,
        prerequisites=tuple(
            Prerequisite(entry.text, entry.command) for entry in terms.prerequisites
        ),
        findings=(
            *request.model.findings,
            *drafting,
            *chosen,
            *_beyond_tables(release),
            *idle,
            *_profile_findings(_findings_of(profile, terms, layouts), request.model.name),
            *check_flags(commands, release, terms, cluster.gpus_per_node),
            *_open_placeholders(commands, ALWAYS_SET | request.filled),
        ),
    )
    if not request.settings:
        return plan
    from k2compat.launch.planning.given_sizes import check_rendered

    return replace(plan, findings=(*plan.findings, *check_rendered(plan)))


def _with_proposed(
    request: Request, profile: Profile, terms: ProfileTerms, release: EngineRelease
) -> Request:
    """The request with the goal's settings in front of the user's."""
    from k2compat.launch.planning.given_sizes import settable_entry

    entry = settable_entry(profile, terms.situation)
    if entry is None or not request.proposed:
        return request
    settings = with_proposed(release.table(entry), request.settings, request.proposed)
    return replace(request, settings=settings)


def _with_request(command: Command, release: EngineRelease, request: Request) -> Command:
    """A command with the flags and variables of the request."""
    if request.settings:
        command = with_settings(command, release, request.settings)
    given = {name: Argument.literal(value) for name, value in request.environment.items()}
    return replace(command, environment={**command.environment, **given})


def _used(
    cluster: Cluster, layouts: Mapping[str, Layout], engine: str
) -> tuple[Cluster, Sequence[Finding]]:
    """The cluster with the GPUs that the layouts use, and a finding on unused ones.

    Schedulers, MPI and containers get as many GPUs as the processes use. A layout that does not use
    the same number of GPUs on each node stays unchanged; the checks report it.
    """
    used = {layout.world_size / cluster.size(group) for group, layout in layouts.items()}
    gpus = int(max(used))
    if used != {gpus} or gpus >= cluster.gpus_per_node:
        return cluster, ()
    names = ", ".join(dict.fromkeys(map(str, layouts.values())))
    parallel = memory_flags_of(engine).parallel
    factor = cluster.gpus_per_node // gpus
    more = parallel.pipeline[0].lstrip("-") if parallel and parallel.pipeline else ""
    idle = _codes.finding(
        "gpus-idle",
        names,
        f"{names} uses {gpus} of a node's {counted(cluster.gpus_per_node, 'GPU')}.",
        fix=("--set", f"{more}={max(each.pipeline_parallel for each in layouts.values()) * factor}")
        if more
        else None,
    )
    unused = cluster.gpus_per_node - gpus
    return replace(cluster, gpus_per_node=gpus, gpus_idle=unused), (idle,)


def _demand_whole(commands: Sequence[Command]) -> None:
    """Refuse arguments that a command's own program would split."""
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
    nearest = release.nearest_known
    if nearest is not None:
        than = "newer" if release.version > nearest else "older"
        yield _codes.finding(
            "engine-version-unknown",
            "--engine-version",
            f"{release} is {than} than {nearest}, by whose flags it was checked.",
        )


def _strategy(request: Request, profile: Profile, named: Mapping[str, int]) -> str:
    """The requested strategy, or the one that fits the groups of the named nodes."""
    offered = profile.clusters[request.profile]
    strategy, cluster = request.strategy, request.cluster
    if strategy is None and tuple(named) not in ((), ("",)):
        strategy = PREFILL_DECODE
    if strategy is None:
        nodes = named.get("", 1)
        return default_strategy(offered, nodes, cluster.gpus_per_node if cluster else GPUS_PER_NODE)
    wanted = profile.aliases.get(request.profile, {}).get(strategy, strategy)
    if wanted not in offered:
        instead = profile.refused.get(strategy, "")
        raise RefusedError(
            "strategy-not-offered",
            f"There is no strategy {strategy} for {request.engine} in profile {request.profile}.",
            hint=f"{instead} It has --strategy {', '.join(offered)}".strip(),
        )
    return wanted


def _cluster(request: Request, profile: Profile, strategy: str, groups: tuple[str, ...]) -> Cluster:
    """The user's nodes, or the profile's where the user named none."""
    wanted = ("prefill", "decode") if strategy == PREFILL_DECODE else ("",)
    named = request.cluster
    if named is None or not named.nodes:
        return _default_cluster(profile, request, strategy, named)
    if tuple(dict.fromkeys(map(role_of, groups))) != wanted:
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


def _findings_of(
    profile: Profile, terms: ProfileTerms, layouts: Mapping[str, Layout]
) -> Sequence[FindingTemplate]:
    """The findings of a profile, those about the layouts included."""
    if all(layout.pipeline_parallel == 1 for layout in layouts.values()):
        return terms.findings
    situation = terms.situation.with_facts("pipeline_stages")
    return tuple(entry for entry in profile.findings if entry.applies(situation))


def _profile_findings(entries: Sequence[FindingTemplate], model: Argument) -> Iterator[Finding]:
    for entry in entries:
        yield _codes.finding(
            entry.code,
            entry.where,
            entry.message,
            expected=entry.expected,
            actual=entry.actual,
            fix=entry.fix and entry.fix.replace("MODEL", shell_line(str(model))),
        )


def _open_placeholders(commands: Sequence[Command], known: AbstractSet[str]) -> Iterator[Finding]:
    """Make one finding for all: a plan for many nodes has many placeholders with one cure."""
    spellings: dict[str, str] = {}  # $X and ${X} are the same: the first spelling is shown
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
