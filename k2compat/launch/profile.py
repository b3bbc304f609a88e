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
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from packaging.specifiers import SpecifierSet
from packaging.version import Version

# What the table of sources names beside groups of rows.
_OTHER_SOURCES = ("", "findings", "prerequisites")

_FOLDER = Path(__file__).with_name("profiles")

ENGINES: Final = ("vllm", "sglang", "ktransformers", "trtllm")
PROFILES: Final = ("default", "guide")
STRATEGIES: Final = ("tp", "dp-ep", "tp-pp", "pd")


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides which entries of a profile apply.

    Attributes:
        profile: "default" or "guide".
        strategy: One of STRATEGIES.
        version: Of the engine.
        facts: What holds, by name: "multi_node", "first_node", "reasoning", …
    """

    profile: str
    strategy: str
    version: Version
    facts: AbstractSet[str] = frozenset()

    def with_facts(self, *facts: str) -> "Situation":
        """The same with more facts."""
        return Situation(self.profile, self.strategy, self.version, self.facts | set(facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every entry of a profile can say: when it applies, and where that is written."""

    profiles: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    versions: str = ""
    when: tuple[str, ...] = ()
    source: str = ""

    def applies(self, situation: Situation) -> bool:
        """Whether all that it asks for holds."""
        version = situation.version
        if version.is_prerelease:  # 0.5.3rc1 has what 0.5.3 has; a specifier would let neither in
            version = Version(version.base_version)
        return (
            (not self.profiles or situation.profile in self.profiles)
            and (not self.strategies or situation.strategy in self.strategies)
            and SpecifierSet(self.versions).contains(version)
            and all(_holds(condition, situation.facts) for condition in self.when)
        )

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> Self:
        """An entry from its TOML table.

        Raises:
            ValueError: A key that no such entry has.
        """
        known = {member.name for member in fields(cls)}
        unknown = set(members) - known
        if unknown:
            raise ValueError(f"{cls.__name__} has no {', '.join(sorted(unknown))}: {members}")
        return cls(**{key: _frozen(value) for key, value in members.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Entry):
    """A flag or an environment variable.

    Attributes:
        flag: "--port", or the name of a variable.
        value: A template; several for a flag with several values; None for one without.
        reason: Why it is there; shown to people.
    """

    flag: str
    value: str | tuple[str, ...] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTemplate(Entry):
    """A file that a command reads: its lines, or members that are written as YAML.

    Entries of one path make one file: lines follow each other, members are merged.
    """

    path: str
    lines: tuple[str, ...] = ()
    yaml: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTemplate(Entry):
    """A port that a command listens on: what it is for, and the number's template."""

    name: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTemplate(Entry):
    """A process.

    Attributes:
        id: Becomes "id-NODE".
        role: See `plan.Command`.
        on: "each", "first" or "others" node, or each of "prefill" or "decode".
        argv: Templates: the program and what stands before the flags.
        flags: Names of groups of rows, in their order.
        tail: Templates of what stands behind the flags.
        environment: Names of groups of rows.
        files: What it reads.
        file_groups: Names of groups of files that it reads, too.
        ports: What it listens on.
        after: Ids of templates whose commands must have been started before.
        each: The name of a list of values; the command stands once for each, as `{item}`.
        inside: Template of the container that it runs in.
        creates: See `plan.Command`.
        entry: The flag table's entry point that reads what follows `argv`.
        settable: Whether `--set` is about this command.
        stays: See `plan.Command`.
        spread: See `plan.Command`.
        splits: See `plan.Command`.
    """

    id: str
    role: str
    on: str = "each"
    argv: tuple[str, ...]
    flags: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    files: tuple[FileTemplate, ...] = ()
    file_groups: tuple[str, ...] = ()
    ports: tuple[PortTemplate, ...] = ()
    after: tuple[str, ...] = ()
    each: str | None = None
    inside: str | None = None
    creates: str | None = None
    entry: str | None = None
    settable: bool = False
    stays: bool = False
    spread: bool = False
    splits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountTemplate(Entry):
    """A folder that the commands read, where they run in a container.

    Attributes:
        source: Template of its path on the node.
        target: Template of its path in the container; None: the same.
    """

    source: str
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Entry):
    """What a format cannot hold of this engine.

    Attributes:
        format: Its name.
        nodes_max: With how many nodes it still can; 0: never.
        reason: Why, as the rest of a sentence.
        hint: What to do instead.
    """

    format: str
    reason: str
    hint: str
    nodes_max: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingTemplate(Entry):
    """Something to be said of the plan, with a code of `codes.toml`."""

    code: str
    where: str
    message: str
    expected: str | None = None
    actual: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrerequisiteTemplate(Entry):
    """What must be there before."""

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden(Entry):
    """Flags that may not stand in one command.

    Attributes:
        flags: All of them; "--flag=value" where only that value is meant.
        reason: What happens otherwise.
    """

    flags: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultNodes:
    """The nodes of a group where the user named none.

    Attributes:
        group: "" or "prefill" or "decode".
        addresses: One a node, or one for all where `count` is said.
        count: How many nodes one symbolic node stands for.
        rank: The placeholder for its rank.
        first: The address of the group's first node, where `count` is said.
    """

    addresses: tuple[str, ...]
    group: str = ""
    count: int | None = None
    rank: str = "0"
    first: str | None = None


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
    clusters: Mapping[str, Mapping[str, tuple["DefaultNodes", ...]]]
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
    members = tomllib.loads((_FOLDER / f"{engine}.toml").read_text(encoding="utf-8"))
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
    return DefaultNodes(**{key: _frozen(value) for key, value in members.items()})


def _holds(condition: str, facts: AbstractSet[str]) -> bool:
    if condition.startswith("!"):
        return condition[1:] not in facts
    return condition in facts


def _frozen(value: Any) -> Any:
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(value) if is_sequence else value
