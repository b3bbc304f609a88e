"""Read a node from folders laid out like the system's."""

import hashlib
from pathlib import Path

import pytest

from k2compat.checkpoint.sources.source import open_folder_source
from k2compat.launch.preflight import read_node as reading
from k2compat.launch.preflight.facts import NodeFacts, Question
from k2compat.launch.preflight.read_node import Roots, read_model_facts, read_node


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """An empty system."""
    for name in ("sys", "proc", "shm"):
        (tmp_path / name).mkdir()
    return Roots(tmp_path / "sys", tmp_path / "proc", tmp_path / "shm", {})


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read(roots: Roots, question: Question | None = None) -> NodeFacts:
    return read_node(question or Question(program=""), roots=roots)


def test_an_empty_system_is_told_as_such(roots: Roots) -> None:
    facts = read(roots)
    assert facts.ib_devices == {}
    assert facts.cpu_flags == frozenset()
    assert facts.gpus is None
    assert (facts.python, facts.packages, facts.model) == (None, None, None)
    assert facts.hostname
    assert facts.shared_memory is not None
    assert set(facts.limits) == {"memlock", "stack", "nofile"}


def test_this_system_can_be_read() -> None:
    facts = read_node(Question(hosts=("127.0.0.1", "no-such-host.invalid")))
    assert set(facts.routes) == {"127.0.0.1"}
    assert "127.0.0.1" in facts.addresses
    assert "192.0.2.99" not in facts.addresses
    assert facts.clock > 1.7e9


def test_there_is_no_shared_memory(roots: Roots) -> None:
    roots.shared_memory.rmdir()
    assert read(roots).shared_memory is None


def test_infiniband_devices_with_their_state(roots: Roots) -> None:
    devices = roots.sys / "class/infiniband"
    put(devices / "mlx5_0/ports/1/state", b"4: ACTIVE\n")
    put(devices / "mlx5_1/ports/1/state", b"1: DOWN\n")
    (devices / "mlx5_2").mkdir()
    assert read(roots).ib_devices == {"mlx5_0": "ACTIVE", "mlx5_1": "DOWN", "mlx5_2": ""}


@pytest.mark.parametrize("name", ["flags", "Features"])
def test_the_processors_flags(roots: Roots, name: str) -> None:
    put(roots.proc / "cpuinfo", f"processor\t: 0\n{name}\t\t: avx512f amx_tile\n".encode())
    assert read(roots).cpu_flags == {"avx512f", "amx_tile"}


def test_gpus_as_the_driver_lists_them(roots: Roots) -> None:
    gpus = roots.proc / "driver/nvidia/gpus"
    gpus.mkdir(parents=True)
    assert read(roots).gpus == ()
    put(gpus / "0000:1b:00.0/information", b"Model: \t\t NVIDIA H200\nIRQ: 1\n")
    put(gpus / "0000:2b:00.0/information", b"IRQ: 2\n")
    assert read(roots).gpus == ("NVIDIA H200", "")


def test_addresses_that_raylets_were_started_with(roots: Roots) -> None:
    raylet = b"/opt/ray/raylet/raylet\0--node_ip_address=172.17.0.1\0--port=1\0"
    put(roots.proc / "100/cmdline", raylet)
    put(roots.proc / "101/cmdline", b"grep\0raylet\0--node_ip_address=10.0.0.9\0")
    put(roots.proc / "102/cmdline", b"")
    (roots.proc / "103").mkdir()
    (roots.proc / "103/cmdline").mkdir()  # unreadable, as a process that has ended
    assert read(roots).ray_addresses == ("172.17.0.1",)


def test_only_variables_that_matter_are_read(roots: Roots) -> None:
    """A report is passed around: no key may be in it."""
    variables = {"GLOO_SOCKET_IFNAME": "eth0", "VLLM_API_KEY": "sk-secret", "NCCL_IB_HCA": ""}
    roots = Roots(roots.sys, roots.proc, roots.shared_memory, variables)
    facts = read(roots)
    assert facts.environment == {"GLOO_SOCKET_IFNAME": "eth0"}
    assert "secret" not in str(facts.as_dict())


def test_a_name_of_the_nodes_own_is_resolved_too(roots: Roots) -> None:
    variables = {"VLLM_HOST_IP": "127.0.0.1", "HOST_IP": "no-such-host.invalid"}
    facts = read(Roots(roots.sys, roots.proc, roots.shared_memory, variables))
    assert set(facts.routes) == {"127.0.0.1"}


def test_a_kernel_that_tells_no_interfaces(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> dict[str, tuple[str, ...]]:
        raise OSError

    monkeypatch.setattr(reading, "interface_addresses", refuses)
    assert read(roots).interfaces == {}


def test_the_models_files(tmp_path: Path) -> None:
    put(tmp_path / "config.json", b"{}")
    put(tmp_path / "tiktoken.model", b"AA== 0\n")
    put(tmp_path / "model-1-of-2.safetensors", b"1234")
    put(tmp_path / "README.md", b"words")
    (tmp_path / "gone.json").symlink_to("nowhere")
    facts = read_model_facts(open_folder_source(tmp_path))
    assert facts.weights == {"model-1-of-2.safetensors": 4}
    assert facts.digests == {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "tiktoken.model": hashlib.sha256(b"AA== 0\n").hexdigest(),
    }


def test_the_model_stands_in_the_facts(roots: Roots, tmp_path: Path) -> None:
    model = tmp_path / "model"
    put(model / "config.json", b"{}")
    facts = read_node(Question(program=""), open_folder_source(model), roots)
    assert facts.as_dict()["model"]["weights"] == {}


def test_a_json_file_as_large_as_no_config_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LARGEST_SMALL", 1)
    put(tmp_path / "config.json", b"{}")
    assert read_model_facts(open_folder_source(tmp_path)).digests == {}
