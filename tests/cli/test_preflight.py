"""k2compat preflight as it is typed: on a stand-in node, and reports held together."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k2compat.cli.main import run
from tests.support.command import ENVIRONMENT, PROGRAM, k2compat
from tests.support.models import make_model

TWO = ["--nodes", "10.0.0.1,10.0.0.2"]
SMALL = ["--gpus-per-node", "1"]

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in vLLM on the PATH: its script, its interpreter, its metadata."""
    folder = tmp_path / "engine"
    for name, version in (("vllm", "0.33.0"), ("tiktoken", "0.12.0")):
        entry = folder / f"site/{name}-{version}.dist-info"
        entry.mkdir(parents=True)
        (entry / "METADATA").write_text(_METADATA.format(name=name, version=version))
    (folder / "bin").mkdir()
    python, program = folder / "bin/python3", folder / "bin/vllm"
    inserted = f"import sys; sys.path[:0] = [{str(folder / 'site')!r}]; exec(sys.argv.pop(1))"
    python.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -c "{inserted}" "$@"\n')
    program.write_text(f"#!{python}\n")
    for path in (python, program):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{ENVIRONMENT['PATH']}")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "模型")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The reports of two nodes, made as a job makes them."""
    place = make_model(tmp_path_factory.mktemp("model") / "模型")
    plan = ["preflight", "vllm", str(place), "--nodes", "127.0.0.1,127.0.0.2", "--json"]
    return [k2compat(*plan, "--node-rank", str(rank)).out for rank in range(2)]


