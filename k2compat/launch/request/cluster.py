"""The machines of a launch: addresses, GPUs, network devices; from options or a TOML file.

gpu = "h200"                 # or GiB per GPU
gpus_per_node = 8
interface = "bond0"          # for every node that names none
ib_device = "mlx5_0,mlx5_1"

[[nodes]]
name = "gpu-a"               # default: node0, node1, … (prefill0, decode0, …)
address = "10.0.0.1"
role = "prefill"             # prefill | decode, for strategy pd
group = 0                    # of several groups of a role: which of them, from 0
interface = "eth0"
ib_device = "mlx5_2"
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import tomli
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.request.arguments import Argument

GPUS_PER_NODE: Final = 8
GPUS_MAX: Final = 1_024
NODES_MAX: Final = 4_096
"""A larger number is a typing error."""

ROLES: Final = ("", "prefill", "decode")
GROUPS_MAX: Final = 1_024

_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}(?<!-))?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}(?<!-))?)*"
)
_HOSTS_HINT = "For example --nodes 10.0.0.1,10.0.0.2"
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}(?:,[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63})*")
_Devices = str | Annotated[list[str], msgspec.Meta(min_length=1)] | None


class Node(msgspec.Struct, frozen=True):
    """One machine.

    Attributes:
        name: Unique in the plan; also a file's name.
        rank: Its place in its group, from 0; a placeholder where one command is for all nodes.
        address: Its address for the other nodes.
        group: "" or, for strategy pd, "prefill" or "decode"; of several groups of a role
            "prefill-0", "prefill-1", ….
        interface: The network interface that carries the traffic; None if it is not known.
        ib_device: The InfiniBand or RoCE devices; None if they are not known.
    """

    name: str
    rank: Argument
    address: Argument
    group: str = ""
    interface: Argument | None = None
    ib_device: Argument | None = None

    @property
    def role(self) -> str:
        """The role of its group: "", "prefill" or "decode"."""
        return role_of(self.group)

    @property
    def is_first(self) -> bool:
        """Whether it is the first of its group, to which the others connect."""
        return str(self.rank) == "0"


class Cluster(msgspec.Struct, frozen=True):
    """The nodes of a launch.

    Attributes:
        nodes: In the order of their ranks, the groups one after the other.
        gpus_per_node: Those that are used, the same on each.
        gpus_idle: Those of each node that a plan does not use.
        gpu: A name ("h200") or GiB per GPU, as the user gave it; None if it is not known.
        counts: Group → number of its nodes, where one symbolic node represents many.
        firsts: Group → the address of its first node, likewise.
    """

    nodes: tuple[Node, ...]
    gpus_per_node: int = GPUS_PER_NODE
    gpu: str | None = None
    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    firsts: Mapping[str, Argument] = msgspec.field(default_factory=dict)
    gpus_idle: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that have nodes, in their order."""
        return tuple(dict.fromkeys(node.group for node in self.nodes))

    @property
    def sizes(self) -> Mapping[str, int]:
        """Group → how many nodes it has, in the order of the groups."""
        return {group: self.size(group) for group in self.groups}

    def first(self, name: str) -> Argument:
        """The address of a group's first node, to which the others connect."""
        return self.firsts.get(name) or self.group(name)[0].address

    def group(self, name: str) -> tuple[Node, ...]:
        """The nodes of a group."""
        return tuple(node for node in self.nodes if node.group == name)

    def size(self, name: str) -> int:
        """How many nodes a group has."""
        return self.counts.get(name) or len(self.group(name))


def role_of(group: str) -> str:
    """The role of a group: "", "prefill" or "decode"."""
    return group.partition("-")[0]


def groups_at(lists: Mapping[str, Sequence[Sequence[str]]]) -> tuple[Node, ...]:
    """The nodes of several groups; of two groups of one role, "prefill-0" and "prefill-1".

    Args:
        lists: Role → the addresses of each of its groups; see `nodes_at`.

    Raises:
        RefusedError: host-malformed or host-twice.
    """
    nodes: list[Node] = []
    for role, groups in lists.items():
        for number, addresses in enumerate(groups):
            nodes += nodes_at(addresses, role if len(groups) == 1 else f"{role}-{number}")
    _demand_distinct([node.address for node in nodes])
    return tuple(nodes)


