"""Sound nodes, to be bent by one fact each."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from k2compat.findings import Finding
from k2compat.launch.flags import newest_version
from k2compat.launch.memory.layout import Layout
from k2compat.launch.plan import Command, Plan
from k2compat.launch.preflight.facts import NodeFacts, Route
from k2compat.launch.preflight.inspection import Inspection, question_of
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at

NEWEST = newest_version("vllm")

GIB = 2**30
ADDRESSES = ("10.0.0.1", "10.0.0.2")

SOUND = NodeFacts(
    hostname="gpu-a",
    hostname_addresses=("10.0.0.1",),
    interfaces={
        "lo": ("127.0.0.1", "::1"),
        "docker0": ("172.17.0.1",),
        "bond0": ("10.0.0.1", "fe80::1"),
        "bond1": ("10.1.0.1",),
    },
    routes={
        "10.0.0.1": Route("10.0.0.1", "10.0.0.1", "bond0"),
        "10.0.0.2": Route("10.0.0.2", "10.0.0.1", "bond0"),
    },
    shared_memory=64 * GIB,
    limits={"memlock": None, "stack": None, "nofile": 1_048_576},
    ib_devices={"mlx5_0": "ACTIVE", "mlx5_1": "ACTIVE"},
    cpu_flags=frozenset({"avx512f", "amx_tile", "amx_int8", "amx_bf16"}),
    gpus=("NVIDIA H200",) * 8,
    program="/opt/engine/bin/vllm",
    python="/opt/engine/bin/python",
    packages={
        "vllm": NEWEST,
        "sglang": newest_version("sglang"),
        "tiktoken": "0.12.0",
        "ray": "2.49.0",
    },
)


def plan_of(
    *argvs: str,
    engine: str = "vllm",
    version: str = NEWEST,
    addresses: tuple[str, ...] = ADDRESSES,
    devices: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
) -> Plan:
    """A plan whose commands all run on its first node.

    Args:
        devices: "interface" and "ib_device" that the cluster names for that node.
        variables: The environment that the plan gives its commands.
    """
    first, *others = nodes_at(addresses)
    words = {name: Argument.parse(value) for name, value in (devices or {}).items()}
    first = msgspec.structs.replace(first, **words)
    commands = tuple(
        Command(
            id=f"command{number}",
            role="serve",
            node=first,
            argv=tuple(map(Argument.parse, argv.split())),
            environment={name: Argument.parse(value) for name, value in (variables or {}).items()},
            stays=True,
        )
        for number, argv in enumerate(argvs or ("vllm serve x",))
    )
    cluster = Cluster((first, *others))
    return Plan(engine, version, "default", "tp", cluster, {"": Layout(16)}, commands)


def inspection(*argvs: str, facts: NodeFacts = SOUND, **options: Any) -> Inspection:
    """The first node of `plan_of`, beside facts; those of SOUND may be given by name."""
    known = NodeFacts.__dataclass_fields__
    changed = {name: options.pop(name) for name in list(options) if name in known}
    plan = plan_of(*argvs, **options)
    node = plan.cluster.nodes[0]
    facts = replace(facts, **changed)
    free = dict.fromkeys(question_of(plan, node).ports, "")
    return Inspection(plan, node, replace(facts, ports={**free, **facts.ports}))


def codes(findings: Iterable[Finding]) -> list[str]:
    """The codes of findings, in their order."""
    return [finding.code for finding in findings]


def only(findings: Iterable[Finding]) -> Finding:
    """The one finding there is."""
    (finding,) = findings
    return finding
