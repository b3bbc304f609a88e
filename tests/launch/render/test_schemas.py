"""The YAML files are what Compose and Kubernetes take, by schemas that refuse unknown members."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from tests.launch.render.cluster_support import rendered
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.test_cluster_formats import offered

SCHEMAS = Path(__file__).with_name("schemas")
FILES = {"compose": "compose.json", "lws": "kubernetes.json"}
CASES = [case for case in offered() if case[0] in FILES]
KUBERNETES = "1.37"  # whose own schemas kubernetes-validate has


def validator(output_format: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / FILES[output_format]).read_text())
    return jsonschema_rs.Draft202012Validator(schema)


@pytest.mark.sample(3)
@pytest.mark.parametrize(("output_format", "engine", "strategy"), CASES)
def test_every_file_is_valid(output_format: str, engine: str, strategy: str) -> None:
    for model in ("/models/K2", HOSTILE):
        _, files = rendered(output_format, engine=engine, strategy=strategy, model=model)
        for text in files.values():
            for document in yaml.safe_load_all(text):
                validator(output_format).validate(document)


@pytest.mark.parametrize(
    ("output_format", "old", "new"),
    [
        ("lws", "mountPath: /dev/shm", "mountPath: /dev:shm"),
        ("lws", "size: 2", "size: '2'"),
        ("lws", "readinessProbe", "readyProbe"),
        ("lws", "name: kimi-k2\n", "name: Kimi_K2\n"),
        ("compose", "start_period: 7200s", "start_period: 7200"),
        ("compose", "network_mode", "networkmode"),
    ],
)
def test_the_schemas_refuse_mistakes(output_format: str, old: str, new: str) -> None:
    _, files = rendered(output_format)
    text = files[min(files)]
    assert old in text
    documents: list[Any] = list(yaml.safe_load_all(text.replace(old, new)))
    found = validator(output_format)
    assert not all(found.is_valid(document) for document in documents)


def objects_of_kubernetes(text: str) -> list[dict[str, Any]]:
    """The Services in a file, and a Pod for each template of its LeaderWorkerSets."""
    objects = []
    for document in yaml.safe_load_all(text):
        if document["kind"] == "LeaderWorkerSet":
            template = document["spec"]["leaderWorkerTemplate"]
            for role in ("leaderTemplate", "workerTemplate"):
                metadata = {"name": "pod", **template[role]["metadata"]}
                objects.append(
                    {"apiVersion": "v1", "kind": "Pod", **template[role], "metadata": metadata}
                )
        else:
            objects.append(document)
    return objects


@pytest.mark.sample(3)
@pytest.mark.parametrize(("engine", "strategy"), [case[1:] for case in CASES if case[0] == "lws"])
def test_pods_and_services_are_valid_by_kubernetes_own_schemas(engine: str, strategy: str) -> None:
    _, files = rendered("lws", engine=engine, strategy=strategy, model=HOSTILE)
    objects = [each for text in files.values() for each in objects_of_kubernetes(text)]
    assert {each["kind"] for each in objects} == {"Pod", "Service"}
    for each in objects:
        assert kubernetes_validate.validate(each, KUBERNETES, strict=True) == KUBERNETES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("readinessProbe", "readyProbe"),
        ("mountPath", "mount"),
        ("- containerPort: 8000", "- containerPort: http"),
        ("targetPort: 8000", "target: 8000"),
        ("name: POD_IP", "named: POD_IP"),
    ],
)
def test_kubernetes_own_schemas_refuse_mistakes(old: str, new: str) -> None:
    _, files = rendered("lws")
    text = files[min(files)]
    assert old in text
    found = []
    for each in objects_of_kubernetes(text.replace(old, new)):
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(error)
    assert found
