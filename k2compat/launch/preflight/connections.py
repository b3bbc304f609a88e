"""Whether the ports of a plan are open between its nodes: one node listens, another connects.

Only this finds a firewall that drops packets: routes and free ports look the same with it. A
connection is closed as soon as it is made; no byte of data is sent.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from k2compat.findings import Codes, Finding
from k2compat.launch.preflight.inspection import Inspection, commands_of, listening

_codes = Codes("launch")

_SECONDS: Final = 3.0


def ports_here(inspection: Inspection) -> tuple[int, ...]:
    """The ports on which this node's commands will listen, and which are free now."""
    ports = {port for _, port, _ in listening(inspection.commands)}
    return tuple(sorted(port for port in ports if not inspection.facts.ports.get(port)))


def listen_on(ports: Iterable[int], seconds: float, ready: Callable[[], None]) -> None:
    """Accept connections on ports for a time, and close each at once.

    Args:
        ports: Free ports of this node.
        seconds: How long.
        ready: Called once all ports are open.

    Raises:
        OSError: A port is not free any more.
    """
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        try:
            for port in ports:
                selector.register(socket.create_server(("", port)), selectors.EVENT_READ)
            ready()
            while (left := end - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - ours
                    key.fileobj.accept()[0].close()
        finally:
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - ours
                key.fileobj.close()


def probe_others(inspection: Inspection) -> Iterator[Finding]:
    """Find ports of the plan on other nodes that this node cannot reach. It connects to each."""
    plan = inspection.plan
    for node in plan.cluster.nodes:
        if node == inspection.node or node.address.placeholders:
            continue
        for port in sorted({port for _, port, _ in listening(commands_of(plan, node))}):
            yield from _judged(node.name, str(node.address), port)


def _judged(name: str, address: str, port: int) -> Iterator[Finding]:
    try:
        socket.create_connection((address, port), _SECONDS).close()
    except ConnectionRefusedError:
        yield _codes.finding(
            "port-silent",
            f"{name}:{port}",
            f"{name}, {address}, refuses connections to port {port}.",
            fix=f"Run the same preflight with --listen 60 on {name}, then --probe here.",
        )
    except OSError as error:
        yield _codes.finding(
            "port-blocked",
            f"{name}:{port}",
            f"Port {port} of {name}, {address}, cannot be reached from this node: "
            f"{error.strerror or error}.",
            fix=f"Open port {port} of {name} for this node; a firewall drops its packets.",
        )
