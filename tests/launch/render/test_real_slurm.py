"""The sbatch file under a real Slurm: four nodes in network namespaces.

The nodes are as Debian and Ubuntu make them: each resolves its own name to 127.0.1.1. eth0 is what
Slurm uses, bond0 the network of the GPUs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.launch.render.cluster_support import rendered
from tests.launch.render.real_stand_ins import RealStandIns, value
from tests.support import slurm as real_slurm
from tests.support.amount import only_in_test_all
from tests.support.nodes import Nodes, demand_root_and, until
from tests.support.slurm import HOSTS, Job, Slurm

demand_root_and(*real_slurm.PROGRAMS)

pytestmark = [only_in_test_all, pytest.mark.timeout(120)]

BOND = {"INTERFACE": "bond0"}


class Cluster:
    """Slurm, the engines' stand-ins, and a folder for the job's file."""

    def __init__(self, slurm: Slurm, engines: RealStandIns, folder: Path) -> None:
        """Keep the parts."""
        self.slurm, self.engines, self._folder = slurm, engines, folder

    def submit(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        prepared_by: str = "",
        **launch: Any,
    ) -> str:
        """Submit what is rendered, with a line of the user's own at its beginning.

        Returns:
            The job's id.
        """
        _, files = rendered("slurm", **launch)
        file = self._folder / "launch.sbatch"
        start = "set -euo pipefail\n"
        file.write_text(files["launch.sbatch"].replace(start, start + prepared_by, 1))
        path = f"{self.engines.path}:/usr/sbin:/usr/bin:/sbin:/bin"
        temporary = self._folder / "temporary"
        temporary.mkdir(exist_ok=True)
        given = {**BOND, "TMPDIR": str(temporary), **(environment or {})}
        return self.slurm.submit(file, *options, environment={"PATH": path, **given})

    def ended(self, number: str, seconds: float = 30.0) -> Job:
        """A job at its end."""
        return self.slurm.ended(number, seconds)

    def node(self, name: str, interface: str = "bond0") -> str:
        """A node's address."""
        return self.slurm.nodes[name].address(interface)

    @property
    def temporary_files(self) -> list[Path]:
        """What a job left where temporary files go."""
        return list((self._folder / "temporary").iterdir())


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    folder = tmp_path_factory.mktemp("slurm")
    with Nodes(folder / "nodes", ["ctl", *HOSTS]) as nodes:
        as_debian_does(nodes)
        with Slurm(folder / "slurm", nodes) as slurm:
            yield slurm


@pytest.fixture
def cluster(slurm: Slurm, tmp_path: Path) -> Iterator[Cluster]:
    engines = RealStandIns(tmp_path / "engines", ["vllm", "sglang", "python", "python3"])
    yield Cluster(slurm, engines, tmp_path)
    as_debian_does(slurm.nodes)


def as_debian_does(nodes: Nodes) -> None:
    """Each node's own name is on loopback; the names of the others lead to eth0."""
    others = [f"{node.address()} {node.name}" for node in nodes]
    for node in nodes:
        node.write_hosts(f"127.0.1.1 {node.name}", *others)


