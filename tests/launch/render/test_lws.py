"""The pods of LeaderWorkerSets start what a script on each node would."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    texts,
    without_nodes,
)
from tests.launch.render.stand_ins import StandIns
from tests.launch.render.test_shell import HOSTILE


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
            text = at_once(container["command"][2])
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


def test_a_set_of_one_node_has_both_templates() -> None:
    _, files = without_nodes("lws")
    workers, _ = yaml.safe_load_all(files["launch-lws.yaml"])
    template = workers["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 1
    assert {"leaderTemplate", "workerTemplate"} <= set(template)
