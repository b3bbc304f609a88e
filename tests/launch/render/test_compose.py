"""Each node's container starts what a script on it would."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.render import render_plan
from tests.launch.render.cluster_support import (
    BY_NODE,
    OPEN,
    PROGRAMS,
    addresses,
    at_once,
    by_hand,
    calls,
    rendered,
    requested,
    script,
)
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.http_stand_in import HttpStandIn
from tests.launch.render.stand_ins import StandIns


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "strategy"), BY_NODE)
def test_compose_starts_what_scripts_would(tmp_path: Path, engine: str, strategy: str) -> None:
    _, files = rendered("compose", engine=engine, strategy=strategy, model=HOSTILE)
    found = []
    stand_ins = StandIns(tmp_path, PROGRAMS)
    known = addresses(engine, strategy)
    assert len(files) == len(known)
    for file in files.values():
        (service,) = yaml.safe_load(file)["services"].values()
        assert service["volumes"][0]["source"] == HOSTILE.replace("$", "$$")
        assert ("devices" in service) == (strategy == "pd")
        # Compose makes one dollar of two and gives the container the variables named here.
        environment = {
            name: {**OPEN, **known}[name]
            for name, value in service.get("environment", {}).items()
            if value == f"${{{name}:?is not set}}"
        }
        text = at_once(service["command"][0].replace("$$", "$"))
        done, records = stand_ins.run(script(tmp_path, text), environment)
        assert done.returncode == 0, done.stderr
        found += calls(records)
    assert sorted(found) == by_hand(engine, strategy, HOSTILE)


def test_compose_runs_tensorrt_llm_in_its_container(tmp_path: Path) -> None:
    values = {"image": "trtllm:local"}
    _, files = rendered("compose", engine="trtllm", nodes=1, values=values, model=HOSTILE)
    (service,) = yaml.safe_load(files["compose-node0.yaml"])["services"].values()
    assert service["image"] == "trtllm:local"
    assert service["volumes"] == [
        {
            "type": "bind",
            "source": HOSTILE.replace("$", "$$"),
            "target": "/models/Kimi-K2",
            "read_only": True,
        }
    ]
    text = service["command"][0].replace("$$", "$")
    done, records = StandIns(tmp_path, PROGRAMS).run(
        script(tmp_path, text), {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    (serve,) = (record for record in records if record["argv"][0] == "trtllm-serve")
    assert (serve["argv"][1], serve["argv"][-1]) == ("serve", "/models/Kimi-K2")
    ((path, settings),) = serve["files"].items()
    assert "enable_padding: true" in settings
    assert not Path(path).parent.exists()  # it is removed at the end


def test_a_container_is_healthy_once_its_server_takes_requests() -> None:
    def check(**rest: Any) -> dict[str, Any] | None:
        _, files = rendered("compose", **rest)
        (service,) = yaml.safe_load(files[min(files)])["services"].values()
        found: dict[str, Any] | None = service.get("healthcheck")
        return found

    found = check(nodes=1)
    assert found is not None
    assert found["test"][:3] == ["CMD", "bash", "-c"]
    assert found["start_period"] == "7200s"  # a model that loads is no failure
    with HttpStandIn(b"503 Service Unavailable") as loading, HttpStandIn(b"200 OK") as ready:
        for server, status in ((loading, 1), (ready, 0)):
            text = found["test"][3].replace("$$", "$").replace("8000", str(server.port))
            assert subprocess.run(["bash", "-c", text], check=False).returncode == status
    listens = check(engine="ktransformers", engine_version="0.3.2")
    assert listens is not None
    assert "GET" not in listens["test"][3]
    # Where a server binds one address alone, it is asked there.
    prefill = check(engine="sglang", strategy="pd")
    assert prefill is not None
    assert '/dev/tcp/"$${DECODE_NODE0}"/30000' in prefill["test"][3]


def test_compose_mounts_what_ktransformers_reads() -> None:
    def sources(**rest: Any) -> list[str]:
        _, files = rendered("compose", engine="ktransformers", **rest)
        (service,) = yaml.safe_load(files["compose-node0.yaml"])["services"].values()
        return [volume["source"] for volume in service["volumes"]]

    ggufs = {"gguf_path": "/ggufs"}
    assert sources(values=ggufs) == ["/models/K2", "/ggufs"]
    converted = sources(facts=frozenset({"amx"}))
    assert converted == ["/models/K2", "${CPU_WEIGHTS:?is not set}"]
    _, files = rendered("lws", engine="ktransformers", facts=frozenset({"amx"}))
    assert "# Mount, in every pod: <CPU_WEIGHTS>\n" in files["launch-lws.yaml"]
    _, files = rendered("lws", engine="ktransformers", values=ggufs)
    assert "name: folder1" in files["launch-lws.yaml"]


def test_an_image_may_be_a_placeholder() -> None:
    plan = replace(plan_launch(requested("compose", nodes=1)), image=None)
    assert "image: ${IMAGE:?is not set}" in render_plan(plan, "compose")["compose-node0.yaml"].text
    plan = replace(plan_launch(requested("lws", model="Kimi-K2")), image=None)
    assert "image: <IMAGE>" in render_plan(plan, "lws")["launch-lws.yaml"].text


def test_of_a_name_nothing_can_be_mounted() -> None:
    _, files = rendered("compose", nodes=1, model="moonshotai/Kimi-K2-Instruct")
    assert "volumes" not in files["compose-node0.yaml"]
