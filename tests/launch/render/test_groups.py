"""Several prefill and decode groups behind one router, in every format."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k2compat.errors import RefusedError
from k2compat.launch.flags import newest_version, values_of
from k2compat.launch.plan import Plan
from k2compat.launch.planning.checks import check_plan, fits_of
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import FORMATS, render_plan
from k2compat.launch.render.text import as_text
from k2compat.launch.request.cluster import Cluster, groups_at
from k2compat.launch.request.model import read_model
from k2compat.launch.request.request import Request
from tests.launch.memory.test_drafts import sizes
from tests.launch.render.test_schemas import FILES, validator

GROUPS = {"prefill": [["2"], ["1"], ["2"]], "decode": [["1"], ["1"], ["3"]]}
MODEL = read_model("moonshotai/Kimi-K2-Thinking")


def planned(output_format: str = "text", version: str | None = None, gpu: str = "") -> Plan:
    cluster = Cluster(groups_at(GROUPS), gpu=gpu or None)
    request = Request(engine="sglang", model=MODEL, cluster=cluster, engine_version=version)
    return plan_launch(for_format(request, output_format))


@pytest.mark.parametrize("output_format", sorted({*FORMATS} - {"ray"}))
def test_every_format_starts_every_group_and_names_it_to_the_router(
    output_format: str, tmp_path: Path
) -> None:
    made = planned(output_format)
    (router,) = (each for each in made.commands if each.role == "load-balancer")
    words = [str(word) for word in router.argv]
    assert len(values_of(words, "--prefill")) == len(values_of(words, "--decode")) == 3
    assert len({*values_of(words, "--prefill"), *values_of(words, "--decode")}) == 6
    assert len(router.after) == len(made.commands) - 1
    files = render_plan(made, output_format)
    texts = "\n".join(each.text for each in files.values())
    assert texts.count("sglang_router.launch_router") == 1
    if output_format in FILES:
        for each in files.values():
            for document in yaml.safe_load_all(each.text):
                validator(output_format).validate(document)
    else:
        for name, each in files.items():
            if output_format != "text":
                (tmp_path / name).write_text(each.text)
                checker = shutil.which("shellcheck") or "true"
                program = [checker, str(tmp_path / name)]
                assert subprocess.run(program, check=False).returncode == 0


def test_kubernetes_has_a_set_for_each_group() -> None:
    (file,) = render_plan(planned("lws"), "lws").values()
    documents = list(yaml.safe_load_all(file.text))
    names = {
        each["metadata"]["name"]: each["spec"]["leaderWorkerTemplate"]["size"]
        for each in documents
        if each["kind"] == "LeaderWorkerSet"
    }
    assert names == {
        f"kimi-k2-{role}-{number}": int(size)
        for role, groups in GROUPS.items()
        for number, (size,) in enumerate(groups)
    }
    (service,) = (each for each in documents if each["kind"] == "Service")
    assert service["spec"]["selector"]["app"] == "kimi-k2-prefill-0"


def test_a_job_of_slurm_has_all_nodes() -> None:
    (file,) = render_plan(planned("slurm"), "slurm").values()
    assert "#SBATCH --nodes=10" in file.text
    assert re.search(r"export PREFILL0_NODE0 .*DECODE2_NODE2$", file.text, re.MULTILINE)


def test_the_header_lists_the_groups() -> None:
    header = " ".join(as_text(planned()).split("\n\n")[0].replace("# ", "").split())
    assert header == (
        f"sglang {newest_version('sglang')}, strategy pd, "
        "prefill: 2 groups of 2 × 8 GPUs (TP1·DP16·EP16), "
        "prefill: 1 × 8 GPUs (TP1·DP8·EP8), decode: 2 groups of 1 × 8 GPUs (TP1·DP8·EP8), "
        "decode: 3 × 8 GPUs (TP1·DP24·EP24)"
    )


def test_groups_alike_are_judged_once() -> None:
    made = planned(gpu="h20")
    assert list(fits_of(made, sizes())) == ["prefill-0", "prefill-1", "decode-0", "decode-2"]
    found = [each.code for each in check_plan(made, MODEL.config, MODEL.loaded_bytes)]
    assert found.count("does-not-fit") <= 4
    no_sizes = [each.code for each in check_plan(planned(), {})]
    assert no_sizes == ["sizes-unknown"]


def test_the_old_balancer_takes_them_as_a_list() -> None:
    made = planned(version="0.5.1")
    (balancer,) = (each for each in made.commands if each.role == "load-balancer")
    words = [str(word) for word in balancer.argv]
    prefill, ports = words.index("--prefill"), words.index("--prefill-bootstrap-ports")
    assert ports - prefill == 4
    assert words[ports : ports + 5] == [words[ports], "8998", "8998", "8998", "--decode"]
    assert [each.code for each in made.findings if "flag" in each.code] == []


def test_one_group_is_called_as_its_role() -> None:
    nodes = groups_at({"prefill": [["a", "b"]], "decode": [["c"], ["d"]]})
    assert [node.name for node in nodes] == ["prefill0", "prefill1", "decode-0-0", "decode-1-0"]
    assert [node.group for node in nodes] == ["prefill", "prefill", "decode-0", "decode-1"]
    assert [node.role for node in nodes] == ["prefill", "prefill", "decode", "decode"]


def test_no_host_is_in_two_groups() -> None:
    with pytest.raises(RefusedError) as caught:
        groups_at({"prefill": [["a"], ["b", "a"]]})
    assert caught.value.code == "host-twice"
