"""Ray's head and workers, and what all formats have in common."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.render.cluster_support import (
    CASES,
    PROGRAMS,
    at_once,
    calls,
    rendered,
    requested,
    script,
    texts,
    without_nodes,
)
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.stand_ins import StandIns

FORMATS = ("slurm", "lws", "compose", "ray")


def test_rays_workers_all_run_one_script_that_stays(tmp_path: Path) -> None:
    _, files = rendered("ray", nodes=4)
    assert set(files) == {"head.sh", "worker.sh"}
    stand_ins = StandIns(tmp_path, PROGRAMS)
    environment = {"NODE0": "127.0.0.1", "NODE_ADDRESS": "10.0.0.3", "INTERFACE": "eth0"}
    worker = files["worker.sh"]
    assert 'ray_has_nodes "${NODE0}":6379\nexec env ' in worker
    _, records = stand_ins.run(script(tmp_path, at_once(worker)), environment)
    assert calls(records) == [
        ["ray", "start", "--address", "127.0.0.1:6379", "--node-ip-address", "10.0.0.3", "--block"]
    ]
    _, records = stand_ins.run(script(tmp_path, at_once(files["head.sh"])), environment)
    head_call, serve = calls(records)
    assert head_call[-1] == "--block"  # Ray's daemons end with the script
    assert serve[serve.index("--pipeline-parallel-size") + 1] == "4"
    _, alone = without_nodes("ray")
    assert '"${HEAD_ADDRESS:?is not set}"' in alone["worker.sh"]


@pytest.mark.parametrize("output_format", ["ray", "lws"])
def test_the_workers_script_knows_what_all_workers_have(output_format: str) -> None:
    def interfaces_of(*names: str) -> set[str]:
        nodes = [
            replace(node, interface=Argument.parse(name))
            for node, name in zip(nodes_at([str(len(names))]), names, strict=True)
        ]
        plan, _ = without_nodes(
            output_format, cluster=Cluster(tuple(nodes)), values={"image": Argument.parse("i")}
        )
        return {str(command.environment["GLOO_SOCKET_IFNAME"]) for command in plan.commands}

    assert interfaces_of("bond0", "bond0", "bond0") == {"bond0"}
    assert interfaces_of("eth0", "bond0", "bond0") == {"eth0", "bond0"}
    assert interfaces_of("bond0", "bond0", "eth0") == {"bond0", "$INTERFACE"}


def test_devices_that_the_workers_do_not_share_stay_open() -> None:
    devices = ("mlx5_0", "mlx5_0", "mlx5_1")
    nodes = tuple(
        replace(node, ib_device=Argument.parse(device))
        for node, device in zip(nodes_at(["3"]), devices, strict=True)
    )
    request = Request(engine="vllm", model=read_model("/k2"), cluster=Cluster(nodes))
    cluster = for_format(request, "ray").cluster
    assert cluster is not None
    assert [node.ib_device and str(node.ib_device) for node in cluster.nodes] == ["mlx5_0", None]


def test_ray_under_slurm_waits_for_its_head() -> None:
    _, files = rendered("slurm", facts=frozenset({"executor=ray"}))
    wait = "wait_until 'ray-head-node0 to have its node' 600 ray_has_nodes \"${NODE0}\":6379\n"
    assert files["launch.sbatch"].count(wait) == 2  # the worker, and what is served on the head
    assert files["launch.sbatch"].count("    --block") == 2


def offered() -> Iterator[tuple[str, str, str]]:
    for output_format in FORMATS:
        for engine, strategy in CASES:
            try:
                requested(output_format, engine=engine, strategy=strategy)
            except RefusedError:
                continue
            yield output_format, engine, strategy


@pytest.mark.sample(3)
@pytest.mark.parametrize("output_format", FORMATS)
def test_shellcheck_finds_nothing(output_format: str, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    scripts = []
    for name, engine, strategy in offered():
        if name != output_format:
            continue
        model = "/models/K2" if (name, engine) == ("slurm", "trtllm") else HOSTILE
        _, files = rendered(output_format, engine=engine, strategy=strategy, model=model)
        for file, text in files.items():
            found = scripts_in(yaml.safe_load_all(text)) if file.endswith(".yaml") else [text]
            # What a step of Slurm runs is a script of its own.
            found += re.findall(r"<<'END_OF_NODE'[^\n]*\n(.*?)\nEND_OF_NODE", text, re.DOTALL)
            scripts += [
                script(tmp_path, each, f"{engine}-{strategy}-{file}-{number}.sh")
                for number, each in enumerate(found)
            ]
    done = subprocess.run(
        ["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def scripts_in(value: Any) -> list[str]:
    """Every script in YAML documents, as a container gets it."""
    return [
        text.replace("$$", "$")
        for document in value
        for text in texts(document)
        if text.startswith("#!")
    ]


@pytest.mark.parametrize("output_format", ["slurm", "lws"])
def test_hosts_that_a_scheduler_chooses_cannot_be_named(output_format: str) -> None:
    request = Request(
        engine="vllm", model=read_model("/k2"), cluster=Cluster(nodes_at(["10.0.0.1", "10.0.0.2"]))
    )
    with pytest.raises(RefusedError) as caught:
        for_format(request, output_format)
    assert caught.value.code == "hosts-not-ours"


@pytest.mark.parametrize(
    ("output_format", "options", "way_out"),
    [
        ("compose", {"engine": "trtllm"}, "--format slurm"),
        ("lws", {"engine": "trtllm", "nodes": 1}, "--format slurm"),
        ("ray", {"engine": "trtllm"}, "--format slurm"),
        ("ray", {"engine": "sglang"}, "--format sh"),
        ("ray", {"engine": "ktransformers"}, "--format sh"),
        ("ray", {"strategy": "dp-ep"}, "--format sh"),
        *((output_format, {"profile": "guide"}, "--profile guide") for output_format in FORMATS),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_a_way_out(
    output_format: str, options: dict[str, Any], way_out: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        requested(output_format, **options)
    assert caught.value.code == "format-not-offered"
    assert way_out in str(caught.value.hint)


def test_ray_has_no_groups_of_nodes() -> None:
    nodes = (*nodes_at(["2"], "prefill"), *nodes_at(["2"], "decode"))
    request = Request(engine="vllm", model=read_model("/k2"), cluster=Cluster(nodes))
    with pytest.raises(RefusedError):
        plan_launch(for_format(request, "ray"))


@pytest.mark.parametrize(
    ("output_format", "open_names"),
    [("slurm", {"$INTERFACE"}), ("lws", {"$INTERFACE"}), ("compose", {"$INTERFACE", "$NODE0"})],
)
def test_what_a_format_fills_in_itself_is_not_asked_for(
    output_format: str, open_names: set[str]
) -> None:
    plan, _ = rendered(output_format, strategy="dp-ep")
    (told,) = [each for each in plan.findings if each.code == "placeholder-open"]
    assert open_names <= set(told.items)
    if output_format != "compose":
        assert open_names == set(told.items)


def test_ray_and_the_executor_without_it_do_not_go_together() -> None:
    with pytest.raises(RefusedError, match="--executor mp"):
        rendered("ray", facts=frozenset({"executor=mp"}))
