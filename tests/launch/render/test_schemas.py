"""The YAML files are what Compose and Kubernetes take, by schemas that refuse unknown members."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.launch.render.cluster_support import rendered
from tests.launch.render.hostile import HOSTILE
from tests.launch.render.test_cluster_formats import offered

SCHEMAS = Path(__file__).with_name("schemas")
FILES = {"compose": "compose.json", "lws": "kubernetes.json"}
CASES = [case for case in offered() if case[0] in FILES]


def validator(output_format: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / FILES[output_format]).read_text())
    return jsonschema_rs.Draft202012Validator(schema)


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
