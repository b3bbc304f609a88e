"""A node's process: the engine itself, with its signals and its exit status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.plan import Plan
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from k2compat.launch.run import become_node
from tests.launch.render.stand_ins import StandIns
from tests.launch.support import plan
from tests.support.command import PROGRAM

RUN = [PROGRAM, "launch", "vllm", "Kimi-K2-Thinking", "--run", "--node-rank", "0"]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def test_the_process_becomes_the_engine(tmp_path: Path) -> None:
    stand_ins = StandIns(tmp_path, ["vllm"])
    done, records = stand_ins.run(
        Path(PROGRAM), {"STAND_IN_STATUS": "7"}, *RUN[1:], "--skip-preflight"
    )
    assert done.returncode == 7
    (record,) = records
    assert record["argv"][:3] == ["vllm", "serve", "Kimi-K2-Thinking"]


def test_signals_reach_the_engine_and_none_is_ignored(tmp_path: Path) -> None:
    StandIns(tmp_path, ["vllm"])
    script = tmp_path / "bin" / "vllm"
    script.write_text("#!/bin/bash\ngrep SigIgn /proc/self/status\nexec sleep 60\n")
    process = subprocess.Popen(
        [*RUN, "--skip-preflight"], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ignored = int(process.stdout.readline().split()[1], 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)
    time.sleep(0.1)
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    process.stdout.close()


def test_variables_of_the_node_fill_what_was_left_open(tmp_path: Path) -> None:
    stand_ins = StandIns(tmp_path, ["vllm"])
    arguments = ["launch", "vllm", "/k2", "--nodes", "$A,$B", "--run", "--node-rank", "node1"]
    variables = {"A": "10.0.0.1", "B": "10.0.0.2", "INTERFACE": "eth0"}
    done, (record,) = stand_ins.run(Path(PROGRAM), variables, *arguments, "--skip-preflight")
    assert done.returncode == 0, done.stderr
    assert record["argv"][record["argv"].index("--master-addr") + 1] == "10.0.0.1"
    assert record["env"]["VLLM_HOST_IP"] == "10.0.0.2"
    del variables["INTERFACE"]
    done, records = stand_ins.run(Path(PROGRAM), variables, *arguments, "--skip-preflight")
    assert done.returncode == 2
    assert "[placeholder-unset]" in done.stderr
    assert "INTERFACE" in done.stderr
    assert records == []


def test_several_commands_are_the_script_of_the_node(tmp_path: Path) -> None:
    """Ray's head stays beside the engine: the first one that ends takes the other with it."""
    stand_ins = StandIns(tmp_path, ["bash"])
    arguments = ["launch", "vllm", "/k2", "--nodes", "a,b", "--interface", "eth0"]
    done, records = stand_ins.run(
        Path(PROGRAM),
        {},
        *arguments,
        *("--executor", "ray", "--run", "--node-rank", "0", "--skip-preflight"),
    )
    assert done.returncode == 0, done.stderr
    (record,) = records
    name, option, script = record["argv"]
    assert (name, option) == ("bash", "-c")
    assert "    --block &\n" in script
    assert script.index("ray start") < script.index("vllm serve") < script.index("first_that_ends ")


def run_node(found: Plan, name: str) -> RefusedError:
    node = next(node for node in found.cluster.nodes if node.name == name)
    with pytest.raises(RefusedError) as caught:
        become_node(found, node, {"PATH": "/nowhere"})
    return caught.value


def test_what_cannot_be_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # of the tests' own process
    assert run_node(plan("vllm"), "node0").code == "program-not-found"
    assert run_node(plan("vllm", profile="guide", strategy="tp"), "node1").code == "nothing-to-run"


def started(found: Plan, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, str]]:
    """How the process would be replaced."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def record(program: str, words: list[str], environment: dict[str, str]) -> None:
        calls.append((words, environment))
        raise SystemExit

    monkeypatch.setattr(os, "execvpe", record)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        become_node(found, found.cluster.nodes[0], {"PATH": "/bin"})
    return calls[0]


def test_one_command_needs_no_shell_and_several_are_a_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words, _ = started(plan("vllm", "/k2"), monkeypatch)
    assert words[:3] == ["vllm", "serve", "/k2"]
    two = [replace(node, interface=Argument.literal("eth0")) for node in nodes_at(["a", "b"])]
    request = Request(
        engine="vllm",
        model=read_model("/k2"),
        cluster=Cluster(tuple(two)),
        facts=frozenset({"executor=ray"}),
    )
    words, environment = started(plan_launch(request), monkeypatch)
    assert words[:2] == ["bash", "-c"]
    assert environment == {"PATH": "/bin"}


def test_what_is_still_open_stops_a_start() -> None:
    assert run_node(plan("vllm", "$MODEL"), "node0").code == "placeholder-unset"


def test_files_that_a_plan_needs_have_to_be_written_first() -> None:
    found = plan("vllm", "/k2")
    (command,) = found.commands
    with_file = replace(found, commands=(replace(command, files={"settings.yml": "a: 1\n"}),))
    assert run_node(with_file, "node0").code == "run-needs-files"


def test_the_preflight_stops_a_start_that_would_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        RUN,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "[engine-missing]" in done.stderr
    assert "Nothing was started" in done.stdout
