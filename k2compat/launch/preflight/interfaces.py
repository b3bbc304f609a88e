"""The network interfaces of this node and the way to a host, asked of the kernel.

`ip` is not in every container; the kernel answers the same question over netlink.
"""

import socket
import struct
from collections.abc import Iterator

from k2compat.launch.preflight.facts import Route

# From linux/netlink.h and linux/rtnetlink.h.
_ROUTE = 0
_REQUEST_DUMP = 0x301
_ERROR, _DONE, _NEW_ADDRESS, _GET_ADDRESS = 2, 3, 20, 22
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, interface index
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_IFA_ADDRESS, _IFA_LOCAL = 1, 2

# Any port does: nothing is sent.
_DISCARD = 9


def interface_addresses() -> dict[str, tuple[str, ...]]:
    """Every interface with its addresses, in the kernel's order.

    Raises:
        OSError: The kernel does not answer (a sandbox without netlink).
    """
    names = dict(socket.if_nameindex())
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names.values(), ())
    for index, address in _addresses():
        name = names.get(index, f"#{index}")  # it came between the two questions
        found[name] = (*found.get(name, ()), address)
    return found


def _addresses() -> Iterator[tuple[int, str]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as kernel:
        kernel.bind((0, 0))
        body = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        length = _HEADER.size + len(body)
        kernel.send(_HEADER.pack(length, _GET_ADDRESS, _REQUEST_DUMP, 1, 0) + body)
        while True:
            for kind, message in _parts(kernel.recv(1 << 16), _HEADER):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-int.from_bytes(message[:4], "little", signed=True), "netlink")
                if kind == _NEW_ADDRESS:
                    yield _read_address(message)


def _read_address(message: bytes) -> tuple[int, str]:
    family, _, _, _, index = _ADDRESS.unpack_from(message)
    values = dict(_parts(message[_ADDRESS.size :], _ATTRIBUTE))
    packed = values.get(_IFA_LOCAL) or values[_IFA_ADDRESS]  # a tunnel's other end is ADDRESS
    return index, socket.inet_ntop(family, packed)


def _parts(data: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """The parts of a message, each with its length and type in front, aligned to 4 bytes."""
    at = 0
    while at + header.size <= len(data):
        length, kind = header.unpack_from(data, at)[:2]
        yield kind, data[at + header.size : at + length]
        at += (max(length, header.size) + 3) & ~3


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
        return Route(address, source, name)
    return None


def why_not_listen(port: int) -> str:
    """Why a port cannot be listened on, "" where it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.strerror or str(error)
        except OverflowError:
            return "no port number"
    return ""
