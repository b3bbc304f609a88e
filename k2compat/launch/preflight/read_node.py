"""Read one node. These are the only effects of preflight, and all of them only read.

`Roots` names the folders of the system's files, so that a test can make its own.
"""

import contextlib
import hashlib
import os
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from k2compat.checkpoint import WEIGHT_SUFFIXES, FileRefusedError, Source
from k2compat.launch.preflight.engine_python import (
    engine_python,
    installed_versions,
    program_path,
)
from k2compat.launch.preflight.facts import (
    OWN_ADDRESS_VARIABLES,
    VARIABLES,
    ModelFacts,
    NodeFacts,
    Question,
)
from k2compat.launch.preflight.interfaces import (
    interface_addresses,
    interface_speeds,
    resolve,
    route_to,
    why_not_listen,
)

_LIMITS = {
    "memlock": resource.RLIMIT_MEMLOCK,
    "stack": resource.RLIMIT_STACK,
    "nofile": resource.RLIMIT_NOFILE,
}

_WEIGHTS = (*WEIGHT_SUFFIXES, ".bin", ".pt")
_SMALL = (".json", ".py", ".jinja", ".model")
_LARGEST_SMALL = 64 * 2**20

_RAYLET = b"raylet"
_RAY_ADDRESS = b"--node_ip_address="


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders of the system's files."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    shared_memory: Path = Path("/dev/shm")  # noqa: S108 - it is looked at, not written to
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    dev: Path = Path("/dev")


def read_node(
    question: Question, model: Source | None = None, roots: Roots | None = None
) -> NodeFacts:
    """Read all facts about this node that the checks need.

    Args:
        question: The facts that the plan needs.
        model: The model's files, where it is a folder.
        roots: The folders of the system's files.
    """
    roots = roots or Roots()
    environment = roots.environment
    interfaces = _interfaces()
    hostname = socket.gethostname()
    own = (environment[name] for name in OWN_ADDRESS_VARIABLES if environment.get(name))
    hosts = dict.fromkeys((*question.hosts, *own))
    routes = {host: route_to(host, interfaces) for host in hosts}
    python = engine_python(question.program, environment.get("PATH"))
    return NodeFacts(
        hostname=hostname,
        hostname_addresses=resolve(hostname),
        interfaces=interfaces,
        speeds=interface_speeds() if interfaces else {},
        routes={host: route for host, route in routes.items() if route},
        ports={port: why_not_listen(port) for port in question.ports},
        environment={name: environment[name] for name in VARIABLES if environment.get(name)},
        ray_addresses=tuple(_ray_addresses(roots.proc)),
        shared_memory=_size_of(roots.shared_memory),
        limits={name: _hard_limit(number) for name, number in _LIMITS.items()},
        ib_devices=dict(_ib_devices(roots.sys)),
        cpu_flags=_cpu_flags(roots.proc),
        gpus=_gpus(roots.proc),
        gpu_devices=tuple(_gpu_devices(roots.dev)),
        program=program_path(question.program, environment.get("PATH")),
        python=python,
        packages=installed_versions(python, question.packages) if python else None,
        clock=time.time(),
        model=read_model_facts(model) if model else None,
    )


def read_model_facts(source: Source) -> ModelFacts:
    """The SHA-256 of a model's small files and the sizes of its weights."""
    digests: dict[str, str] = {}
    weights: dict[str, int] = {}
    for name, size in source.files.items():
        if size is None:  # a link without a target: validate reports it
            continue
        if name.endswith(_WEIGHTS):
            weights[name] = size
        elif name.endswith(_SMALL) and size <= _LARGEST_SMALL:
            with contextlib.suppress(FileRefusedError), source.open(name) as file:
                digests[name] = hashlib.sha256(file.read(0, size)).hexdigest()
    return ModelFacts(digests, weights)


def _interfaces() -> dict[str, tuple[str, ...]]:
    try:
        return interface_addresses()
    except OSError:
        return {}


def _ray_addresses(proc: Path) -> Iterator[str]:
    """The addresses with which raylets were started, from their command lines."""
    for path in sorted(proc.glob("[0-9]*/cmdline")):
        words = _read(path).split(b"\0")
        if words[0].rpartition(b"/")[2] == _RAYLET:
            for word in words:
                if word.startswith(_RAY_ADDRESS):
                    yield word.removeprefix(_RAY_ADDRESS).decode("ascii", "replace")


def _size_of(place: Path) -> int | None:
    try:
        status = os.statvfs(place)
    except OSError:
        return None
    return status.f_blocks * status.f_frsize


def _hard_limit(number: int) -> int | None:
    hard = resource.getrlimit(number)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _ib_devices(sys: Path) -> Iterator[tuple[str, str]]:
    """Each device with the state of its first port, whose file holds "4: ACTIVE"."""
    for device in sorted((sys / "class/infiniband").glob("*")):
        states = sorted(device.glob("ports/*/state"))
        text = _read(states[0]).decode("ascii", "replace") if states else ""
        yield device.name, text.rpartition(":")[2].strip()


def _cpu_flags(proc: Path) -> frozenset[str]:
    for line in _read(proc / "cpuinfo").split(b"\n"):
        name, _, value = line.partition(b":")
        if name.strip() in (b"flags", b"Features"):
            return frozenset(value.decode("ascii", "replace").split())
    return frozenset()


def _gpus(proc: Path) -> tuple[str, ...] | None:
    folder = proc / "driver/nvidia/gpus"
    if not folder.is_dir():
        return None
    return tuple(_gpu_model(path) for path in sorted(folder.glob("*/information")))


def _gpu_devices(dev: Path) -> Iterator[str]:
    """The device files of GPUs: NVIDIA's, WSL's, and the one file of AMD's driver."""
    for pattern in ("nvidia[0-9]*", "dxg", "kfd"):
        yield from sorted(path.name for path in dev.glob(pattern))


def _gpu_model(path: Path) -> str:
    for line in _read(path).split(b"\n"):
        name, _, value = line.partition(b":")
        if name.strip() == b"Model":
            return value.strip().decode("ascii", "replace")
    return ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a process that has ended, a file of another kernel
        return b""
