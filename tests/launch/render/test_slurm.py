"""Slurm starts what a script on each node would."""

import re
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render.document import as_document
from k2compat.launch.render.slurm_addresses import address_lines
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.render.cluster_support import (
    BY_NODE,
    OPEN,
    PROGRAMS,
    addresses,
    at_once,
    by_hand,
    calls,
    rendered,
    script,
    without_nodes,
)
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.stand_ins import StandIns

JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "gpu-[1-5]", "SLURMD_NODENAME": "gpu-1"}
_STEP = "--export=ALL --mpi=pmix --kill-on-bad-exit=1 --nodes=2 --ntasks-per-node=8 bash -c "

# Asked for addresses, it answers for all nodes; else it runs the step here.
_SRUN = """#!/bin/bash
export STEP="$*"
if [[ $* == *find_address* ]]; then printf 'gpu-%s 10.0.0.%s\\n' 1 1 2 2 3 3 4 4 5 5; exit; fi
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> StandIns:
    """The engines' stand-ins, and Slurm's programs as far as a script sees them."""
    stand_ins = StandIns(tmp_path / "programs", PROGRAMS)
    folder = tmp_path / "programs" / "bin"
    script(folder, "#!/bin/bash\nprintf 'gpu-%s\\n' 1 2 3 4 5\n", "scontrol")
    script(folder, "#!/bin/bash\n", "scancel")
    script(folder, _SRUN, "srun")
    return stand_ins


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "strategy"), BY_NODE)
def test_slurm_starts_what_scripts_would(
    slurm: StandIns, tmp_path: Path, engine: str, strategy: str
) -> None:
    _, files = rendered("slurm", engine=engine, strategy=strategy, model=HOSTILE)
    environment = {**JOB, **OPEN}
    done, records = slurm.run(script(tmp_path, at_once(files["launch.sbatch"])), environment)
    assert done.returncode == 0, done.stderr
    assert calls(records) == by_hand(engine, strategy, HOSTILE)
    if engine == "vllm":
        assert {record["env"]["VLLM_HOST_IP"] for record in records} == {"10.0.0.1", "10.0.0.2"}


@pytest.mark.sample(4)
@pytest.mark.parametrize("strategy", ["tp", "tp-pp", "dp-ep"])
def test_slurm_itself_starts_a_rank_for_each_gpu(
    slurm: StandIns, tmp_path: Path, strategy: str
) -> None:
    plan, files = rendered("slurm", engine="trtllm", strategy=strategy)
    assert [command.get("spread") for command in as_document(plan)["commands"]] == [True]
    text = files["launch.sbatch"]
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=8\n#SBATCH --gpus-per-node=8\n" in text
    assert not re.search(r"\b(docker|ssh|mpirun)\b", text)
    done, (record,) = slurm.run(script(tmp_path, text), {**JOB, **OPEN, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert record["env"]["STEP"].startswith(_STEP)
    assert record["argv"][:3] == ["trtllm-llmapi-launch", "trtllm-serve", "serve"]
    assert record["env"]["NCCL_SOCKET_IFNAME"] == record["env"]["GLOO_SOCKET_IFNAME"] == "eth0"
    # Its flags are those of mpirun's command; only the places of model and settings differ.
    scripts = plan_launch(
        Request(
            engine="trtllm",
            model=read_model("/models/K2"),
            cluster=Cluster(nodes_at(["10.0.0.1", "10.0.0.2"])),
            strategy=strategy,
        )
    ).commands
    (serve,) = (command for command in scripts if command.entry)
    (settings,) = (
        c.files["trtllm.yml"] for c in scripts if "trtllm.yml" in c.files and c.node == serve.node
    )
    wanted = [str(word) for word in serve.argv]
    wanted = wanted[wanted.index("trtllm-llmapi-launch") :]
    place = wanted.index("--config") + 1
    written = Path(record["argv"][place])
    assert written.parent.parent == tmp_path
    assert not written.parent.exists()  # it is removed at the end
    assert settings == plan.commands[0].files["trtllm.yml"] == record["files"][str(written)]
    assert record["argv"] == [
        *wanted[:place],
        str(written),
        *wanted[place + 1 : -1],
        "/models/K2",
    ]


def test_pyxis_is_given_the_image_and_the_model(slurm: StandIns, tmp_path: Path) -> None:
    values = {"image": "nvcr.io#nvidia/tensorrt-llm/release:1.3.0"}
    _, files = rendered("slurm", engine="trtllm", values=values)
    _, (record,) = slurm.run(script(tmp_path, files["launch.sbatch"]), {**JOB, **OPEN})
    step = record["env"]["STEP"]
    assert f"--container-image={values['image']} " in step
    assert "--container-mounts=/models/K2:/models/Kimi-K2:ro " in step
    assert record["argv"][-1] == "/models/Kimi-K2"
    # Other engines read the model where it is; of a name nothing can be mounted.
    _, files = rendered("slurm", engine="sglang", values={"image": "<IMAGE>"})
    assert files["launch.sbatch"].count("--container-mounts=/models/K2:/models/K2:ro") == 2
    assert ': "${IMAGE:?is not set}"' in files["launch.sbatch"]
    _, files = rendered("slurm", values={"image": "x"}, model="moonshotai/Kimi-K2-Instruct")
    assert "--container-image=x" in files["launch.sbatch"]
    assert "--container-mounts" not in files["launch.sbatch"]


def test_what_would_reach_the_ranks_in_pieces_is_refused() -> None:
    """trtllm-llmapi-launch splits its arguments again, and pyxis its mounts."""
    with pytest.raises(RefusedError) as caught:
        rendered("slurm", engine="trtllm", model="/models/K2 of mine")
    assert caught.value.code == "argument-split"
    with pytest.raises(RefusedError) as caught:
        rendered("slurm", engine="trtllm", values={"served_model_name": ""})
    assert caught.value.code == "argument-split"
    with pytest.raises(RefusedError) as caught:
        rendered("slurm", engine="trtllm", model="/K2,2", values={"image": "x"})
    assert caught.value.code == "mount-malformed"
    _, files = rendered("slurm", engine="trtllm", model="/models/K2:1")  # no container, no mount
    assert "/models/K2:1" in files["launch.sbatch"]


def test_slurm_asks_for_the_nodes_and_gpus_of_the_plan() -> None:
    _, files = rendered("slurm", nodes=4)
    assert "#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\n" in files["launch.sbatch"]
    assert "#SBATCH --gpus-per-node=8\n" in files["launch.sbatch"]


def test_without_nodes_it_is_as_many_as_the_profile_takes() -> None:
    _, files = without_nodes("slurm")
    assert "#SBATCH --nodes=1\n" in files["launch.sbatch"]
    plan, files = without_nodes("slurm", engine="sglang", strategy="pd")
    assert "#SBATCH --nodes=4\n" in files["launch.sbatch"]
    # What the job sets itself is not asked for.
    (told,) = [each for each in plan.findings if each.code == "placeholder-open"]
    assert set(told.items) == {"$INTERFACE", "$IB_DEVICE"}


def test_servers_start_before_what_comes_after_them_is_waited_for(tmp_path: Path) -> None:
    """The first node of a group must not wait for the others, which need it to come up."""
    _, files = rendered("slurm", engine="sglang", strategy="pd")
    text = files["launch.sbatch"].split("END_OF_NODE")[1]
    text = text[text.index("#!") :]
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    text, count = re.subn(r"(wait_until .* listens) .*", rf"\1 127.0.0.1 {closed}", text)
    assert count == 5
    stand_ins = StandIns(tmp_path, PROGRAMS)
    done, records = stand_ins.run(
        script(tmp_path, text), {**OPEN, **addresses("sglang", "pd")}, peers=1
    )
    assert done.returncode == 0, done.stderr
    assert [argv[:2] for argv in calls(records)] == [["sglang", "serve"]]


def test_a_node_is_asked_for_the_interface_that_the_cluster_names() -> None:
    found, _ = rendered("slurm")
    first, second = found.cluster.nodes
    nodes = (replace(first, interface=Argument.parse("ib0")), second)
    named = replace(found, cluster=replace(found.cluster, nodes=nodes), commands=())
    text = "\n".join(address_lines(named))
    # Without any interface it is the node's name that is resolved.
    assert '"${hosts[0]}" ib0 \\\n    "${hosts[1]}" \'\')"' in text
