"""TensorRT-LLM's bundle with real sshd and mpirun on two nodes: keys, ports, sixteen ranks.

`docker` is a stand-in: its containers are mount namespaces over a copy of the root folder that
keeps what is written. `apt-get` has nothing to do, and `pip` fails as it does without a way out.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2compat.launch.render import render_plan
from tests.launch.render.real_stand_ins import RealStandIns
from tests.launch.support import plan
from tests.support.amount import only_in_test_all
from tests.support.models import make_model
from tests.support.nodes import Node, Nodes, demand_root_and, terminate, until

demand_root_and("sshd", "mpirun", "mpicc")

pytestmark = [only_in_test_all, pytest.mark.timeout(120)]

ADDRESSES = ("10.77.0.1", "10.77.0.2")

_DOCKER = """#!/bin/bash
set -euo pipefail
state="{folder}/containers/$(hostname)"
case "$1" in
container) test -e "$state/$3" ;;
run)
    mounts=()
    while [ $# -gt 3 ]; do
        case "$1" in
        --name) name="$2"; shift 2 ;;
        -v) mounts+=("$2"); shift 2 ;;
        *) shift ;;
        esac
    done
    mkdir -p "$state/root-$name"
    unshare --mount bash -c '
        root="$1"; shift
        mount -t tmpfs writes "$root"
        mkdir "$root"/{{upper,work,all}}
        mount -t overlay all -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/all"
        for path in /proc /dev /sys /tmp; do mount --rbind "$path" "$root/all$path"; done
        for entry in "$@"; do
            IFS=: read -r source target _ <<< "$entry"
            mkdir -p "$root/all$(dirname "$target")"
            if [ -d "$source" ]; then mkdir -p "$root/all$target"; else touch "$root/all$target"; fi
            mount --bind "$source" "$root/all$target"
        done
        exec sleep infinity' container "$state/root-$name" "${{mounts[@]}}" > /dev/null 2>&1 &
    until [ -e /proc/$!/root"$state/root-$name/all/workspace/trtllm.yml" ]; do sleep 0.1; done
    echo $! > "$state/$name"
    ;;
rm)
    kill -KILL "$(cat "$state/$3")"
    rm "$state/$3"
    ;;
exec)
    shift
    while [ "$1" = -e ]; do export "${{2?}}"; shift 2; done
    name="$1"; shift
    export PATH="{folder}/inside:{folder}/bin:$PATH"
    export NCCL_SOCKET_IFNAME=bond0 GLOO_SOCKET_IFNAME=bond0
    # As docker does it, a signal ends the client alone.
    trap 'exit 143' TERM INT
    setsid nsenter --target "$(cat "$state/$name")" --mount \
        chroot "$state/root-$name/all" "$@" <&0 &
    wait $!
    ;;
esac
"""
_INSIDE = {
    "apt-get": "exit 0",
    "pip": "echo 'no way out' >&2; exit 1",
    "service": "mkdir -p /run/sshd; exec /usr/sbin/sshd",
    "python3": "case $* in *tiktoken*) exit 0 ;; *) exit 1 ;; esac",
}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path / "nodes", ["n1", "n2"]) as nodes:
        for node in nodes:
            node.write_hosts(f"127.0.1.1 {node.name}")
        yield nodes


@pytest.fixture
def engine(tmp_path: Path) -> RealStandIns:
    """The programs of host and container."""
    stand_ins = RealStandIns(tmp_path / "engine", ())
    stand_ins.add_ranks()
    stand_ins.add("docker", _DOCKER.format(folder=stand_ins.folder))
    inside = stand_ins.folder / "inside"
    inside.mkdir()
    for name, text in _INSIDE.items():
        (inside / name).write_text(f"#!/bin/sh\n{text}\n")
        (inside / name).chmod(0o755)
    return stand_ins


def containers(engine: RealStandIns) -> list[str]:
    """The names of the containers that are there."""
    return sorted(file.name for file in engine.folder.glob("containers/*/k2-*") if file.is_file())


def has_ranks(node: Node) -> bool:
    """Whether ranks of MPI run on a node."""
    return "/rank" in node.run("ps", "-ww", "-eo", "args").stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The files, on the storage that both nodes share."""
    folder, model = tmp_path / "bundle", make_model(tmp_path / "K2")
    made = plan("trtllm", str(model), nodes=ADDRESSES, values={"image": "trtllm:local"})
    for name, script in render_plan(made, "sh").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(script.text)
        (folder / name).chmod(0o755 if script.executable else 0o644)
    return folder


