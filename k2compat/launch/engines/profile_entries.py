"""The entries of a launch profile: rows, commands, files, findings; and when each applies."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
from packaging.version import Version

from k2compat.launch.engines.version_range import in_range


class Situation(msgspec.Struct, frozen=True):
    """The values that decide which entries of a profile apply.

    Attributes:
        profile: "default" or "guide".
        strategy: One of STRATEGIES.
        version: The version of the engine.
        facts: The facts, by name: "multi_node", "first_node", "reasoning", …
    """

    profile: str
    strategy: str
    version: Version
    facts: AbstractSet[str] = frozenset()

    def with_facts(self, *facts: str) -> "Situation":
        """The same with more facts."""
        return Situation(self.profile, self.strategy, self.version, self.facts | set(facts))


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The members of every entry of a profile: its conditions and its source."""

    profiles: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    versions: str = ""
    when: tuple[str, ...] = ()
    source: str = ""

    def applies(self, situation: Situation) -> bool:
        """Whether all of its conditions are true."""
        return (
            (not self.profiles or situation.profile in self.profiles)
            and (not self.strategies or situation.strategy in self.strategies)
            and in_range(self.versions, situation.version)
            and all(_holds(condition, situation.facts) for condition in self.when)
        )


class Row(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flag or an environment variable.

    Attributes:
        flag: "--port", or the name of a variable.
        value: A template; several for a flag with several values; None for one without.
        each: The name of a list of values; the flag is written once for each, as `{item}`.
        all_of: The name of a list of values, which all follow the flag.
        reason: Its reason, which is shown to people.
    """

    flag: str
    value: str | tuple[str, ...] | None = None
    each: str = ""
    all_of: str = ""
    reason: str = ""


class FileTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that a command reads: its lines, or members that are written as YAML.

    Entries of one path make one file: lines follow each other, members are merged. Lines, and the
    strings among the members, are templates.
    """

    path: str
    lines: tuple[str, ...] = ()
    yaml: Mapping[str, Any] | None = None


class PortTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port that a command listens on: its purpose, and the number's template.

    Attributes:
        name: Its purpose.
        number: The template of its number.
        health: See `plan.Port`.
    """

    name: str
    number: str
    health: str = "/health"


class ProgramTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that several commands start, and the words before their flags."""

    argv: tuple[str, ...]


class CommandTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process.

    Attributes:
        id: Becomes "id-NODE".
        role: See `plan.Command`.
        on: "each", "first" or "others" node, or each of "prefill" or "decode".
        argv: Templates: the program and the words before the flags.
        program: In place of `argv`, the name of the profile's programs; the first that applies.
        flags: Names of groups of rows, in their order.
        tail: Templates of the words after the flags.
        environment: Names of groups of rows.
        files: The files that it reads.
        file_groups: Names of groups of files that it reads, too.
        ports: The ports on which it listens.
        after: Ids of templates whose commands must be started before.
        each: The name of a list of values; there is one command for each, as `{item}`.
        inside: Template of the container in which it runs.
        creates: See `plan.Command`.
        entry: The flag table's entry point that reads what follows `argv`.
        settable: Whether `--set` applies to this command.
        stays: See `plan.Command`.
        spread: See `plan.Command`.
        splits: See `plan.Command`.
    """

    id: str
    role: str
    on: str = "each"
    argv: tuple[str, ...] = ()
    program: str = ""
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


class MountTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder that the commands read, where they run in a container.

    Attributes:
        source: Template of its path on the node.
        target: Template of its path in the container; None: the same.
    """

    source: str
    target: str | None = None


class Limit(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit of a format for this engine.

    Attributes:
        format: The name of the format.
        nodes_max: The largest number of nodes; 0: the format is not possible.
        reason: The reason, as the rest of a sentence.
        hint: The replacement.
    """

    format: str
    reason: str
    hint: str
    source: str
    nodes_max: int = 0


class FindingTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding of the plan, with a code of `codes.toml`."""

    code: str
    where: str
    message: str
    expected: str | None = None
    actual: str | None = None
    fix: str | None = None


class PrerequisiteTemplate(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prerequisite of the commands."""

    text: str
    command: str | None = None


class Forbidden(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flags that must not be in one command.

    Attributes:
        flags: All of them; "--flag=value" if only that value counts.
        unless: A flag with which they do no harm; "": none.
        reason: The effect of the combination.
    """

    flags: tuple[str, ...]
    unless: str = ""
    reason: str

    def is_met(self, present: AbstractSet[str]) -> bool:
        """Whether a command has the combination, by its flags in the form of `flags`."""
        return self.unless not in present and present >= set(self.flags)

    @property
    def title(self) -> str:
        """The combination in the form of messages."""
        without = f" without {self.unless}" if self.unless else ""
        return f"{' with '.join(self.flags)}{without}"

    @property
    def fix(self) -> str:
        """The fix."""
        if self.unless:
            return f"Add {self.unless}."
        return "Leave one of them out." if len(self.flags) > 1 else "Leave it out."


class DefaultNodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nodes of a group if the user named none.

    Attributes:
        group: "" or "prefill" or "decode".
        addresses: One for each node, or one for all if `count` is given.
        count: How many nodes one symbolic node represents.
        rank: The placeholder for its rank.
        first: The address of the group's first node, where `count` is given.
    """

    addresses: tuple[str, ...]
    group: str = ""
    count: int | None = None
    rank: str = "0"
    first: str | None = None


def _holds(condition: str, facts: AbstractSet[str]) -> bool:
    if condition.startswith("!"):
        return condition[1:] not in facts
    return condition in facts
