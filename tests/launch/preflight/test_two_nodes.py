"""preflight on two nodes in network namespaces: each trap is named on the right node.

The nodes have device files of GPUs, shared memory and an engine that is installed in metadata
alone; nothing of the machine that runs the tests is judged.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.amount import only_in_test_all
from tests.support.command import PROGRAM
from tests.support.models import make_model
from tests.support.nodes import Node, Nodes, demand_root_and, terminate, until

demand_root_and("faketime", "nft")

pytestmark = pytest.mark.timeout(120)

NODES = "10.77.0.1,10.77.0.2"
_DEVICES = {"null": (1, 3), "zero": (1, 5), "urandom": (1, 9), "nvidia0": (1, 3)}


class Pair:
    """Two nodes, and what they are asked for."""

    def __init__(self, nodes: Nodes, folder: Path) -> None:
        """Write the model and the engine."""
        self.nodes, self.folder = nodes, folder
        self.model = make_model(folder / "K2")
        self.path = folder / "bin"
        self._install_engine()
        for node in nodes:
            self._furnish(node)

    def report(
        self,
        number: int,
        *options: object,
        before: tuple[str, ...] = (),
        model: Path | None = None,
    ) -> dict[str, Any]:
        """One node's report."""
        node = (self.nodes["n1"], self.nodes["n2"])[number]
        given = {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}
        words = [str(model or self.model), *map(str, (*self._options(number), *options))]
        done = node.run(*before, PROGRAM, "preflight", "vllm", *words, "--json", env=given)
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        (self.folder / f"report{number}.json").write_text(done.stdout)
        return document

    def compared(self) -> dict[str, Any]:
        """The comparison of the last reports."""
        files = [str(self.folder / f"report{number}.json") for number in (0, 1)]
        done = self.nodes["n1"].run(PROGRAM, "preflight", "--compare", *files, "--json")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def start(self, number: int, *options: object, log: Path) -> subprocess.Popen[bytes]:
        """Start a preflight that stays a while."""
        given = {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}
        words = [str(self.model), *map(str, (*self._options(number), *options))]
        node = (self.nodes["n1"], self.nodes["n2"])[number]
        return node.start(PROGRAM, "preflight", "vllm", *words, log=log, env=given)

    def _options(self, number: int) -> tuple[object, ...]:
        cluster: tuple[object, ...] = (
            "--nodes",
            NODES,
            "--gpus-per-node",
            "1",
            "--interface",
            "bond0",
        )
        # A stage a node: the sample's blocks cannot be cut in two.
        cluster = (*cluster, "--strategy", "tp-pp")
        return (*cluster, "--node-rank", number)

    def _install_engine(self) -> None:
        site = self.folder / "site"
        for name, version in (("vllm", "0.33.0"), ("tiktoken", "0.12.0")):
            (site / f"{name}-{version}.dist-info").mkdir(parents=True)
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (site / f"{name}-{version}.dist-info/METADATA").write_text(text)
        self.path.mkdir()
        inserted = f"import sys; sys.path.insert(0, {str(site)!r}); exec(sys.argv.pop(1))"
        python = self.path / "python3-of-engine"
        python.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -c "{inserted}" "$@"\n')
        (self.path / "vllm").write_text(f"#!{python}\n")
        for file in self.path.iterdir():
            file.chmod(0o755)

    def _furnish(self, node: Node) -> None:
        devices = self.folder / f"dev-{node.name}"
        (devices / "shm").mkdir(parents=True)
        for name, (major, minor) in _DEVICES.items():
            os.mknod(devices / name, 0o20666, os.makedev(major, minor))
        node.demand("mount", "--bind", str(devices), "/dev")
        node.demand("mount", "-t", "tmpfs", "-o", "size=16g", "shm", "/dev/shm")
        node.write_hosts(*(f"{each.address('bond0')} {each.name}" for each in self.nodes))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with Nodes(folder / "nodes", ["n1", "n2"]) as nodes:
        yield Pair(nodes, folder)


def worse_than_info(document: dict[str, Any]) -> list[str]:
    """The codes of warnings and errors; the limits of this machine's processes are its own."""
    findings = [each for each in document["findings"] if each["severity"] != "info"]
    return [each["code"] for each in findings if each["code"] != "limit-too-small"]