def test_each_engine_gets_the_address_of_the_interface_and_its_rank(cluster: Cluster) -> None:
    job = cluster.submit(strategy="tp-pp")
    first, second = records = cluster.engines.started(2)
    cluster.slurm.scancel(job)
    assert [record["host"] for record in records] == ["n1", "n2"]
    for rank, record in enumerate(records):
        assert value(record["argv"], "--master-addr") == cluster.node("n1")
        assert value(record["argv"], "--node-rank") == str(rank)
        assert record["env"]["VLLM_HOST_IP"] == cluster.node(record["host"])
        assert record["env"]["CUDA_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
    assert first["env"]["GLOO_SOCKET_IFNAME"] == second["env"]["GLOO_SOCKET_IFNAME"] == "bond0"
    assert cluster.ended(job).state == "CANCELLED"


def test_names_that_nothing_resolves_are_no_obstacle(cluster: Cluster) -> None:
    for node in cluster.slurm.nodes:
        node.write_hosts()
    job = cluster.submit(environment={"INTERFACE": "eth0"})
    records = cluster.engines.started(2)
    cluster.slurm.scancel(job)
    cluster.ended(job)
    masters = {value(record["argv"], "--master-addr") for record in records}
    assert masters == {cluster.node("n1", "eth0")}


@pytest.mark.parametrize("known_to", ["slurm", "slurm, on loopback", "hosts"])
def test_without_an_interface_the_addresses_are_those_of_the_names(
    cluster: Cluster, known_to: str
) -> None:
    """A prefill and a decode node meet by HTTP alone: no interface is named for them.

    What a name resolves to counts, unless that is nothing or loopback: then Slurm's NodeAddr does.
    """
    network = "bond0" if known_to == "hosts" else "eth0"  # NodeAddr is eth0's
    nodes = list(cluster.slurm.nodes)
    for node in nodes:
        own = [f"127.0.1.1 {node.name}"] if "loopback" in known_to else []
        others = [f"{each.address(network)} {each.name}" for each in nodes]
        node.write_hosts(*own, *(others if known_to == "hosts" else []))
    job = cluster.submit(
        engine="sglang", strategy="pd", prefill=1, decode=1, environment={"IB_DEVICE": "mlx5_0"}
    )
    records = cluster.engines.started(3)
    cluster.slurm.scancel(job)
    cluster.ended(job)
    (balancer,) = (r for r in records if "serve" not in r["argv"])
    words = " ".join(balancer["argv"])
    for name in ("n1", "n2"):
        assert f"http://{cluster.node(name, network)}:" in words


@pytest.mark.parametrize("strategy", ["tp", "tp-pp", "dp-ep"])
def test_sglang_meets_on_its_first_node(cluster: Cluster, strategy: str) -> None:
    job = cluster.submit(engine="sglang", strategy=strategy)
    records = cluster.engines.started(2)
    cluster.slurm.scancel(job)
    assert cluster.ended(job).state == "CANCELLED"
    assert [record["host"] for record in records] == ["n1", "n2"]
    for rank, record in enumerate(records):
        argv = record["argv"]
        assert value(argv, "--dist-init-addr").rpartition(":")[0] == cluster.node("n1")
        assert (value(argv, "--nnodes"), value(argv, "--node-rank")) == ("2", str(rank))
        assert record["env"]["GLOO_SOCKET_IFNAME"] == "bond0"
    assert [record["ended"] for record in cluster.engines.records] == ["SIGTERM"] * 2


@pytest.mark.parametrize("interface", ["bond7", "lo"])
def test_an_interface_without_an_address_for_others_is_named(
    cluster: Cluster, interface: str
) -> None:
    job = cluster.ended(cluster.submit(environment={"INTERFACE": interface}))
    assert (job.state, job.exit_code) == ("FAILED", "1:0")
    assert f"n1: {interface} has no IPv4 address that other nodes reach" in job.log
    assert cluster.node("n1") in job.log  # what there is instead
    assert cluster.engines.records == []


def test_ipv6_alone_is_named(cluster: Cluster) -> None:
    node = cluster.slurm.nodes["n2"]
    node.demand("ip", "addr", "flush", "dev", "bond0")
    node.demand("ip", "addr", "add", "fd00::2/64", "dev", "bond0")
    try:
        job = cluster.ended(cluster.submit())
    finally:
        node.demand("ip", "addr", "flush", "dev", "bond0")
        node.demand("ip", "addr", "add", f"{node.address('bond0')}/24", "dev", "bond0")
    assert job.state == "FAILED"
    assert "n2: bond0 has no IPv4 address that other nodes reach" in job.log
    assert "n1:" not in job.log


@pytest.mark.parametrize("engine", ["vllm", "trtllm"])
def test_the_environment_of_the_job_reaches_the_engines(cluster: Cluster, engine: str) -> None:
    """A site's SBATCH_EXPORT=NONE, or the option, takes PATH from the steps."""
    cluster.engines.add_ranks()
    cluster.engines.behave(all="exit 0")
    own = f"export PATH={cluster.engines.path}:$PATH INTERFACE=bond0\n"
    job = cluster.ended(cluster.submit("--export=NONE", engine=engine, prepared_by=own))
    assert job.state == "COMPLETED", job.log
    assert len(cluster.engines.records) == (2 if engine == "vllm" else 0)
    assert len(cluster.engines.ranks) == (16 if engine == "trtllm" else 0)


def test_an_address_of_earlier_use_does_not_win(cluster: Cluster) -> None:
    job = cluster.submit(environment={"NODE0": "10.0.0.99", "NODE1": "10.0.0.98"})
    records = cluster.engines.started(2)
    cluster.slurm.scancel(job)
    cluster.ended(job)
    assert {value(r["argv"], "--master-addr") for r in records} == {cluster.node("n1")}


def test_the_first_engine_that_ends_takes_the_job_with_it(cluster: Cluster) -> None:
    """The others are asked to end and have time to: what they end with is done."""
    cluster.engines.behave(n1="linger 2", n2="exit 3")
    job = cluster.ended(cluster.submit())
    assert (job.state, job.exit_code) == ("FAILED", "3:0")
    by_host = {record["host"]: record for record in cluster.engines.records}
    assert by_host["n1"]["ended"] == "SIGTERM"


def test_cancel_and_requeue_end_the_engines_first(cluster: Cluster) -> None:
    job = cluster.submit("--requeue")
    cluster.engines.started(2)
    cluster.slurm.requeue(job)
    records = cluster.engines.started(4, 60)
    assert [record["ended"] for record in records].count("SIGTERM") == 2
    cluster.slurm.scancel(job)
    assert cluster.ended(job).state == "CANCELLED"
    assert [record["ended"] for record in cluster.engines.records] == ["SIGTERM"] * 4


def test_prefill_and_decode_and_what_leads_to_them(cluster: Cluster) -> None:
    job = cluster.submit(
        engine="sglang", strategy="pd", decode=2, environment={"IB_DEVICE": "mlx5_0"}
    )
    records = cluster.engines.started(5)
    cluster.slurm.scancel(job)
    cluster.ended(job)
    servers = [r for r in records if "serve" in r["argv"]]
    assert [r["host"] for r in servers] == list(HOSTS)
    dist = [value(r["argv"], "--dist-init-addr").rpartition(":")[0] for r in servers]
    assert dist == [cluster.node("n1")] * 2 + [cluster.node("n3")] * 2
    assert [value(r["argv"], "--node-rank") for r in servers] == ["0", "1"] * 2
    (balancer,) = (r for r in records if r not in servers)
    assert balancer["host"] == "n1"
    words = " ".join(balancer["argv"])
    assert f"http://{cluster.node('n1')}:" in words
    assert f"http://{cluster.node('n3')}:" in words


def test_tensorrt_llm_has_a_rank_on_each_gpu(cluster: Cluster) -> None:
    cluster.engines.add_ranks()
    job = cluster.ended(cluster.submit(engine="trtllm"))
    assert (job.state, job.exit_code) == ("COMPLETED", "0:0"), job.log
    assert cluster.engines.ranks == {rank: (16, sum(range(16))) for rank in range(16)}
    hosts = cluster.engines.of_ranks("host")
    assert [hosts[rank] for rank in range(16)] == [["n1"]] * 8 + [["n2"]] * 8
    assert cluster.temporary_files == []


def test_a_rank_that_ends_before_mpi_ends_the_job(cluster: Cluster) -> None:
    cluster.engines.add_ranks()
    cluster.engines.behave(rank5="3")
    job = cluster.ended(cluster.submit(engine="trtllm", environment={"STAND_IN_SECONDS": "60"}))
    assert job.state == "FAILED"
    assert "n1: task 5: Exited with exit code 3" in job.log


def test_cancelled_ranks_leave_no_files(cluster: Cluster) -> None:
    cluster.engines.add_ranks()
    job = cluster.submit(engine="trtllm", environment={"STAND_IN_SECONDS": "60"})
    until(lambda: len(cluster.engines.ranks) == 16)
    cluster.slurm.scancel(job)
    assert cluster.ended(job).state == "CANCELLED"
    assert cluster.temporary_files == []
