"""Checks of the way to the other nodes: addresses, interfaces, host name. Pure."""

import ipaddress
from collections.abc import Iterator, Sequence

from k2compat.findings import Codes, Finding
from k2compat.launch.flags import values_of
from k2compat.launch.preflight.facts import OWN_ADDRESS_VARIABLES
from k2compat.launch.preflight.inspection import Inspection

_codes = Codes("launch")

# Gloo's variable names interfaces, TensorPipe's likewise; NCCL's is a filter of prefixes.
_NAMED = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
_FILTER = "NCCL_SOCKET_IFNAME"

# Bridges of container engines, whose addresses no other node reaches.
_OF_CONTAINERS = ("docker", "br-", "virbr", "cni", "flannel", "cali", "podman", "lxc")


def check_network(inspection: Inspection) -> Iterator[Finding]:
    """Find what prevents connections between this node and the others."""
    yield from _check_address(inspection)
    yield from _check_variables(inspection)
    if inspection.has_other_nodes:
        yield from _check_routes(inspection)
        yield from _check_hostname(inspection)
    yield from _check_ray(inspection)


def _check_address(inspection: Inspection) -> Iterator[Finding]:
    """Check that the plan's address of this node is one of its own."""
    facts, address = inspection.facts, str(inspection.node.address)
    way = facts.routes.get(address)
    if way is not None and facts.interfaces and way.address not in facts.addresses:
        yield _codes.finding(
            "address-not-local",
            inspection.node.name,
            f"The plan's address of {inspection.node.name}, {address}, is none of this node's.",
            expected=_listed(_reachable(facts.addresses)),
            actual=way.address,
            fix="Run it on the node that is meant, or give another --node-rank.",
        )


def _check_routes(inspection: Inspection) -> Iterator[Finding]:
    for node in inspection.plan.cluster.nodes:
        host = str(node.address)
        if not node.address.placeholders and host not in inspection.facts.routes:
            yield _codes.finding(
                "host-unreachable",
                host,
                f"This node knows no way to {node.name}, {host}.",
                fix=[("getent", "hosts", host), ("ip", "route", "get", host)],
            )


def _check_hostname(inspection: Inspection) -> Iterator[Finding]:
    """Check the host name: without a named interface Gloo listens on its address."""
    facts = inspection.facts
    first = next(iter(facts.hostname_addresses), None)
    if "GLOO_SOCKET_IFNAME" in inspection.set_variables:
        return
    if first is None or _is_loopback(first):
        way = inspection.towards_others
        interface = way.interface if way and way.interface else "INTERFACE"
        yield _codes.finding(
            "hostname-on-loopback",
            facts.hostname,
            f"The host name {facts.hostname} resolves to "
            f"{first or 'nothing'}, where no other node can reach Gloo.",
            expected=way.source if way else "an address that the other nodes reach",
            actual=first,
            fix=("export", f"GLOO_SOCKET_IFNAME={interface}"),
        )


def _check_variables(inspection: Inspection) -> Iterator[Finding]:
    environment = inspection.environment
    for name in _NAMED:
        if name in environment:
            yield from _check_named(inspection, name, environment[name])
    if _FILTER in environment:
        yield from _check_filter(inspection, environment[_FILTER])
    yield from _check_planned_interface(inspection)
    for name in OWN_ADDRESS_VARIABLES:
        if name in environment:
            yield from _check_own_address(inspection, name, environment[name])


def _check_own_address(inspection: Inspection, variable: str, value: str) -> Iterator[Finding]:
    facts = inspection.facts
    if facts.interfaces and _resolved(inspection, value) not in facts.addresses:
        yield _codes.finding(
            "host-ip-not-local",
            variable,
            f"{variable} is {value}, which is no address of this node.",
            expected=_listed(_reachable(facts.addresses)),
            actual=value,
            fix=("export", f"{variable}={_own_address(inspection)}"),
        )


def _resolved(inspection: Inspection, host: str) -> str:
    """The address of a host, as this node resolves it."""
    way = inspection.facts.routes.get(host)
    return way.address if way else host


def _check_planned_interface(inspection: Inspection) -> Iterator[Finding]:
    """Check the interface that the cluster names for this node, apart from variables."""
    planned = inspection.node.interface
    if planned is None or planned.placeholders or str(planned) in inspection.environment.values():
        return
    for name in str(planned).split(","):
        if inspection.facts.interfaces and name not in inspection.facts.interfaces:
            yield _missing_interface(inspection, "--interface", name)


