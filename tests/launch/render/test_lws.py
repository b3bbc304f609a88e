"""The pods of LeaderWorkerSets start what a script on each node would."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2compat.errors import RefusedError
from tests.launch.render.cluster_support import (
    BY_NODE,
    OPEN,
    PROGRAMS,
    addresses,
    as_kubernetes_expands,
    at_once,
    by_hand,
    calls,
    rendered,
    script,
    texts,
    without_nodes,
)
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.stand_ins import StandIns


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "strategy"), BY_NODE)
def test_the_pods_of_a_set_start_what_scripts_would(
    tmp_path: Path, engine: str, strategy: str
) -> None:
    _, files = rendered("lws", engine=engine, strategy=strategy, model=HOSTILE)
    stand_ins = StandIns(tmp_path, PROGRAMS)
    known = iter(addresses(engine, strategy).values())
    found, leaders = [], {}
    for members in sets_of(files["launch-lws.yaml"]):
        name, template = members["metadata"]["name"], members["spec"]["leaderWorkerTemplate"]
        for index in range(template["size"]):
            spec = template["workerTemplate" if index else "leaderTemplate"]["spec"]
            (container,) = spec["containers"]
            assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
            mount = {"name": "model", "mountPath": HOSTILE, "readOnly": True}
            assert mount in container["volumeMounts"]
            mounted = {entry["name"] for entry in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}
            address = next(known)
            if index == 0:
                leaders[f"{name}-0.{name}"] = address
            given = {"POD_IP": address, "LWS_WORKER_INDEX": str(index)}
            values = {**OPEN, **given}
            # A pod has these variables alone, and LWS_WORKER_INDEX from its controller.
            names = {entry["name"] for entry in container["env"]} | {"LWS_WORKER_INDEX"}
            environment = {name: values[name] for name in names}
            text = at_once(as_kubernetes_expands(container["command"][2], environment))
            done, records = stand_ins.run(script(tmp_path, text), environment)
            assert done.returncode == 0, done.stderr
            found += calls(records)
    assert next(known, None) is None
    assert sorted([at(word, leaders) for word in words] for words in found) == by_hand(
        engine, strategy, HOSTILE
    )


def at(word: str, leaders: Mapping[str, str]) -> str:
    for name, address in leaders.items():
        word = word.replace(name, address)
    return word


def sets_of(text: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(text)
    return [document for document in documents if document["kind"] == "LeaderWorkerSet"]


@pytest.mark.parametrize(("engine", "strategy"), BY_NODE)
def test_every_name_in_a_set_exists_in_its_file(engine: str, strategy: str) -> None:
    _, files = rendered("lws", engine=engine, strategy=strategy)
    documents = list(yaml.safe_load_all(files["launch-lws.yaml"]))
    services = [document for document in documents if document["kind"] == "Service"]
    sets = {members["metadata"]["name"]: members for members in sets_of(files["launch-lws.yaml"])}
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
    # The controller makes a headless Service of each set's name: NAME-0.NAME is its leader.
    for leader, name in re.findall(
        r"\b(kimi-k2[a-z0-9-]*)\.(kimi-k2[a-z-]*)", "".join(texts(sets))
    ):
        assert name in sets
        assert leader == f"{name}-0"
    assert not set(sets) & {service["metadata"]["name"] for service in services}
    # Clients have one way in: to the leader that listens there.
    (service,) = services
    selector, (port,) = service["spec"]["selector"], service["spec"]["ports"]
    template = sets[selector["app"]]["spec"]["leaderWorkerTemplate"]
    assert template["leaderTemplate"]["metadata"]["labels"] == selector
    assert template["workerTemplate"]["metadata"]["labels"] == {"app": selector["app"]}
    (container,) = template["leaderTemplate"]["spec"]["containers"]
    numbers = [entry["containerPort"] for entry in container["ports"]]
    assert port["port"] in numbers
    assert len(set(numbers)) == len(numbers)
    if strategy == "pd":
        assert (service["metadata"]["name"], port["port"]) == ("kimi-k2-load-balancer", 8000)


@pytest.mark.parametrize("part", ["$(POD_IP)", "$$", "$$(POD_IP)", "$模型", "$", "$$$(", "$(x"])
def test_dollars_in_a_path_reach_the_engine_unchanged(part: str, tmp_path: Path) -> None:
    model = f"/models/{part}/K2"
    _, files = rendered("lws", nodes=1, model=model)
    (members,) = sets_of(files["launch-lws.yaml"])
    pod = members["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]
    (container,) = pod["containers"]
    environment = {"POD_IP": "10.0.0.1", "LWS_WORKER_INDEX": "0"}
    text = as_kubernetes_expands(container["command"][2], environment)
    done, records = StandIns(tmp_path, PROGRAMS).run(script(tmp_path, text), environment)
    assert done.returncode == 0, done.stderr
    assert records[0]["argv"][:3] == ["vllm", "serve", model]
    assert container["volumeMounts"][1]["mountPath"] == model  # nothing expands it there


@pytest.mark.parametrize("model", ["/models/K2:1", "/models/../K2"])
def test_a_path_that_kubernetes_does_not_mount_is_refused(model: str) -> None:
    with pytest.raises(RefusedError) as caught:
        rendered("lws", model=model)
    assert caught.value.code == "mount-malformed"


def test_a_pod_is_ready_once_its_server_takes_requests() -> None:
    _, files = rendered("lws", engine="sglang", strategy="pd")
    probes = [
        [
            template.get("spec", {})["containers"][0]["readinessProbe"]["httpGet"]
            for template in (
                members["spec"]["leaderWorkerTemplate"]["leaderTemplate"],
                members["spec"]["leaderWorkerTemplate"]["workerTemplate"],
            )
        ]
        for members in sets_of(files["launch-lws.yaml"])
    ]
    server, balancer = {"path": "/health", "port": 30000}, {"path": "/health", "port": 8000}
    assert probes == [[balancer, server], [server, server]]
    # The workers of vLLM serve nothing; an old KTransformers has no path to ask.
    _, files = rendered("lws")
    template = sets_of(files["launch-lws.yaml"])[0]["spec"]["leaderWorkerTemplate"]
    assert "readinessProbe" not in template["workerTemplate"]["spec"]["containers"][0]
    _, files = rendered("lws", engine="ktransformers", engine_version="0.3.2")
    template = sets_of(files["launch-lws.yaml"])[0]["spec"]["leaderWorkerTemplate"]
    probe = template["leaderTemplate"]["spec"]["containers"][0]["readinessProbe"]
    assert set(probe["tcpSocket"]) == {"port"}
    # A port that is still open is not known to Kubernetes.
    _, files = rendered("lws", values={"port": "$PORT"})
    assert "readinessProbe" not in files["launch-lws.yaml"]


def test_a_set_of_one_node_has_both_templates() -> None:
    _, files = without_nodes("lws")
    workers, _ = yaml.safe_load_all(files["launch-lws.yaml"])
    template = workers["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 1
    assert {"leaderTemplate", "workerTemplate"} <= set(template)
