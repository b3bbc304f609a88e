"""Launch profiles: the commands as data. One TOML file for each engine, `ENGINE/profile.toml`.

    engine = "vllm"
    [strategies.tp]                       # strategy → how the GPUs are divided
    layout = { tensor_parallel = "world" }

    [strategies.pd.guide.decode]          # what a profile divides otherwise in a group of nodes
    redundant_experts = "one_each"

    [values.default]                      # for templates, with planning/node_context.py's
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

    [[programs.server]]                   # what several commands start: `program = "server"`
    argv = ["vllm", "serve"]

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
applies. Reading is strict: an unknown key, a value of another type and a fact that is not in the
register (`request/facts.py`) are refused with their place.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Final, TypeVar

import msgspec
from packaging.version import Version

from k2compat.launch.engines import engine_folder
from k2compat.launch.engines.derivation import derivation_of
from k2compat.launch.engines.profile_entries import (
    CommandTemplate,
    DefaultNodes,
    Entry,
    FileTemplate,
    FindingTemplate,
    Forbidden,
    Limit,
    MountTemplate,
    PrerequisiteTemplate,
    ProgramTemplate,
    Row,
)
from k2compat.launch.request import is_fact
from k2compat.typed_toml import read_toml

# Keys of the table of sources besides groups of rows.
_OTHER_SOURCES = ("", "findings", "prerequisites")

PROFILES: Final = ("default", "guide")
STRATEGIES: Final = ("tp", "tep", "dp-ep", "tp-pp", "pd")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's profile.toml as a value.

    Attributes:
        engine: Its name.
        features: Name → the first version with it, pre-releases compared as such, for `when`.
        nodes_max: How many nodes the engine can use; None: any number.
        strategies: Strategy → how the GPUs are divided; see `layout.layouts_of`.
        exceptions: Strategy → profile → group → the sizes that differ there.
        values: Profile → strategy ("" for all) → name → template.
        products: Profile → name → factors: numbers, or names of a node's values.
        clusters: Profile → strategy → the nodes where none were named; see `DefaultNodes`.
        versions: Profile → the engine's version where none was named.
        rows: Group → flags or variables.
        refused: Strategy or option ("--draft") that is not offered → its replacement.
        aliases: Profile → requested strategy → the strategy that is used there.
        files: Group → files.
        programs: Name → the programs; the first that applies is used.
        mounts: The folders that a container must have.
        limits: The limits of the formats.
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
    files: Mapping[str, tuple[FileTemplate, ...]] = msgspec.field(default_factory=dict)
    programs: Mapping[str, tuple[ProgramTemplate, ...]] = msgspec.field(default_factory=dict)
    mounts: tuple[MountTemplate, ...] = ()
    limits: tuple[Limit, ...] = ()
    nodes_max: int | None = None
    refused: Mapping[str, str] = msgspec.field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    features: Mapping[str, str] = msgspec.field(default_factory=dict)
    exceptions: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]] = msgspec.field(
        default_factory=dict
    )
    products: Mapping[str, Mapping[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)

    @property
    def entries(self) -> Iterator[Entry]:
        """Every entry that can have conditions."""
        yield from self.rendered
        yield from (*self.findings, *self.forbidden, *self.limits)

    @property
    def rendered(self) -> Iterator[Entry]:
        """The entries that are visible in the rendered output."""
        for entries in (*self.rows.values(), *self.files.values(), *self.programs.values()):
            yield from entries
        for command in self.commands:
            yield from (command, *command.files, *command.ports)
        yield from (*self.prerequisites, *self.mounts)

    def features_at(self, version: Version) -> AbstractSet[str]:
        """The features of a version, which are facts of a situation."""
        return {name for name, first in self.features.items() if Version(first) <= version}

    def division(self, profile: str, strategy: str, group: str) -> Mapping[str, str]:
        """How the GPUs of a group of nodes are divided; see `layout.layouts_of`."""
        otherwise = self.exceptions.get(strategy, {}).get(profile, {}).get(group, {})
        return {**self.strategies[strategy], **otherwise}

    def values_of(self, profile: str, strategy: str) -> Mapping[str, str]:
        """The templates of a profile's values: those of all strategies, then of this one."""
        entries = self.values.get(profile, {})
        return {**entries.get("", {}), **entries.get(strategy, {})}