def test_sound_nodes_have_no_findings_and_agree(pair: Pair) -> None:
    assert worse_than_info(pair.report(0)) == []
    assert worse_than_info(pair.report(1)) == []
    assert pair.compared()["findings"] == []


@only_in_test_all
def test_a_wrong_interface(pair: Pair) -> None:
    """The addresses are the management network's: the fix is not to use that for the GPUs."""
    document = pair.report(1, "--nodes", "10.77.1.1,10.77.1.2")
    wrong = [each for each in document["findings"] if each["code"] == "interface-wrong"]
    assert {each["fix"] for each in wrong} == {
        "Give --nodes the addresses on bond0; this node's is 10.77.0.2."
    }
    document = pair.report(0, "--interface", "bond7")
    assert "interface-missing" in worse_than_info(document)
    pair.report(1)
    compared = pair.compared()
    assert [(each["code"], each["where"]) for each in compared["findings"]] == [
        ("report-holds-errors", "node0")
    ]


def test_another_mtu(pair: Pair) -> None:
    node = pair.nodes["n2"]
    node.demand("ip", "link", "set", "bond0", "mtu", "1400")
    try:
        pair.report(0), pair.report(1)
    finally:
        node.demand("ip", "link", "set", "bond0", "mtu", "1500")
    (finding,) = pair.compared()["findings"]
    assert (finding["code"], finding["actual"]) == ("mtu-differs", "1400: node1; 1500: node0")


@only_in_test_all
def test_a_blocked_port(pair: Pair) -> None:
    node = pair.nodes["n1"]
    rule = "type filter hook input priority 0; tcp dport 8000 drop;"
    table = f"table inet k2 {{ chain in {{ {rule} }}; }}"
    log = pair.folder / "listen.log"
    listener = pair.start(0, "--listen", "6", log=log)
    until(lambda: b"Listening on" in log.read_bytes())
    sound = [each["code"] for each in pair.report(1, "--probe")["findings"]]
    assert not {"port-blocked", "port-silent"} & set(sound)
    (pair.folder / "rules").write_text(table)
    node.demand("nft", "-f", str(pair.folder / "rules"))
    try:
        found = pair.report(1, "--probe")["findings"]
    finally:
        node.demand("nft", "delete", "table", "inet", "k2")
    listener.wait(timeout=30)
    blocked = [each["where"] for each in found if each["code"] == "port-blocked"]
    assert blocked == ["node0:8000"]


@only_in_test_all
def test_a_taken_port(pair: Pair) -> None:
    holder = "import socket, time; s = socket.create_server(('', 8000)); time.sleep(60)"
    process = pair.nodes["n1"].start(sys.executable, "-c", holder)
    connect = ("bash", "-c", "exec 3<> /dev/tcp/10.77.0.1/8000")
    until(lambda: pair.nodes["n1"].run(*connect).returncode == 0)
    assert worse_than_info(pair.report(0)) == ["port-taken"]
    assert worse_than_info(pair.report(1)) == []
    terminate(process)
    process.wait(timeout=30)


@only_in_test_all
def test_another_plan(pair: Pair) -> None:
    pair.report(0, "--port", "8001")
    pair.report(1)
    (finding,) = pair.compared()["findings"]
    assert (finding["code"], finding["where"]) == ("plans-differ", "serve-node0, serve-node1")
    assert finding["actual"] == "8000: node1; 8001: node0"


@only_in_test_all
def test_a_model_that_is_missing_on_one_node(pair: Pair) -> None:
    """Storage that only one node has mounted: the other sees an empty folder in its place."""
    parent = pair.folder / "shared"
    model = make_model(parent / "K2")
    pair.nodes["n2"].demand("mount", "-t", "tmpfs", "nothing", str(parent))
    documents = [pair.report(number, model=model) for number in (0, 1)]
    # On the node without the model the plan is one for Kimi-K2, which asks for a larger GPU.
    found = [worse_than_info(document) for document in documents]
    assert found == [[], ["model-missing", "no-gpu-holds"]]


@only_in_test_all
def test_a_clock_two_minutes_off(pair: Pair) -> None:
    pair.report(0)
    start = time.monotonic()
    pair.report(1, before=("faketime", "-f", "+120s"))
    assert time.monotonic() - start < 25
    (finding,) = pair.compared()["findings"]
    assert (finding["code"], finding["where"]) == ("clocks-differ", "node1")