def nodes_at(addresses: Sequence[str], group: str = "") -> tuple[Node, ...]:
    """Nodes by their addresses, in the order of their ranks.

    A number alone means so many nodes whose addresses are not known: $NODE0, $NODE1, … Slurm and
    Kubernetes choose the nodes themselves, so their formats accept only a number.

    Raises:
        RefusedError: host-malformed or host-twice.
    """
    addresses = [address.strip() for address in addresses]
    if len(addresses) == 1 and addresses[0].isascii() and addresses[0].isdigit():
        addresses = _unnamed(addresses[0], group)
    words = [host(address) for address in addresses]
    if len(words) > NODES_MAX:
        raise _too_many(f"{len(words):,}")
    _demand_distinct(words)
    return tuple(
        Node(_name(group, rank), Argument.literal(rank), word, group)
        for rank, word in enumerate(words)
    )


def _name(group: str, rank: int) -> str:
    """node0; prefill0; of several groups prefill-1-0."""
    return f"{group or 'node'}{'-' if group != role_of(group) else ''}{rank}"


def _unnamed(count: str, group: str) -> list[str]:
    if not 0 < int(count[:9]) <= NODES_MAX:
        raise _too_many(count)
    prefix = group.upper().replace("-", "") + "_NODE" if group else "NODE"
    return [f"${prefix}{rank}" for rank in range(int(count))]


def _too_many(count: str) -> RefusedError:
    return _refused("host-malformed", f"{count} is no number of nodes from 1 to {NODES_MAX:,}.")


def host(text: str) -> Argument:
    """A host: an IP address, a host name, or a placeholder.

    Raises:
        RefusedError: host-malformed.
    """
    word = Argument.parse(text)
    if len(word.parts) == 1 and word.placeholders:
        return word
    if _is_address(text) or _is_name(text):
        return Argument.literal(text)
    if not text:
        words = "A host is empty: a variable may be unset, or a comma too many."
        raise _refused("host-malformed", words)
    raise RefusedError(
        "host-malformed",
        f"{text!r} is no address, no host name and no placeholder.",
        hint=_host_hint(text),
    )


def _host_hint(text: str) -> str:
    alone = text.rpartition("@")[2].partition(":")[0] if text.count(":") < 2 else text.strip("[]")
    if alone != text and (_is_address(alone) or _is_name(alone)):
        return f"Write the host alone: {alone}"
    if " " in text:
        return f"Put commas between hosts: --nodes {','.join(text.split())}"
    return _HOSTS_HINT


def host_port(address: Argument, port: Argument | int) -> Argument:
    """host:port, an IPv6 address in brackets."""
    bracketed = "[{host}]:{port}" if ":" in str(address) else "{host}:{port}"
    return Argument.fill(bracketed, {"host": address, "port": _word(port)})


def device(text: str, what: str) -> Argument:
    """The name of a network device, or several with commas, or a placeholder.

    Raises:
        RefusedError: device-malformed.
    """
    word = Argument.parse(text)
    if (len(word.parts) == 1 and word.placeholders) or _DEVICE.fullmatch(text):
        return word
    raise _refused("device-malformed", f"{text!r} is no name of an {what}.")


def with_devices(nodes: Iterable[Node], interface: str | None, ib_device: str | None) -> list[Node]:
    """The nodes, with these devices if they name none of their own."""
    card = device(interface, "interface") if interface else None
    fabric = device(ib_device, "IB device") if ib_device else None
    return [
        replace(node, interface=node.interface or card, ib_device=node.ib_device or fabric)
        for node in nodes
    ]


def read_cluster(path: Path) -> Cluster:
    """Read a cluster's TOML file.

    Raises:
        RefusedError: cluster-file-malformed, host-malformed, host-twice, device-malformed;
            not-found or not-readable.
    """
    from k2compat.files import explained_reading, read_input  # lazy: 7 ms, needed only for files

    with explained_reading(path):
        content = read_input(path)
    try:
        members = tomli.loads(content.decode("utf-8-sig"))  # some editors write a BOM first
    except (UnicodeDecodeError, tomli.TOMLDecodeError, RecursionError) as error:
        raise _malformed(path, f"is no TOML: {error}") from error
    return _cluster(path, _typed(path, members))


