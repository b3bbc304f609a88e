"""Every engine and strategy on sound nodes; and each trap of a launch over several nodes."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from k2compat.findings import Finding, catalogue
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import ENGINES, newest_version
from k2compat.launch.plan import Plan
from k2compat.launch.preflight.checks import check_node, check_offline
from k2compat.launch.preflight.facts import NodeFacts, Route
from k2compat.launch.preflight.inspection import Inspection, question_of
from k2compat.launch.preflight.resolving import resolve_plan
from tests.launch.preflight.support import GIB, SOUND
from tests.launch.support import plan
from tests.support.configs import config_values

NEWEST = newest_version("vllm")

INSTRUCT = config_values("moonshotai/Kimi-K2-Instruct")
INSTALLED = {
    **(SOUND.packages or {}),
    "kt-kernel": "0.7.2",
    "deep_ep": "1.2.1",
    "mooncake-transfer-engine": "0.3.6",
    "sglang-router": "0.3.2",
}
# What a shell sets, and what the default plans leave to the node.
VALUES = {
    "INTERFACE": "bond0",
    "IB_DEVICE": "mlx5_0",
    "IMAGE": "tensorrt-llm",
    "PWD": "/root",
    "PHYSICAL_CORES": "96",
    "NUMA_NODES": "2",
}
FOUR = tuple(f"10.0.0.{number}" for number in range(1, 5))


def made_for(engine: str, strategy: str | None = None, **options: Any) -> Plan:
    """A default plan as a person asks for it."""
    options = {"gpu": "h200", **options}
    if strategy == "pd":
        options |= {"prefill": FOUR[:2], "decode": FOUR[2:]}
    elif engine == "ktransformers":
        options |= {"nodes": FOUR[:1]}
    else:
        options = {"nodes": FOUR[:2], **options}
    made = plan(engine, "/models/Kimi-K2-Instruct", strategy=strategy, **options)
    return resolve_plan(made, VALUES)


def sound(made: Plan, rank: int = 0) -> NodeFacts:
    """Facts of a node on which nothing is wrong with a plan."""
    node = made.cluster.nodes[rank]
    address = str(node.address)
    question = question_of(made, node)
    return replace(
        SOUND,
        packages=INSTALLED,
        hostname_addresses=(address,),
        interfaces={**SOUND.interfaces, "bond0": (address,)},
        routes={host: Route(host, address, "bond0") for host in question.hosts},
        ports=dict.fromkeys(question.ports, ""),
    )


def bad(findings: Iterable[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.severity != "info"}


def found(made: Plan, **changes: Any) -> set[str]:
    facts = replace(sound(made), **changes)
    node = Inspection(made, made.cluster.nodes[0], facts)
    return bad([*check_offline(made, INSTRUCT), *check_node(node)])


@pytest.mark.parametrize(
    ("engine", "strategy"),
    [
        (engine, strategy)
        for engine in ENGINES
        for strategy in read_profile(engine).clusters["default"]
    ],
)
def test_sound_nodes_have_no_findings(engine: str, strategy: str) -> None:
    made = made_for(engine, strategy)
    assert bad(check_offline(made, INSTRUCT)) == set()
    for rank, node in enumerate(made.cluster.nodes):
        assert bad(check_node(Inspection(made, node, sound(made, rank)))) == set(), node.name


GUIDE = {"profile": "guide", "engine_version": NEWEST}
RAY = {"facts": frozenset({"executor=ray"})}

# Trap → the plan, what is wrong on the node, and the code that names it.
TRAPS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "Gloo binds loopback because the host name resolves to 127.x": (
        {"engine": "vllm", "strategy": "dp-ep", **GUIDE},
        {"hostname_addresses": ("127.0.1.1",)},
        "hostname-on-loopback",
    ),
    "wrong NIC": (
        {"engine": "vllm", "strategy": "dp-ep", **GUIDE},
        {"environment": {"GLOO_SOCKET_IFNAME": "docker0"}},
        "interface-wrong",
    ),
    "no such NIC": (
        {"engine": "sglang"},
        {"interfaces": {"eth0": ("10.0.0.1",)}},
        "interface-missing",
    ),
    "GLOO_SOCKET_IFNAME is a pattern": (
        {"engine": "vllm", "strategy": "dp-ep", **GUIDE},
        {"environment": {"GLOO_SOCKET_IFNAME": "^lo"}},
        "gloo-interface-pattern",
    ),
    "VLLM_HOST_IP is not a local address": (
        {"engine": "vllm", "strategy": "dp-ep", **GUIDE},
        {"environment": {"VLLM_HOST_IP": "10.0.0.2"}},
        "host-ip-not-local",
    ),
    "Ray's address of the node differs from the plan": (
        {"engine": "vllm", **RAY},
        {"ray_addresses": ("172.17.0.1",)},
        "ray-address-differs",
    ),
    "Ray is needed and absent": (
        {"engine": "vllm", **RAY},
        {"packages": {name: each for name, each in INSTALLED.items() if name != "ray"}},
        "ray-missing",
    ),
    "a port is taken": (
        {"engine": "vllm"},
        {"ports": {8000: "Address already in use"}},
        "port-taken",
    ),
    "a port clashes with a default": (
        {"engine": "sglang", "strategy": "pd", "values": {"port": "8998"}},
        {},
        "port-clash",
    ),
    "tiktoken without blobfile": (
        {"engine": "sglang"},
        {"packages": {**INSTALLED, "tiktoken": "0.9.0"}},
        "blobfile-missing",
    ),
    "TP that does not divide": (
        {"engine": "vllm", "strategy": "tp", "nodes": FOUR},
        {},
        "block-not-divisible",
    ),
    "out of memory at 128k": (
        {"engine": "vllm", "strategy": "tp", "gpu": "h20", **GUIDE},
        {},
        "sequence-count-default",
    ),
    "FP8 on 8 × H200": ({"engine": "vllm", "nodes": FOUR[:1]}, {}, "does-not-fit"),
    "renamed flags": (
        {"engine": "sglang", "strategy": "pd", "profile": "guide", "engine_version": "0.5.23"},
        {},
        "flag-renamed",
    ),
    "an IB device is absent": (
        {"engine": "sglang", "strategy": "pd"},
        {"ib_devices": {"mlx5_7": "ACTIVE"}},
        "ib-device-missing",
    ),
    "/dev/shm is too small": (
        {"engine": "vllm"},
        {"shared_memory": GIB // 16},
        "shared-memory-small",
    ),
    "ulimit is too small": ({"engine": "vllm"}, {"limits": {"nofile": 1024}}, "limit-too-small"),
    "no AMX on the CPU": (
        {"engine": "ktransformers", "facts": frozenset({"amx"})},
        {"cpu_flags": frozenset({"avx512f"})},
        "amx-missing",
    ),
    "unresolved placeholders": (
        {"engine": "vllm", "values": {"port": "$HTTP_PORT"}},
        {},
        "placeholder-unresolved",
    ),
    "engine too old": (
        {"engine": "vllm"},
        {"packages": {**INSTALLED, "vllm": "0.9.2"}},
        "engine-too-old",
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_is_named_by_its_code(trap: str) -> None:
    """What concerns the files of a node stands in test_model_checks and test_compare."""
    asked, wrong, code = TRAPS[trap]
    made = made_for(**asked)
    assert code in catalogue()
    assert code in found(made, **wrong)
    if wrong:
        assert code not in found(made)
