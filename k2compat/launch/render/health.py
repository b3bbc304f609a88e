"""Health checks of a node's server, for scripts, compose and Kubernetes.

The path is the engine's own: vLLM, SGLang and its router, and TensorRT-LLM answer /health with 200
once the model is loaded. KTransformers' old server has no such path, so only its port is checked.
"""

import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec

from k2compat.launch.plan import Command, Plan
from k2compat.launch.render.shell_words import shell_word
from k2compat.launch.render.waiting import LOADS_WITHIN, Wait
from k2compat.launch.request import Argument, Node, host_port

_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - it is recognised, not bound
LOOPBACK: Final = Argument.literal("127.0.0.1")

# The command that tries a running server; {url} is its address up to /v1.
TRY_SERVER: Final = "k2compat check-endpoint {url}"


class Health(msgspec.Struct, frozen=True):
    """A server with a health check.

    Attributes:
        command: The command that listens.
        host: Its address on the node itself.
        port: The port, or a placeholder.
        path: The path that answers 200; "": only the port is checked.
        seen_from_outside: Its address for other machines; None: the plan's address of the group.
    """

    command: Command
    host: Argument
    port: Argument
    path: str
    seen_from_outside: Argument | None = None

    @property
    def wait(self) -> Wait:
        """The wait until it accepts requests."""
        place = (shell_word(self.host), shell_word(self.port))
        test = ("answers", *place, self.path) if self.path else ("listens", *place)
        return Wait(f"{self.command.id} to take requests", LOADS_WITHIN, test)

    @property
    def test(self) -> str:
        """The check as one line of bash, with exit status 0 if the server is healthy."""
        connect = f"exec 3<> /dev/tcp/{shell_word(self.host)}/{shell_word(self.port)}"
        if not self.path:
            return connect
        ask = f"printf 'GET {self.path} HTTP/1.0\\r\\n\\r\\n' >&3"
        return f'{connect} && {ask} && read -r _ status _ <&3 && [ "$status" = 200 ]'

    @property
    def probe(self) -> dict[str, Any]:
        """The member of a container, `readinessProbe`; none for a port that is not known."""
        if self.port.placeholders:
            return {}
        port = int(str(self.port))
        how = (
            {"httpGet": {"path": self.path, "port": port}}
            if self.path
            else {"tcpSocket": {"port": port}}
        )
        periods = {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 3}
        return {"readinessProbe": {**how, **periods}}


def health_of(plan: Plan, node: Node) -> Health | None:
    """The node's server; the last one if several listen, since it forwards to the others."""
    found = list(_servers(command for command in plan.commands if command.node == node))
    return found[-1] if found else None


def entrances(plan: Plan) -> list[Health]:
    """The servers to which clients connect: those on first nodes without a router in front."""
    led_to = {name for command in plan.commands for name in command.after}
    return [
        health
        for health in _servers(plan.commands)
        if health.command.node.is_first and health.command.id not in led_to
    ]


def try_line(plan: Plan, health: Health) -> str:
    """The command that tries a server from any machine."""
    host = health.seen_from_outside or plan.cluster.first(health.command.node.group)
    place = Argument.fill("http://{place}/v1", {"place": host_port(host, health.port)})
    return TRY_SERVER.format(url=shell_word(place))


def ready_lines(plan: Plan, healths: Iterable[Health]) -> Iterator[str]:
    """Lines that report, in the background, when servers can take requests.

    The report must not be a child of the engine, which replaces the script: so the outer
    parentheses end at once. SGLang counts the children that end (its handler of SIGCHLD).
    """
    for health in healths:
        ready = shlex.quote(f"{health.command.id} takes requests. Try it:")
        yield "\n# A line once requests can be taken."
        yield f"( ({health.wait.line} && echo {ready} {try_line(plan, health)} >&2) & )"


def _servers(commands: Iterable[Command]) -> Iterator[Health]:
    for command in commands:
        for port in command.ports:
            if command.stays and port.name == "http":
                yield Health(command, _host(command), port.number, port.health)


def _host(command: Command) -> Argument:
    """The address that a server binds; loopback where it binds all."""
    words = list(command.argv)
    for flag, value in pairwise(words):
        if str(flag) == "--host" and str(value) not in _ANY_ADDRESS:
            return value
    return LOOPBACK
