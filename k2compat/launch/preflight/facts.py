"""The facts about one node: plain values, the same as in a preflight report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

# Variables that decide how nodes find each other. Others are not read: users pass reports on, and
# a variable such as VLLM_API_KEY is secret.
VARIABLES: Final = (
    "GLOO_SOCKET_IFNAME",
    "NCCL_SOCKET_IFNAME",
    "NCCL_IB_HCA",
    "NCCL_IB_DISABLE",
    "TP_SOCKET_IFNAME",
    "VLLM_HOST_IP",
    "HOST_IP",
    "SGLANG_HOST_IP",
    "RAY_ADDRESS",
    "CUDA_VISIBLE_DEVICES",
)


# Those of them that hold this node's own address or name.
OWN_ADDRESS_VARIABLES: Final = ("VLLM_HOST_IP", "SGLANG_HOST_IP", "HOST_IP")


@dataclass(frozen=True, slots=True)
class Question:
    """The facts about a node that a plan needs.

    Attributes:
        hosts: Hosts of the plan, this one included.
        ports: Ports that its commands listen on.
        program: The first word of the command that runs the engine.
        packages: Distributions whose versions matter.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    program: str = "python"
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """How a host is reached.

    Attributes:
        address: The address to which its name resolves.
        source: This node's address towards it.
        interface: The interface that has this address; None where none has.
        mtu: Bytes of its largest packet; 0 where that is not known.
    """

    address: str
    source: str
    interface: str | None
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model's folder on this node.

    Attributes:
        digests: Small file → SHA-256 of its bytes: config, tokenizer, remote code.
        weights: Weight file → bytes.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node.

    Attributes:
        hostname: Its name.
        hostname_addresses: The addresses to which that resolves on the node itself, in order.
        interfaces: Interface → its addresses, of both families.
        speeds: Interface → Mbit/s; 0 where the kernel does not know it.
        routes: Host of the plan → the way there; absent where there is none.
        ports: Port of the plan → why it cannot be listened on, "" where it can.
        environment: Of `VARIABLES`, those that are set.
        ray_addresses: Addresses of Ray nodes that run here.
        shared_memory: Bytes of /dev/shm; None where there is none.
        limits: "memlock", "stack", "nofile" → the hard limit, None for unlimited.
        ib_devices: InfiniBand or RoCE device → state of its first port ("ACTIVE", "DOWN").
        cpu_flags: Of the processor.
        gpus: Models of the GPUs as the driver lists them; None where there is no driver.
        gpu_devices: Device files of GPUs, which a container may have without the driver's list.
        program: The path of the program that starts the engine; None where it is not on the PATH.
        python: The interpreter that runs the engine; None where the program is not found.
        packages: Distribution → version, in that interpreter; None where it cannot be asked.
        clock: Seconds since 1970.
        model: The model's folder; None where the model is only a name.
    """

    hostname: str
    hostname_addresses: tuple[str, ...] = ()
    interfaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    speeds: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    ports: Mapping[int, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ray_addresses: tuple[str, ...] = ()
    shared_memory: int | None = None
    limits: Mapping[str, int | None] = field(default_factory=dict)
    ib_devices: Mapping[str, str] = field(default_factory=dict)
    cpu_flags: frozenset[str] = frozenset()
    gpus: tuple[str, ...] | None = None
    gpu_devices: tuple[str, ...] = ()
    program: str | None = None
    python: str | None = None
    packages: Mapping[str, str] | None = None
    clock: float = 0.0
    model: ModelFacts | None = None

    @property
    def addresses(self) -> frozenset[str]:
        """Every address of the node."""
        return frozenset(address for addresses in self.interfaces.values() for address in addresses)

    def as_dict(self) -> dict[str, Any]:
        """The members of a JSON document."""
        return {**asdict(self), "cpu_flags": sorted(self.cpu_flags)}
