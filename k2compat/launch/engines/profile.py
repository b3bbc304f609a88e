"""Launch profiles: what to run, as data. One TOML file an engine, in `profiles/`.

    engine = "vllm"
    [strategies.tp]                       # strategy → how the GPUs are divided
    layout = { tensor_parallel = "world" }

    [strategies.pd.guide.decode]          # what a profile divides otherwise in a group of nodes
    redundant_experts = "one_each"

    [values.default]                      # names for templates, beside those of `places.py`
    port = "30000"

    [values.default.pd]                   # those of one strategy alone
    port = "8000"

    [products.default]                    # name → factors: numbers, or values of the node
    requests = ["data_parallel_size", "128"]

    [[rows.tools]]                        # a group of flags or variables, in their order
    flag = "--tool-call-parser"
    value = "kimi_k2"
    versions = ">=0.10"                   # of the engine
    when = ["multi_node", "!ray"]         # facts that must (not) hold
    reason = "why it is there"
    source = "where that is written"

    [[files.settings]]                    # files that several commands bring: `file_groups`
    path = "settings.yml"
    yaml.some.key = true

    [[mounts]]                            # a folder that a container must see
    source = "{model}"

    [[limits]]                            # what a format of the output cannot hold, and the way out
    format = "ray"
    reason = "…"
    hint = "…"

    [[commands]]                          # a process, on each node that `on` names
    id = "serve"
    role = "serve"
    on = "each"
    argv = ["vllm", "serve", "{model}"]
    flags = ["tools", …]

    [sources]                             # of entries that name none, by group; "" for the rest
    "" = "the parsers of vLLM 0.10.0 and 0.33.0"

Every entry may have `profiles`, `strategies`, `versions` and `when`; without them it always
applies. Reading is strict: an unknown key is a mistake of ours, and a test finds it.
"""

import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from k2compat.launch.engines.profile_entries import (
    CommandTemplate,
    DefaultNodes,
    FileTemplate,
    FindingTemplate,
    Forbidden,
    Limit,
    MountTemplate,
    PortTemplate,
    PrerequisiteTemplate,
    Row,
    frozen,
)

# What the table of sources names beside groups of rows.
_OTHER_SOURCES = ("", "findings", "prerequisites")

_FOLDER = Path(__file__).parent

