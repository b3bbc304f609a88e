"""The plan of a launch: which commands, on which node, in which order. Plain values.

A plan is decided once, from a profile, a model and a cluster. Renderers show it (text,
scripts, JSON), preflight compares it with a node, `--run` executes the commands of a node; none
of them makes a decision again.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from k2compat.findings import Finding
from k2compat.launch.memory import Layout, gpu_facts
from k2compat.launch.request import Argument, Cluster, Draft, Node, Placeholder

SERVERS: Final = frozenset({"serve", "prefill", "decode"})
"""The roles of the engine's own processes."""


class Port(msgspec.Struct, frozen=True):
    """A port that a command listens on.

    Attributes:
        name: Its purpose: "http", "rpc", "bootstrap", …
        number: The port, or a placeholder.
        health: For a port with HTTP, the path that answers 200 once the server accepts requests;
            "" where the server has none.
    """

    name: str
    number: Argument
    health: str = "/health"


class Command(msgspec.Struct, frozen=True):
    """One process that is started on one node.

    Attributes:
        id: Unique in the plan.
        role: Its role: "serve", "ray-head", "prefill", "load-balancer", "prepare", …
        node: Its node.
        argv: Its words, the engine's own program first. Never quoted here.
        head: How many words of `argv` precede the flags; a person writes them on one line.
        environment: Variables set for it alone.
        files: Path → text of the files it reads, which do not exist yet.
        ports: The ports on which it listens.
        after: Ids of the commands that must be started before.
        inside: The container in which it runs, started before; None for the node itself.
        creates: A file that it makes; if the file exists, it is not run. None: it always runs.
        entry: The flag table's entry point that reads `argv`; None for programs without one.
        settable: Whether the user's own flags (`--set`) go to it.
        stays: Whether it runs until it is stopped; others do their work and end.
        spread: Whether a scheduler starts it on all nodes at once, one process for each GPU.
        splits: Whether its program splits the arguments after `head` again at white space.
        reasons: Flag or variable → its reason.
        file_options: The options of the user in its files.
    """

    id: str
    role: str
    node: Node
    argv: tuple[Argument, ...]
    head: int = 1
    environment: Mapping[str, Argument] = msgspec.field(default_factory=dict)
    files: Mapping[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    after: tuple[str, ...] = ()
    inside: Argument | None = None
    creates: str | None = None
    entry: str | None = None
    settable: bool = False
    stays: bool = False
    spread: bool = False
    splits: bool = False
    reasons: Mapping[str, str] = msgspec.field(default_factory=dict)
    file_options: frozenset[str] = frozenset()

    @property
    def options(self) -> frozenset[str]:
        """The names of the user's options in it."""
        words = (*self.argv, *self.environment.values(), *((self.inside,) if self.inside else ()))
        return self.file_options.union(*(word.options for word in words))

    @property
    def words(self) -> Iterator[Argument]:
        """All of its words that may hold a placeholder."""
        yield from self.argv
        yield from self.environment.values()
        yield from (port.number for port in self.ports)
        if self.inside is not None:
            yield self.inside


class Mount(msgspec.Struct, frozen=True):
    """A folder of the node that a container must see.

    Attributes:
        source: Its path on the node: absolute, or a placeholder.
        target: Its path in the container.
    """

    source: Argument
    target: Argument


class Prerequisite(msgspec.Struct, frozen=True):
    """A prerequisite of the commands.

    Attributes:
        text: One sentence.
        command: A line to paste that installs it, or None.
    """

    text: str
    command: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """How an engine is launched.

    Attributes:
        engine: One of `engines.engine_names()`.
        engine_version: The version that the commands are for.
        profile: "default" or "guide".
        strategy: "tp", "tep", "dp-ep", "tp-pp" or "pd".
        cluster: The nodes.
        layouts: Group of nodes → how its GPUs are divided.
        commands: The commands in the order of their start.
        image: The container image, if the profile or the user names one.
        image_given: Whether the user named it.
        mounts: The folders that its container must have.
        model: The model, in the form of the engine's argument.
        draft: The draft that proposes tokens for the model; None: no draft.
        prerequisites: The prerequisites of the commands.
        findings: The findings on the plan.
        deciding: The names of the user's options that are conditions: "amx", "executor". Without
            them the commands would be others. `Command.options` has those within commands.
    """

    engine: str
    engine_version: str
    profile: str
    strategy: str
    cluster: Cluster
    layouts: Mapping[str, Layout]
    commands: tuple[Command, ...]
    model: Argument = Argument(())
    draft: Draft | None = None
    image: Argument | None = None
    image_given: bool = False
    mounts: tuple[Mount, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    findings: tuple[Finding, ...] = ()
    deciding: frozenset[str] = frozenset()

    @property
    def amd(self) -> bool:
        """Whether the GPUs are AMD's; unknown GPUs count as NVIDIA's."""
        return "amd" in gpu_facts(self.cluster.gpu)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that run at least one command, in the order of the plan."""
        return tuple(dict.fromkeys(command.node for command in self.commands))

    def server(self, group: str) -> Command | None:
        """The engine's own process on the first node of a group; None where there is none."""
        servers = (
            command
            for command in self.commands
            if command.node.group == group and command.stays and command.role in SERVERS
        )
        return next(servers, None)

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Every placeholder that is still open, once by name."""
        found = {
            placeholder.name: placeholder
            for command in self.commands
            for word in command.words
            for placeholder in word.placeholders
        }
        return tuple(found.values())
