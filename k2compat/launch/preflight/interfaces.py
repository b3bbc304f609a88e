"""The network interfaces of this node and the way to a host.

psutil lists the interfaces: `ip` is not in every container.
"""

import socket

import psutil

from k2compat.launch.preflight.facts import Route

# Any port works, since nothing is sent.
_DISCARD = 9

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def interface_addresses() -> dict[str, tuple[str, ...]]:
    """Every interface with its IP addresses, in the kernel's order.

    Raises:
        OSError: The kernel does not answer (a sandbox without netlink).
    """
    return {
        name: tuple(
            each.address.partition("%")[0]  # fe80::1%eth0
            for each in addresses
            if each.family in _FAMILIES
        )
        for name, addresses in psutil.net_if_addrs().items()
    }


def interface_speeds() -> dict[str, int]:
    """Every interface with its speed in Mbit/s; 0 where the kernel does not know it."""
    return {name: each.speed for name, each in psutil.net_if_stats().items()}


def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a name, in the order they would be tried; none where it has none."""
    try:
        found = socket.getaddrinfo(host, _DISCARD, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def route_to(host: str, interfaces: dict[str, tuple[str, ...]]) -> Route | None:
    """The way to a host: this node's address and interface towards it. Nothing is sent."""
    for address in resolve(host):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, _DISCARD))
                source = str(probe.getsockname()[0])
        except OSError:
            continue
        name = next((name for name, own in interfaces.items() if source in own), None)
        mtu = psutil.net_if_stats()[name].mtu if name else 0
        return Route(address, source, name, mtu)
    return None


def why_not_listen(port: int) -> str:
    """The reason why it is not possible to listen on a port; "" where it is possible."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # servers do the same
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.strerror or str(error)
        except OverflowError:
            return "no port number"
    return ""