def _check_named(inspection: Inspection, variable: str, value: str) -> Iterator[Finding]:
    """Check Gloo's variable, which holds names separated by commas, and no patterns."""
    if any(sign in value for sign in "^=*") or not value.strip():
        yield _codes.finding(
            "gloo-interface-pattern",
            variable,
            f"{variable} is {value!r}; it takes an interface's name, patterns such as ^lo are "
            "NCCL's.",
            expected=_route_interface(inspection) or "an interface's name",
            actual=value,
            fix=("export", f"{variable}={_route_interface(inspection) or 'INTERFACE'}"),
        )
        return
    names = value.split(",")
    known = inspection.facts.interfaces
    for name in names:
        if known and name not in known:
            yield _missing_interface(inspection, variable, name)
    if all(name in known for name in names):
        yield from _check_wrong(inspection, variable, value, names)


def _check_filter(inspection: Inspection, value: str) -> Iterator[Finding]:
    """Check NCCL's variable: prefixes; "=" makes them whole names, "^" in front excludes."""
    known = inspection.facts.interfaces
    chosen = [name for name in known if _nccl_takes(value, name)]
    if known and not chosen:
        yield _missing_interface(inspection, _FILTER, value)
    elif known:
        yield from _check_wrong(inspection, _FILTER, value, chosen)


def _nccl_takes(value: str, interface: str) -> bool:
    excludes = value.startswith("^")
    rest = value.removeprefix("^")
    exact = rest.startswith("=")
    names = rest.removeprefix("=").split(",")
    matches = interface in names if exact else interface.startswith(tuple(filter(None, names)))
    return matches != excludes


def _check_wrong(
    inspection: Inspection, variable: str, value: str, chosen: Sequence[str]
) -> Iterator[Finding]:
    routed = _route_interface(inspection)
    if routed is not None and routed not in chosen:
        yield _codes.finding(
            "interface-wrong",
            variable,
            f"{variable} is {value}; this node reaches the others through {routed}.",
            expected=routed,
            actual=value,
            fix=_fix_of_interface(inspection, variable, routed, chosen),
        )


def _fix_of_interface(
    inspection: Inspection, variable: str, routed: str, chosen: Sequence[str]
) -> str | tuple[str, ...]:
    """The fix for a wrong interface: the addresses on the named one, unless the other is faster.

    If the plan's addresses are those of a management network, naming its interface would send the
    GPUs' data through the slow network.
    """
    facts = inspection.facts
    for name in chosen:
        addresses = [each for each in facts.interfaces.get(name, ()) if _meets_others(each)]
        as_fast = facts.speeds.get(name, 0) >= facts.speeds.get(routed, 0)
        if addresses and as_fast and not name.startswith(_OF_CONTAINERS):
            return f"Give --nodes the addresses on {name}; this node's is {addresses[0]}."
    return "export", f"{variable}={routed}"


def _missing_interface(inspection: Inspection, where: str, name: str) -> Finding:
    known = inspection.facts.interfaces
    return _codes.finding(
        "interface-missing",
        where,
        f"This node has no interface {name}.",
        expected=", ".join(known),
        actual=name,
        fix=f"Use {_route_interface(inspection) or 'one of those'}.",
    )


def _check_ray(inspection: Inspection) -> Iterator[Finding]:
    """Check that Ray's address of this node is the plan's."""
    facts = inspection.facts
    way = facts.routes.get(str(inspection.node.address))
    planned = way.address if way else None
    wanted = {
        value for argv in inspection.arguments for value in values_of(argv, "--node-ip-address")
    }
    uses_ray = bool(wanted) or any(
        "ray" in values_of(argv, "--distributed-executor-backend") for argv in inspection.arguments
    )
    if not uses_ray or planned is None:
        return
    host_ip = inspection.environment.get("VLLM_HOST_IP")
    differing = [address for address in facts.ray_addresses if address != planned]
    if host_ip is not None and _resolved(inspection, host_ip) != planned:
        differing.append(host_ip)
    for address in differing:
        yield _codes.finding(
            "ray-address-differs",
            inspection.node.name,
            f"Ray or vLLM knows this node as {address}; in the plan it is {planned}.",
            expected=planned,
            actual=address,
            fix=[
                ("ray", "stop"),
                ("export", f"VLLM_HOST_IP={planned}"),
                ("ray", "start", "--node-ip-address", planned),
            ],
        )


def _route_interface(inspection: Inspection) -> str | None:
    way = inspection.towards_others
    return way.interface if way else None


def _own_address(inspection: Inspection) -> str:
    way = inspection.towards_others
    return way.source if way else "ADDRESS"


def _reachable(addresses: frozenset[str]) -> list[str]:
    return sorted(address for address in addresses if not _is_loopback(address))


def _listed(addresses: Sequence[str]) -> str:
    return ", ".join(addresses) or "an address of this node"


def _meets_others(address: str) -> bool:
    own = ipaddress.ip_address(address)
    return not (own.is_loopback or own.is_link_local)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
