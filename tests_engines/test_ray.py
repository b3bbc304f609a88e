"""Ray on two nodes, by the scripts that `launch vllm --executor ray` renders; vLLM is a stand-in.

The stand-in asks Ray which nodes it has, as vLLM does before it places its workers, answers HTTP,
and stays until it is ended. The nodes are network namespaces.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PROGRAM, k2compat
from tests.support.nodes import Node, Nodes, demand_root_and, terminate, until
from tests_engines.conftest import programs_of

demand_root_and()

ADDRESSES = ("10.77.0.1", "10.77.0.2")
# Ray takes up to twenty seconds for a node on two cores.
SECONDS = 180

_VLLM = """#!{python}
import http.server, json, os, signal, sys, time
import ray
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ray.init(address=None, log_to_driver=False)  # as vLLM does on NVIDIA's GPUs
while True:
    nodes = [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 2:
        break
    time.sleep(0.5)
with open({folder!r} + "/writing", "w") as file:
    json.dump({{"nodes": sorted(nodes), "argv": sys.argv[1:], "host": os.uname().nodename}}, file)
os.rename({folder!r} + "/writing", {folder!r} + "/seen.json")
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 8000), Healthy).serve_forever()
"""


class Pair:
    """Two nodes with Ray and the stand-in."""

    def __init__(self, nodes: Nodes, folder: Path, short: Path) -> None:
        """Put the stand-in into PATH.

        Args:
            nodes: The machines.
            folder: Where everything is written.
            short: A folder for Ray's sockets, whose paths may have 107 bytes at most.
        """
        self.nodes, self.folder, self.short = nodes, folder, short
        self.programs = programs_of("ray")
        self.seen = folder / "seen.json"
        path = folder / "bin" / "vllm"
        path.parent.mkdir()
        path.write_text(_VLLM.format(python=self.programs / "python", folder=str(folder)))
        path.chmod(0o755)

    def environment(self, node: Node) -> dict[str, str]:
        """The variables of a shell on a node."""
        return {
            "PATH": f"{self.folder / 'bin'}:{self.programs}:{os.environ['PATH']}",
            "HOME": "/root",
            "NODE_ADDRESS": node.address("bond0"),
            "RAY_TMPDIR": str(self.short / node.name),
            # Ray allows a node 30 s to start; a machine that runs tests may take longer.
            "RAY_raylet_start_wait_time_s": "150",
        }

    def start(self, name: str, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a program on a node."""
        node = self.nodes[name]
        (self.short / name).mkdir(exist_ok=True)
        log = self.folder / f"{name}.log"
        return node.start(*words, log=log, env=self.environment(node)), log

    def daemons(self, name: str) -> list[str]:
        """What runs of Ray on a node."""
        shown = self.nodes[name].run("ps", "-ww", "-eo", "args").stdout.splitlines()
        return [line for line in shown if "gcs_server" in line or "raylet" in line]

    def answer(self, head: "subprocess.Popen[bytes]", logs: list[Path]) -> dict[str, Any]:
        """What the stand-in saw."""
        try:
            until(lambda: self.seen.exists() or head.poll() is not None, SECONDS)
            assert head.poll() is None
        except AssertionError as error:
            raise AssertionError("\n".join(log.read_text() for log in logs)) from error
        document: dict[str, Any] = json.loads(self.seen.read_text())
        self.seen.unlink()
        return document


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    programs_of("ray")
    short = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    with Nodes(tmp_path / "nodes", ["n1", "n2"]) as nodes:
        yield Pair(nodes, tmp_path, short)
    shutil.rmtree(short)


def words_of(form: str, folder: Path) -> tuple[list[str], list[str]]:
    """What is started on the first node and on the other."""
    common = ["vllm", "/models/K2", "--nodes", ",".join(ADDRESSES), "--interface", "bond0"]
    common += ["--executor", "ray"]
    if form == "run":
        each = [PROGRAM, "launch", *common, "--run", "--skip-preflight", "--node-rank"]
        return [*each, "0"], [*each, "1"]
    result = k2compat("launch", *common, "--format", form, "--out", str(folder / form))
    assert result.code == 0, result.words
    first, other = ("head", "worker") if form == "ray" else ("node0", "node1")
    return [f"{folder}/{form}/{first}.sh"], [f"{folder}/{form}/{other}.sh"]


@pytest.mark.parametrize("form", ["ray", "sh", "run"])
def test_the_nodes_meet_and_the_head_can_be_started_again(
    pair: Pair, tmp_path: Path, form: str
) -> None:
    head_words, worker_words = words_of(form, tmp_path)
    worker, worker_log = pair.start("n2", *worker_words)  # before the head
    for _ in range(2):
        head, log = pair.start("n1", *head_words)
        found = pair.answer(head, [log, worker_log])
        assert found["nodes"] == list(ADDRESSES)
        assert found["host"] == "n1"
        assert found["argv"][:2] == ["serve", "/models/K2"]
        assert pair.daemons("n1")
        assert pair.daemons("n2")
        terminate(head)
        assert head.wait(60) == 143, log.read_text()
        assert pair.daemons("n1") == []
        terminate(worker)
        worker.wait(60)
        assert pair.daemons("n2") == []
        worker, worker_log = pair.start("n2", *worker_words)


def test_an_engine_that_ends_takes_ray_with_it(pair: Pair, tmp_path: Path) -> None:
    head_words, _ = words_of("sh", tmp_path)
    (tmp_path / "bin" / "vllm").write_text("#!/bin/sh\nexit 3\n")
    head, log = pair.start("n1", *head_words)
    assert head.wait(SECONDS) == 3, log.read_text()
    assert pair.daemons("n1") == []
