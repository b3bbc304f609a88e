"""Checks of the node's system and hardware: memory, limits, devices, processor. Pure."""

import re
from collections.abc import Iterator

from k2compat.findings import Codes, Finding
from k2compat.launch.flags import has_word, values_of
from k2compat.launch.preflight.inspection import Inspection
from k2compat.launch.preflight.requirements import LimitRow, common_needs, needs_of
from k2compat.printable import counted

_codes = Codes("launch")

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - it is named, not used
_MIB = 2**20
_AMX = re.compile("amx", re.IGNORECASE)
_AMX_FLAGS = ("--kt-method", "--optimize_config_path")
_IB_FLAG = "--disaggregation-ib-device"


def check_system(inspection: Inspection) -> Iterator[Finding]:
    """Find the resources that the node lacks."""
    yield from _check_gpus(inspection)
    yield from _check_shared_memory(inspection)
    yield from _check_limits(inspection)
    yield from _check_ib(inspection)
    yield from _check_amx(inspection)


def _check_gpus(inspection: Inspection) -> Iterator[Finding]:
    gpus, wanted = inspection.facts.gpus, inspection.plan.cluster.gpus_per_node
    if gpus is None and not inspection.facts.gpu_devices:
        yield _codes.finding(
            "gpus-missing",
            inspection.node.name,
            f"The plan uses {counted(wanted, 'GPU')} of this node; it has no driver of GPUs and no "
            "/dev/nvidia*.",
            expected=str(wanted),
            actual="none",
            fix="Load the GPUs' driver; start a container with --gpus all.",
        )
    visible = inspection.environment.get("CUDA_VISIBLE_DEVICES")
    count = len(visible.split(",")) if visible else len(gpus or ())
    if gpus is not None and count < wanted:
        yield _codes.finding(
            "gpus-missing",
            inspection.node.name,
            f"The plan uses {counted(wanted, 'GPU')} of this node, which has {count}.",
            expected=str(wanted),
            actual=str(count),
            fix=("--gpus-per-node", str(count)) if count else ("nvidia-smi",),
        )


def _check_shared_memory(inspection: Inspection) -> Iterator[Finding]:
    have = inspection.facts.shared_memory
    need = common_needs().shared_memory.bytes_per_gpu * inspection.plan.cluster.gpus_per_node
    if have is not None and have < need:
        yield _codes.finding(
            "shared-memory-small",
            _SHARED_MEMORY,
            f"{_SHARED_MEMORY} has {have / _MIB:,.0f} MiB; NCCL and the engine's processes "
            "exchange data through it.",
            expected=f"{need / _MIB:,.0f} MiB",
            actual=f"{have / _MIB:,.0f} MiB",
            fix="Start docker with --ipc=host or --shm-size=32g; in Kubernetes, mount an emptyDir "
            "with medium: Memory.",
        )


def _check_limits(inspection: Inspection) -> Iterator[Finding]:
    for row in (*common_needs().limits, *needs_of(inspection.plan.engine).limits):
        if _is_meant(row, inspection) and row.name in inspection.facts.limits:
            have = inspection.facts.limits[row.name]
            if have is not None and (row.least == "unlimited" or have < row.least):
                ulimit = -1 if row.least == "unlimited" else row.least
                yield _codes.finding(
                    "limit-too-small",
                    row.name,
                    f"The hard limit {row.name} is {have}.",
                    expected=str(row.least),
                    actual=str(have),
                    fix=f"Start docker with --ulimit {row.name}={ulimit}, or set the limit in "
                    "/etc/security/limits.conf.",
                )


def _is_meant(row: LimitRow, inspection: Inspection) -> bool:
    return not row.with_ib or (bool(inspection.facts.ib_devices) and inspection.has_other_nodes)


def _check_ib(inspection: Inspection) -> Iterator[Finding]:
    known = inspection.facts.ib_devices
    for where, name in _named_ib_devices(inspection):
        if name not in known:
            yield _codes.finding(
                "ib-device-missing",
                where,
                f"This node has no InfiniBand or RoCE device {name}.",
                expected=", ".join(known) or "a device in /sys/class/infiniband",
                actual=name,
                fix=("ibv_devices",),
            )
        elif known[name] != "ACTIVE":
            yield _codes.finding(
                "ib-device-inactive",
                name,
                f"The first port of {name} is {known[name] or 'in no state'}.",
                expected="ACTIVE",
                actual=known[name] or None,
                fix=("ibstat", name),
            )


def _named_ib_devices(inspection: Inspection) -> list[tuple[str, str]]:
    """Where devices are named, and each name, once: cluster, flag, NCCL's variable.

    NCCL_IB_HCA holds prefixes; only those that are meant whole ("=") can be looked up.
    """
    named: dict[str, str] = {}
    planned = inspection.node.ib_device
    if planned is not None and not planned.placeholders:
        named |= dict.fromkeys(str(planned).split(","), "--ib-device")
    for command in inspection.commands:
        for value in values_of(tuple(map(str, command.argv)), _IB_FLAG):
            if not value.startswith(("$", "<", "{")):
                named |= dict.fromkeys(value.split(","), _IB_FLAG)
    filtered = inspection.environment.get("NCCL_IB_HCA", "")
    if filtered.startswith("="):
        names = [name.partition(":")[0] for name in filtered[1:].split(",")]
        named |= dict.fromkeys(names, "NCCL_IB_HCA")
    return [(where, name) for name, where in named.items()]


def _check_amx(inspection: Inspection) -> Iterator[Finding]:
    missing = [
        flag for flag in common_needs().amx.cpu_flags if flag not in inspection.facts.cpu_flags
    ]
    if missing and any(_needs_amx(argv) for argv in inspection.arguments):
        yield _codes.finding(
            "amx-missing",
            inspection.node.name,
            "The processor has no AMX, which the plan's CPU kernels execute.",
            expected=", ".join(common_needs().amx.cpu_flags),
            actual=f"without {', '.join(missing)}",
            fix="Leave out --amx; the kernels for AVX-512 or AVX2 run on this node.",
        )


def _needs_amx(argv: tuple[str, ...]) -> bool:
    """Whether AMX is named, or SGLang uses its default for experts on the CPU, AMXINT4."""
    by_default = has_word(argv, "--kt-weight-path") and not has_word(argv, "--kt-method")
    return by_default or any(map(_AMX.search, values_of(argv, *_AMX_FLAGS)))