def document(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer = json.loads(capfd.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def codes(answer: dict[str, Any], *severities: str) -> set[str]:
    """The codes of findings, of all severities or of these."""
    return {
        finding["code"]
        for finding in answer["findings"]
        if not severities or finding["severity"] in severities
    }


class TestOffline:
    """Without --node-rank only the plan is judged."""

    def test_a_plan_that_fits(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", "vllm", "K2", *TWO, "--gpu", "h200"]) == 0
        out, err = capfd.readouterr()
        assert out.startswith("Plan: vllm 0.33.0, strategy tp, 2 commands on 2 nodes.\nFound: ")
        assert "error" not in err

    def test_one_that_does_not(self, capfd: pytest.CaptureFixture[str]) -> None:
        plan = ["preflight", "vllm", "K2", "--nodes", "10.0.0.1", "--gpu", "h200"]
        assert run([*plan, "--json"]) == 1
        answer = document(capfd)
        assert answer["schema"] == "k2compat.preflight/1"
        assert (answer["node"], answer["facts"]) == (None, None)
        assert codes(answer, "error") == {"does-not-fit"}

    def test_flags_that_were_renamed(self, capfd: pytest.CaptureFixture[str]) -> None:
        plan = ["preflight", "vllm", "K2", *TWO, "--set", "no-such-flag=1"]
        assert run([*plan, "--json"]) == 2
        assert document(capfd)["error"]["hint"]


class TestNode:
    def arguments(self, model: Path, *more: str) -> list[str]:
        return [
            "preflight",
            "vllm",
            str(model),
            "--nodes",
            "127.0.0.1",
            *SMALL,
            "--node-rank",
            "0",
            *more,
        ]

    @pytest.mark.usefixtures("engine")
    def test_a_sound_node(self, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The machine's own limits are not the test's to set."""
        run(self.arguments(model, "--port", "29321", "--json"))
        answer = document(capfd)
        assert codes(answer, "error") <= {"gpus-missing"}
        assert codes(answer, "warning") <= {"limit-too-small", "shared-memory-small"}
        assert answer["node"] == "node0"
        facts = answer["facts"]
        assert facts["packages"] == {"vllm": "0.33.0", "tiktoken": "0.12.0"} | {
            name: version
            for name, version in facts["packages"].items()
            if name in ("torch", "transformers")
        }
        assert "config.json" in facts["model"]["digests"]

    @pytest.mark.usefixtures("engine")
    def test_in_words(self, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run(self.arguments(model, "--port", "29322"))
        lines = capfd.readouterr().out.splitlines()
        assert lines[1].startswith("Node: node0 (127.0.0.1) is ")
        assert any(line.startswith("Engine: ") and "vllm 0.33.0" in line for line in lines)
        assert any(line.startswith("Model: ") for line in lines)

    def test_no_engine_and_a_file_missing(
        self,
        model: Path,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (model / "tiktoken.model").unlink()
        monkeypatch.setenv("PATH", str(tmp_path))
        assert run(self.arguments(model, "--json")) == 1
        assert {"engine-missing", "companion-missing"} <= codes(document(capfd), "error")

    def test_a_port_that_is_taken(self, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
            assert run(self.arguments(model, "--port", port, "--json")) == 1
        assert "port-taken" in codes(document(capfd), "error")

    def test_listening_and_probing_need_the_node(self, capfd: pytest.CaptureFixture[str]) -> None:
        for option in (["--probe"], ["--listen", "1"]):
            assert run(["preflight", "vllm", "K2", *TWO, *option]) == 2
            assert "need --node-rank" in capfd.readouterr().err

    def test_one_node_listens_and_another_probes(
        self, model: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        cluster = ["--nodes", "127.0.0.1,127.0.0.2", "--port", "29323"]
        run(["preflight", "vllm", str(model), *cluster, "--node-rank", "0", "--listen", "1"])
        assert "Listening on 29323" in capfd.readouterr().err
        run(["preflight", "vllm", str(model), *cluster, "--node-rank", "1", "--probe", "--json"])
        assert "port-silent" in codes(document(capfd))

    def test_an_unknown_node(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", "vllm", "K2", *TWO, "--node-rank", "7"]) == 2
        assert "[node-unknown]" in capfd.readouterr().err


class TestCompare:
    @pytest.fixture
    def reports(self, made: list[bytes], tmp_path: Path) -> list[str]:
        """The files they stand in."""
        paths = [tmp_path / f"report {rank}.json" for rank in range(len(made))]
        for path, content in zip(paths, made, strict=True):
            path.write_bytes(content)
        return list(map(str, paths))

    def test_nodes_alike(self, reports: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        for path in map(Path, reports):
            report = json.loads(path.read_text())
            path.write_text(json.dumps(report | {"findings": []}))
        assert run(["preflight", "--compare", *reports]) == 0
        assert capfd.readouterr().out == "The reports of node0, node1 agree.\n"

    def test_nodes_that_have_the_same_errors_do_not_agree(
        self, reports: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        """No vLLM is installed where the tests run."""
        assert run(["preflight", "--compare", *reports]) == 1
        captured = capfd.readouterr()
        assert captured.out == "The reports of node0, node1 hold errors.\n"
        assert "engine-missing" in captured.err

    def test_nodes_that_differ(self, reports: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        path = Path(reports[1])
        report = json.loads(path.read_text())
        report["facts"]["model"]["digests"]["config.json"] = "0" * 64
        report["facts"]["clock"] += 3600
        path.write_text(json.dumps(report))
        assert run(["preflight", "--json", "--compare", *reports]) == 1
        answer = document(capfd)
        assert codes(answer) == {"config-differs", "clocks-differ", "report-holds-errors"}
        assert [each["node"] for each in answer["nodes"]] == ["node0", "node1"]

    @pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
    def test_what_is_no_report(
        self, tmp_path: Path, content: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "x.json"
        path.write_text(content)
        assert run(["preflight", "--compare", str(path)]) == 2
        assert "[report-malformed]" in capfd.readouterr().err

    def test_a_file_that_is_absent_and_none_at_all(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["preflight", "--compare", str(tmp_path / "x.json")]) == 2
        assert "[not-found]" in capfd.readouterr().err
        assert run(["preflight", "--compare"]) == 2
        assert "[wrong-usage]" in capfd.readouterr().err

    def test_its_help_says_how(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", "--help"]) == 0
        assert "--compare" in capfd.readouterr().out
        assert run(["preflight", "--compare", "--help"]) == 0
        assert "FILE…" in capfd.readouterr().out


# A node of its own: network, host name and /etc/hosts are the test's.
_NODE = """
set -e
hostname gpu-a
mount --make-rprivate /
printf '%s\\n' "$HOSTS" | tr '|' '\\n' > "$FOLDER/hosts"
mount --bind "$FOLDER/hosts" /etc/hosts
ip link set lo up
ip link add bond0 type veth peer name cable0
ip link set cable0 up
ip addr add 10.0.0.1/24 dev bond0
ip link set bond0 up
ip link add docker0 type veth peer name cable1
ip link set cable1 up
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
exec "$@"
"""


def _can_unshare() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    probe = ["unshare", "-n", "-m", "-u", "ip", "link", "add", "k2probe", "type", "veth"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_unshare(), reason="needs root, unshare and iproute2")
class TestNamespaces:
    """The real command on a real, small network."""

    def on_node(
        self,
        tmp_path: Path,
        *arguments: str,
        hosts: str = "127.0.0.1 localhost|10.0.0.1 gpu-a",
        **variables: str,
    ) -> set[str]:
        done = subprocess.run(
            [
                "unshare",
                "-n",
                "-m",
                "-u",
                "sh",
                "-c",
                _NODE,
                "sh",
                PROGRAM,
                "preflight",
                "vllm",
                "K2",
                "--node-rank",
                "0",
                "--json",
                *arguments,
            ],
            env={**ENVIRONMENT, "FOLDER": str(tmp_path), "HOSTS": hosts, **variables},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.stdout, done.stderr.decode()
        network = {
            "hostname-on-loopback",
            "interface-missing",
            "interface-wrong",
            "gloo-interface-pattern",
            "address-not-local",
            "host-unreachable",
            "host-ip-not-local",
            "ray-address-differs",
            "port-taken",
        }
        return codes(json.loads(done.stdout)) & network

    def test_a_sound_node(self, tmp_path: Path) -> None:
        assert self.on_node(tmp_path, *TWO, "--interface", "bond0") == set()

    def test_the_host_name_on_loopback(self, tmp_path: Path) -> None:
        hosts = "127.0.0.1 localhost|127.0.1.1 gpu-a"
        plan = ["--profile", "guide", "--strategy", "dp-ep", *TWO]
        assert self.on_node(tmp_path, *plan, hosts=hosts) == {"hostname-on-loopback"}
        gloo = {"GLOO_SOCKET_IFNAME": "bond0"}
        assert self.on_node(tmp_path, *plan, hosts=hosts, **gloo) == set()

    def test_interfaces(self, tmp_path: Path) -> None:
        assert self.on_node(tmp_path, *TWO, "--interface", "eth0") == {"interface-missing"}
        assert self.on_node(tmp_path, *TWO, "--interface", "docker0") == {"interface-wrong"}
        guide = ["--profile", "guide", "--strategy", "dp-ep", *TWO]
        pattern = {"GLOO_SOCKET_IFNAME": "^lo"}
        assert self.on_node(tmp_path, *guide, **pattern) == {"gloo-interface-pattern"}

    def test_another_nodes_addresses(self, tmp_path: Path) -> None:
        swapped = ["--nodes", "10.0.0.2,10.0.0.1", "--interface", "bond0"]
        assert "address-not-local" in self.on_node(tmp_path, *swapped)
        guide = ["--profile", "guide", "--strategy", "dp-ep", *TWO]
        host_ip = {"VLLM_HOST_IP": "10.0.0.2"}
        assert self.on_node(tmp_path, *guide, **host_ip) == {"host-ip-not-local"}

    def test_a_node_that_cannot_be_reached(self, tmp_path: Path) -> None:
        far = ["--nodes", "10.0.0.1,192.0.2.7", "--interface", "bond0"]
        assert "host-unreachable" in self.on_node(tmp_path, *far)
