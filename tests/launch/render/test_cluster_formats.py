"""Slurm, Kubernetes, compose and Ray: what they start is what a script on each node would."""

import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2compat.errors import RefusedError
from k2compat.launch.cluster import Cluster, nodes_at
from k2compat.launch.formats import for_format
from k2compat.launch.model import read_model
from k2compat.launch.plan import Plan
from k2compat.launch.planning import plan_launch
from k2compat.launch.render import render
from k2compat.launch.request import Request
from tests.launch.render.stand_ins import StandIns
from tests.launch.render.test_shell import HOSTILE

FORMATS = ("slurm", "lws", "compose", "ray")
ADDRESSES = {"NODE0": "10.0.0.1", "NODE1": "10.0.0.2"}
PROGRAMS = ("vllm", "ray", "python", "python3")


def requested(output_format: str, *, nodes: int = 2, engine: str = "vllm", **rest: Any) -> Request:
    """A request as the command makes it."""
    request = Request(
        engine=engine,
        model=read_model(rest.pop("model", "/models/K2")),
        cluster=Cluster(nodes_at([str(nodes)])) if nodes else Cluster(()),
        **rest,
    )
    return for_format(request, output_format)


def rendered(output_format: str, **rest: Any) -> tuple[Plan, dict[str, str]]:
    plan = plan_launch(requested(output_format, **rest))
    return plan, {name: file.text for name, file in render(plan, output_format).items()}


def script(folder: Path, text: str, name: str = "script.sh") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def calls(records: list[dict[str, Any]]) -> list[list[str]]:
    return sorted(record["argv"] for record in records)


def by_hand(strategy: str, model: str, **rest: Any) -> list[list[str]]:
    """What scripts on two known hosts call."""
    request = Request(
        engine="vllm",
        model=read_model(model),
        cluster=Cluster(nodes_at(list(ADDRESSES.values()))),
        strategy=strategy,
        **rest,
    )
    commands = plan_launch(request).commands
    return sorted([str(word) for word in command.argv] for command in commands)


@pytest.fixture
def slurm(tmp_path: Path) -> StandIns:
    """The engines' stand-ins, and Slurm's programs as far as a script sees them."""
    stand_ins = StandIns(tmp_path / "programs", PROGRAMS)
    folder = tmp_path / "programs" / "bin"
    script(folder, "#!/bin/bash\nprintf '%s\\n' gpu-a gpu-b\n", "scontrol")
    script(
        folder,
        '#!/bin/bash\necho "10.0.0.$((1 + $(echo "$2" | tr -d gpu- | tr ab 01)))"\n',
        "getent",
    )
    script(folder, '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n', "srun")
    return stand_ins


@pytest.mark.parametrize("strategy", ["tp", "tp-pp", "dp-ep"])
def test_slurm_starts_what_scripts_would(slurm: StandIns, tmp_path: Path, strategy: str) -> None:
    _, files = rendered("slurm", strategy=strategy, model=HOSTILE)
    # Each stand-in ends at once, and the first end ends the job: wait for all of them.
    text = files["launch.sbatch"].replace("\nwait -n ", "\nwait ")
    environment = {"SLURM_JOB_NODELIST": "gpu-[a-b]", "INTERFACE": "eth0"}
    done, records = slurm.run(script(tmp_path, text), environment)
    assert done.returncode == 0, done.stderr
    assert calls(records) == by_hand(strategy, HOSTILE)
    assert {record["env"]["VLLM_HOST_IP"] for record in records} == set(ADDRESSES.values())


def test_slurm_asks_for_the_nodes_and_gpus_of_the_plan() -> None:
    _, files = rendered("slurm", nodes=4)
    assert "#SBATCH --nodes=4\n" in files["launch.sbatch"]
    assert "#SBATCH --gpus-per-node=8\n" in files["launch.sbatch"]


@pytest.mark.parametrize("strategy", ["tp", "tp-pp", "dp-ep"])
def test_the_pods_of_a_set_start_what_scripts_would(tmp_path: Path, strategy: str) -> None:
    _, files = rendered("lws", strategy=strategy, model=HOSTILE)
    workers, service = yaml.safe_load_all(files["launch-lws.yaml"])
    template = workers["spec"]["leaderWorkerTemplate"]
    assert (workers["kind"], template["size"], service["kind"]) == ("LeaderWorkerSet", 2, "Service")
    assert service["spec"]["ports"][0]["port"] == 8000
    found = []
    stand_ins = StandIns(tmp_path, PROGRAMS)
    for index, kind in enumerate(("leaderTemplate", "workerTemplate")):
        (container,) = template[kind]["spec"]["containers"]
        assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
        assert {"name": "model", "mountPath": HOSTILE, "readOnly": True} in container[
            "volumeMounts"
        ]
        environment = {
            "LWS_WORKER_INDEX": str(index),
            "POD_IP": f"10.0.0.{index + 1}",
            "INTERFACE": "eth0",
        }
        wanted = {entry["name"] for entry in container["env"]}
        assert wanted == {"POD_IP", "INTERFACE"}
        done, records = stand_ins.run(script(tmp_path, container["command"][2]), environment)
        assert done.returncode == 0, done.stderr
        found += calls(records)
    leader = "kimi-k2-0.kimi-k2"
    assert sorted([w.replace(leader, "10.0.0.1") for w in words] for words in found) == by_hand(
        strategy, HOSTILE
    )