ENGINES: Final = ("vllm", "sglang", "ktransformers", "trtllm")
PROFILES: Final = ("default", "guide")
STRATEGIES: Final = ("tp", "dp-ep", "tp-pp", "pd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything an engine's file says.

    Attributes:
        engine: Its name.
        features: Name → the first version with it, pre-releases told apart, for `when`.
        nodes_max: How many nodes the engine can use; None: any number.
        strategies: Strategy → how the GPUs are divided; see `parallelism.layout_of`.
        exceptions: Strategy → profile → group → what is divided otherwise there.
        values: Profile → strategy ("" for all) → name → template.
        products: Profile → name → factors: numbers, or names of a node's values.
        clusters: Profile → strategy → the nodes where none were named; see `DefaultNodes`.
        versions: Profile → the engine's version where none was named.
        rows: Group → flags or variables.
        aliases: Profile → strategy asked for → the one that is meant by it there.
        files: Group → files.
        mounts: What a container must see.
        limits: What a format cannot hold.
    """

    engine: str
    versions: Mapping[str, str]
    clusters: Mapping[str, Mapping[str, tuple[DefaultNodes, ...]]]
    strategies: Mapping[str, Mapping[str, str]]
    values: Mapping[str, Mapping[str, Mapping[str, str]]]
    rows: Mapping[str, tuple[Row, ...]]
    commands: tuple[CommandTemplate, ...]
    findings: tuple[FindingTemplate, ...]
    prerequisites: tuple[PrerequisiteTemplate, ...]
    forbidden: tuple[Forbidden, ...]
    files: Mapping[str, tuple[FileTemplate, ...]] = field(default_factory=dict)
    mounts: tuple[MountTemplate, ...] = ()
    limits: tuple[Limit, ...] = ()
    nodes_max: int | None = None
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    exceptions: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]] = field(
        default_factory=dict
    )
    products: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def features_at(self, version: Version) -> AbstractSet[str]:
        """The features that a version has; they are facts of a situation."""
        return {name for name, first in self.features.items() if Version(first) <= version}

    def division(self, profile: str, strategy: str, group: str) -> Mapping[str, str]:
        """How the GPUs of a group of nodes are divided; see `parallelism.layout_of`."""
        otherwise = self.exceptions.get(strategy, {}).get(profile, {}).get(group, {})
        return {**self.strategies[strategy], **otherwise}

    def values_of(self, profile: str, strategy: str) -> Mapping[str, str]:
        """The templates of a profile's values: those of all strategies, then of this one."""
        entries = self.values.get(profile, {})
        return {**entries.get("", {}), **entries.get(strategy, {})}


@cache
def read_profile(engine: str) -> Profile:
    """The profile of an engine.

    Raises:
        ValueError: The file has a mistake (a bug; a test reads them all).
    """
    members = tomllib.loads((_FOLDER / engine / "profile.toml").read_text(encoding="utf-8"))
    strategies = members.pop("strategies")
    sources = members.pop("sources", {})
    profile = Profile(
        engine=members.pop("engine"),
        versions=members.pop("versions"),
        clusters={
            name: {
                strategy: tuple(map(_default_nodes, entries)) for strategy, entries in by.items()
            }
            for name, by in members.pop("clusters").items()
        },
        strategies={name: entry.pop("layout") for name, entry in strategies.items()},
        exceptions=strategies,
        values={name: _by_strategy(entries) for name, entries in members.pop("values", {}).items()},
        products={
            name: {product: tuple(factors) for product, factors in entries.items()}
            for name, entries in members.pop("products", {}).items()
        },
        rows={
            name: tuple(Row.read({**_source(sources, name), **row}) for row in rows)
            for name, rows in members.pop("rows", {}).items()
        },
        commands=tuple(map(_command, members.pop("commands"))),
        findings=tuple(
            FindingTemplate.read({**_source(sources, "findings"), **entry})
            for entry in members.pop("findings", ())
        ),
        prerequisites=tuple(
            PrerequisiteTemplate.read({**_source(sources, "prerequisites"), **entry})
            for entry in members.pop("prerequisites", ())
        ),
        forbidden=tuple(map(Forbidden.read, members.pop("forbidden", ()))),
        files={
            name: tuple(map(FileTemplate.read, files))
            for name, files in members.pop("files", {}).items()
        },
        mounts=tuple(map(MountTemplate.read, members.pop("mounts", ()))),
        limits=tuple(map(Limit.read, members.pop("limits", ()))),
        nodes_max=members.pop("nodes_max", None),
        aliases=members.pop("aliases", {}),
        features=members.pop("features", {}),
    )
    unknown = [*members, *set(sources).difference(profile.rows, _OTHER_SOURCES)]
    if unknown:
        raise ValueError(f"{engine}.toml has no {', '.join(unknown)}")
    return profile


def _by_strategy(entries: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    own = {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}
    return {**own, "": {name: entry for name, entry in entries.items() if name not in own}}


def _source(sources: Mapping[str, str], group: str) -> Mapping[str, str]:
    """The source of the entries of a group that name none of their own."""
    return {"source": sources.get(group) or sources.get("", "")}


def _command(members: Mapping[str, Any]) -> CommandTemplate:
    files = tuple(map(FileTemplate.read, members.get("files", ())))
    ports = tuple(map(PortTemplate.read, members.get("ports", ())))
    return CommandTemplate.read({**members, "files": files, "ports": ports})


def _default_nodes(members: Mapping[str, Any]) -> DefaultNodes:
    return DefaultNodes(**{key: frozen(value) for key, value in members.items()})