def start(
    nodes: Nodes, number: int, bundle: Path, engine: RealStandIns, log: str = "log"
) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a node's script."""
    output = bundle / f"{log}{number}"
    path = f"{engine.path}:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "HOME": "/root", "INTERFACE": "bond0"}
    program = str(bundle / f"node{number}.sh")
    return nodes[f"n{number + 1}"].start(program, log=output, env=environment), output


@pytest.mark.parametrize("first", [0, 1])
def test_the_nodes_start_in_any_order(
    nodes: Nodes, engine: RealStandIns, bundle: Path, first: int
) -> None:
    early, log = start(nodes, first, bundle, engine)
    waits = "sshd-node1 to listen" if first == 0 else "ssh/id_ed25519"
    assert waits in (bundle / f"node{first}.sh").read_text()
    until(lambda: first == 1 or (bundle / "ssh/host_ed25519").exists())
    assert early.poll() is None, log.read_text()
    late, other = start(nodes, 1 - first, bundle, engine)
    for process, words in ((early, log), (late, other)):
        assert process.wait(timeout=30) == 0, words.read_text()
    assert engine.ranks == {rank: (16, sum(range(16))) for rank in range(16)}
    hosts = engine.of_ranks("host")
    assert [hosts[rank] for rank in range(16)] == [["n1"]] * 8 + [["n2"]] * 8
    variables = engine.of_ranks("env")
    assert all("NCCL_SOCKET_IFNAME=bond0" in variables[rank] for rank in range(16))
    # The container of the server has ended with it; the other one is there until it is removed.
    assert containers(engine) == ["k2-trtllm-node1"]
    # A second try does not meet the container of the first without a word.
    again, log = start(nodes, 1, bundle, engine)
    assert again.wait(timeout=30) == 1
    assert "docker rm -f k2-trtllm-node1" in log.read_text()


def test_a_signal_ends_the_ranks_on_both_nodes_and_the_container(
    nodes: Nodes, engine: RealStandIns, bundle: Path
) -> None:
    """`docker exec` hands on no signal: the script asks the server in the container to end."""
    engine.behave(seconds="60")
    processes = [start(nodes, number, bundle, engine) for number in (0, 1)]
    until(lambda: len(engine.ranks) == 16)
    # The script again, by mistake: it touches nothing of the run that is there.
    again, log = start(nodes, 0, bundle, engine, log="log-again")
    assert again.wait(timeout=30) == 1
    assert "docker rm -f k2-trtllm-node0" in log.read_text()
    assert processes[0][0].poll() is None
    assert all(has_ranks(node) for node in nodes)
    terminate(processes[0][0])
    assert processes[0][0].wait(timeout=60) == 143, processes[0][1].read_text()
    until(lambda: not any(has_ranks(node) for node in nodes))
    assert containers(engine) == ["k2-trtllm-node1"]


def test_the_wait_for_a_node_that_never_comes_has_an_end(
    nodes: Nodes, engine: RealStandIns, bundle: Path
) -> None:
    """Dropped packets and an absent host count by the clock, not by tries; a line tells of it."""
    script = bundle / "node0.sh"
    text = script.read_text()
    assert "wait_until 'sshd-node1 to listen' 600 " in text
    text = text.replace("to listen' 600 ", "to listen' 8 ").replace(">= 60", ">= 2")
    script.write_text(text)
    nodes["n2"].demand("ip", "link", "set", "bond0", "down")
    process, log = start(nodes, 0, bundle, engine)
    assert process.wait(timeout=40) == 1
    words = log.read_text()
    assert "waiting for sshd-node1 to listen, " in words
    assert "sshd-node1 to listen: not within 8 s" in words