_E = TypeVar("_E", bound=Entry)

# A division: kind of parallelism → size. A strategy has one for all nodes, under "layout", and
# others by profile and group.
_Division = dict[str, str]


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The form of a profile.toml."""

    engine: str
    versions: dict[str, str]
    clusters: dict[str, dict[str, tuple[DefaultNodes, ...]]]
    strategies: dict[str, dict[str, dict[str, str | _Division]]]
    commands: tuple[CommandTemplate, ...]
    values: dict[str, dict[str, str | dict[str, str]]] = {}
    products: dict[str, dict[str, tuple[str, ...]]] = {}
    rows: dict[str, tuple[Row, ...]] = {}
    files: dict[str, tuple[FileTemplate, ...]] = {}
    programs: dict[str, tuple[ProgramTemplate, ...]] = {}
    findings: tuple[FindingTemplate, ...] = ()
    prerequisites: tuple[PrerequisiteTemplate, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()
    mounts: tuple[MountTemplate, ...] = ()
    limits: tuple[Limit, ...] = ()
    nodes_max: int | None = None
    refused: dict[str, str] = {}
    aliases: dict[str, dict[str, str]] = {}
    features: dict[str, str] = {}
    sources: dict[str, str] = {}


@cache
def read_profile(engine: str) -> Profile:
    """The profile of an engine.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The file has a mistake (a bug; a test reads them all).
    """
    path = engine_folder(engine) / "profile.toml"
    file = read_toml(path, _File)
    unknown = set(file.sources).difference(file.rows, _OTHER_SOURCES)
    if unknown:
        raise ValueError(f"{path}: [sources] names {', '.join(sorted(unknown))}, which is no group")
    profile = Profile(
        engine=file.engine,
        versions=file.versions,
        clusters=file.clusters,
        strategies={name: _texts(entry["layout"]) for name, entry in file.strategies.items()},
        exceptions={name: _by_group(entry) for name, entry in file.strategies.items()},
        values={name: _by_strategy(entries) for name, entries in file.values.items()},
        products=file.products,
        rows={name: _with_source(rows, file.sources, name) for name, rows in file.rows.items()},
        commands=file.commands,
        findings=_with_source(file.findings, file.sources, "findings"),
        prerequisites=_with_source(file.prerequisites, file.sources, "prerequisites"),
        forbidden=file.forbidden,
        files=file.files,
        programs=file.programs,
        mounts=file.mounts,
        limits=file.limits,
        nodes_max=file.nodes_max,
        refused=file.refused,
        aliases=file.aliases,
        features=file.features,
    )
    _refuse_unknown_facts(str(path), profile)
    return profile


def _texts(members: Mapping[str, str | _Division]) -> _Division:
    return {name: value for name, value in members.items() if isinstance(value, str)}


def _by_group(
    members: Mapping[str, Mapping[str, str | _Division]],
) -> Mapping[str, Mapping[str, _Division]]:
    """Profile → group → the sizes that differ there."""
    return {
        profile: {group: value for group, value in groups.items() if isinstance(value, dict)}
        for profile, groups in members.items()
    }


def _by_strategy(entries: Mapping[str, str | _Division]) -> Mapping[str, Mapping[str, str]]:
    own = {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    return {**own, "": _texts(entries)}


def _with_source(entries: tuple[_E, ...], sources: Mapping[str, str], group: str) -> tuple[_E, ...]:
    """The entries; one without a source gets that of its group, or of the file."""
    source = sources.get(group) or sources.get("", "")
    return tuple(
        entry if entry.source else msgspec.structs.replace(entry, source=source)
        for entry in entries
    )


def _refuse_unknown_facts(path: str, profile: Profile) -> None:
    """Refuse unknown facts: a row with a misspelt fact would be missing from every plan."""
    known = {*profile.features, *derivation_of(profile.engine).adds}
    for entry in profile.entries:
        for condition in entry.when:
            if not is_fact(condition.removeprefix("!"), known):
                raise ValueError(f"{path}: there is no fact {condition!r}, for `when` of {entry}")