def test_a_set_of_one_node_has_both_templates() -> None:
    _, files = rendered("lws", nodes=0)
    workers, _ = yaml.safe_load_all(files["launch-lws.yaml"])
    template = workers["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 1
    assert {"leaderTemplate", "workerTemplate"} <= set(template)


@pytest.mark.parametrize("strategy", ["tp", "dp-ep"])
def test_compose_starts_what_scripts_would(tmp_path: Path, strategy: str) -> None:
    _, files = rendered("compose", strategy=strategy, model=HOSTILE)
    found = []
    stand_ins = StandIns(tmp_path, PROGRAMS)
    for name in ("compose-node0.yaml", "compose-node1.yaml"):
        (service,) = yaml.safe_load(files[name])["services"].values()
        assert service["image"] == "vllm/vllm-openai:v0.33.0"
        assert service["volumes"][0]["source"] == HOSTILE.replace("$", "$$")
        assert set(service["environment"]) <= {"INTERFACE", "NODE0", "NODE1"}
        # Compose makes one dollar of two and gives the container the variables named above.
        text = service["command"][0].replace("$$", "$")
        done, records = stand_ins.run(script(tmp_path, text), {**ADDRESSES, "INTERFACE": "eth0"})
        assert done.returncode == 0, done.stderr
        found += calls(records)
    assert sorted(found) == by_hand(strategy, HOSTILE)


def test_only_a_folder_can_be_mounted() -> None:
    _, files = rendered("compose", nodes=1, model="moonshotai/Kimi-K2-Instruct")
    (service,) = yaml.safe_load(files["compose-node0.yaml"])["services"].values()
    assert "volumes" not in service


def test_an_image_may_be_a_placeholder() -> None:
    request = requested("compose", nodes=1)
    plan = replace(plan_launch(request), image=None)
    assert "image: ${IMAGE:?is not set}" in render(plan, "compose")["compose-node0.yaml"].text
    assert "image: <IMAGE>" in render(plan_without_image(), "lws")["launch-lws.yaml"].text


def plan_without_image() -> Plan:
    return replace(plan_launch(requested("lws", model="Kimi-K2")), image=None)


def test_rays_workers_all_run_one_script_that_stays(tmp_path: Path) -> None:
    _, files = rendered("ray", nodes=4)
    assert set(files) == {"head.sh", "worker.sh"}
    stand_ins = StandIns(tmp_path, PROGRAMS)
    environment = {"NODE0": "127.0.0.1", "NODE_ADDRESS": "10.0.0.3", "INTERFACE": "eth0"}
    with socket.create_server(("127.0.0.1", 0)) as head:  # what the worker waits for
        worker = files["worker.sh"].replace("/6379", f"/{head.getsockname()[1]}")
        _, records = stand_ins.run(script(tmp_path, worker), environment)
    assert calls(records) == [
        ["ray", "start", "--address", "127.0.0.1:6379", "--node-ip-address", "10.0.0.3", "--block"]
    ]
    _, records = stand_ins.run(script(tmp_path, files["head.sh"]), environment)
    serve = calls(records)[1]
    assert serve[serve.index("--pipeline-parallel-size") + 1] == "4"
    _, alone = rendered("ray", nodes=0)
    assert '"${HEAD_ADDRESS:?is not set}"' in alone["worker.sh"]


def test_ray_under_slurm_waits_for_its_head() -> None:
    _, files = rendered("slurm", facts=frozenset({"executor=ray"}))
    assert 'until (exec 3<> /dev/tcp/"${NODE0}"/6379)' in files["launch.sbatch"]
    assert "    --block\n" in files["launch.sbatch"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_shellcheck_finds_nothing(output_format: str, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    _, files = rendered(output_format, model=HOSTILE)
    scripts = []
    for name, text in files.items():
        if name.endswith(".yaml"):
            for number, found in enumerate(scripts_in(yaml.safe_load_all(text))):
                scripts.append(script(tmp_path, found, f"{name}-{number}.sh"))
        else:
            scripts.append(script(tmp_path, text, name))
    done = subprocess.run(
        ["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def scripts_in(value: Any) -> list[str]:
    """Every script in a YAML document, as a container gets it."""
    if isinstance(value, str):
        return [value.replace("$$", "$")] if value.startswith("#!") else []
    if isinstance(value, dict):
        value = value.values()
    try:
        return [found for item in value for found in scripts_in(item)]
    except TypeError:
        return []


@pytest.mark.parametrize("output_format", ["slurm", "lws"])
def test_hosts_that_a_scheduler_chooses_cannot_be_named(output_format: str) -> None:
    request = Request(
        engine="vllm", model=read_model("/k2"), cluster=Cluster(nodes_at(["10.0.0.1", "10.0.0.2"]))
    )
    with pytest.raises(RefusedError) as caught:
        for_format(request, output_format)
    assert caught.value.code == "hosts-not-ours"


@pytest.mark.parametrize("output_format", FORMATS)
def test_what_cannot_be_rendered_is_refused(output_format: str) -> None:
    refused: tuple[dict[str, Any], ...] = ({"engine": "trtllm"}, {"profile": "guide"})
    for options in refused:
        with pytest.raises(RefusedError) as caught:
            requested(output_format, **options)
        assert caught.value.code == "format-not-offered"
    if output_format == "ray":
        with pytest.raises(RefusedError):
            requested(output_format, strategy="dp-ep")