class _Entry(msgspec.Struct, frozen=True):
    """A node as the file has it."""

    address: str
    name: str | None = None
    role: Literal["", "prefill", "decode"] = ""
    group: Annotated[int, msgspec.Meta(ge=0, lt=GROUPS_MAX)] = 0
    interface: str | None = None
    ib_device: _Devices = None


class _File(msgspec.Struct, frozen=True):
    """A cluster file as it is written."""

    nodes: Annotated[list[_Entry], msgspec.Meta(min_length=1)]
    gpu: str | float | int | None = None
    gpus_per_node: Annotated[int, msgspec.Meta(ge=1, le=GPUS_MAX)] = GPUS_PER_NODE
    interface: str | None = None
    ib_device: _Devices = None


def _typed(path: Path, members: Mapping[str, Any]) -> _File:
    _demand_keys(path, members, _File.__struct_fields__, "the file")
    nodes = members.get("nodes")
    for entry in nodes if isinstance(nodes, list) else ():
        if isinstance(entry, dict):
            _demand_keys(path, entry, _Entry.__struct_fields__, "a node")
    try:
        return msgspec.convert(members, _File)
    except msgspec.ValidationError as error:
        raise _malformed(path, f"is no cluster file: {error}") from error


def _cluster(path: Path, file: _File) -> Cluster:
    for entry in file.nodes:
        if entry.group and not entry.role:
            raise _malformed(path, "gives a group to a node without a role")
    places = [(entry.role, entry.group) for entry in file.nodes]
    counts = {role: len({each for each in places if each[0] == role}) for role, _ in places}
    nodes: list[Node] = []
    for place in sorted(set(places), key=lambda each: (ROLES.index(each[0]), each[1])):
        role, number = place
        group = role if counts[role] == 1 else f"{role}-{number}"
        own = [entry for entry, each in zip(file.nodes, places, strict=True) if each == place]
        nodes += [_node(path, entry, group, rank) for rank, entry in enumerate(own)]
    _demand_distinct([node.address for node in nodes])
    if len({node.name for node in nodes}) < len(nodes):
        raise _malformed(path, "gives two nodes one name")
    return Cluster(
        tuple(with_devices(nodes, file.interface, _listed(file.ib_device))),
        file.gpus_per_node,
        None if file.gpu is None else str(file.gpu),
    )


def _node(path: Path, entry: _Entry, group: str, rank: int) -> Node:
    name = entry.name or _name(group, rank)
    if not _HOSTNAME.fullmatch(name):
        raise _malformed(path, f"names a node {name!r}, which is no host name")
    ib_device = _listed(entry.ib_device)
    return Node(
        name,
        Argument.literal(rank),
        host(entry.address),
        group,
        device(entry.interface, "interface") if entry.interface else None,
        device(ib_device, "IB device") if ib_device else None,
    )


def _listed(devices: _Devices) -> str | None:
    return ",".join(devices) if isinstance(devices, list) else devices


def _demand_keys(path: Path, members: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in members:
        if key not in known:
            from difflib import get_close_matches

            near = get_close_matches(key, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise _malformed(path, f"has a key {key!r} that {what} cannot have{meant}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_name(text: str) -> bool:
    """Whether it can be a host's name; 10.0.0.256 is a mistyped address (RFC 1123, 2.1)."""
    return bool(_HOSTNAME.fullmatch(text)) and not text.rpartition(".")[2].isdecimal()


def _demand_distinct(addresses: Sequence[Argument]) -> None:
    seen: set[str] = set()
    for address in addresses:
        if str(address) in seen:
            raise _refused("host-twice", f"The host {address} is named twice.")
        seen.add(str(address))


def _word(value: Argument | int) -> Argument:
    return value if isinstance(value, Argument) else Argument.literal(value)


def _malformed(path: Path, what: str) -> RefusedError:
    return RefusedError(
        "cluster-file-malformed",
        f"{path} {what}" + ("" if what.endswith("?") else "."),
        hint="A cluster file has gpu, gpus_per_node, interface, ib_device and [[nodes]] "
        "with address, name, role (prefill or decode), group, interface, ib_device.",
    )


def _refused(code: str, message: str) -> RefusedError:
    return RefusedError(code, message, hint=_HOSTS_HINT)
