"""Reports of several nodes, held together."""

import copy
import json
from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.preflight.compare_nodes import SCHEMA, NodeReport, compare_reports
from tests.launch.preflight.support import SOUND, codes, only

WEIGHTS = {f"model-{number}-of-61.safetensors": 1000 + number for number in range(1, 62)}
MODEL = {"digests": {"config.json": "a" * 64, "tiktoken.model": "b" * 64}, "weights": WEIGHTS}


def document(node: str = "node0", **facts: Any) -> dict[str, Any]:
    """A sound node's report, as it comes back from JSON."""
    whole = {
        "schema": SCHEMA,
        "engine": "vllm",
        "engine_version": "0.33.0",
        "profile": "default",
        "strategy": "tp",
        "plan": {"nodes": "a b", "serve-node0": "vllm serve K2 --port 8000"},
        "node": node,
        "facts": {**SOUND.as_dict(), "model": copy.deepcopy(MODEL), "clock": 1000.0, **facts},
        "findings": [],
    }
    read: dict[str, Any] = json.loads(json.dumps(whole))
    return read


def compared(*documents: dict[str, Any]) -> list[Any]:
    reports = [NodeReport.read(each, f"{number}.json") for number, each in enumerate(documents)]
    return list(compare_reports(reports))


def test_nodes_alike() -> None:
    assert compared(document(), document("node1", clock=1020.0), document("node2")) == []
    assert compared(document()) == []
    assert compared() == []


def test_a_name_in_place_of_a_folder_and_no_engine_are_not_compared() -> None:
    bare = document("node1", model=None, packages=None)
    assert compared(document(), bare) == []


def test_versions() -> None:
    other = document("node1", packages={**(SOUND.packages or {}), "vllm": "0.32.0"})
    finding = only(compared(document(), other, document("node2")))
    assert (finding.code, finding.where) == ("versions-differ", "vllm")
    assert finding.actual == "0.32.0: node1; 0.33.0: node0, node2"


def test_a_package_that_one_lacks() -> None:
    packages = {name: version for name, version in (SOUND.packages or {}).items() if name != "ray"}
    finding = only(compared(document(), document("node1", packages=packages)))
    assert finding.actual == "2.49.0: node0; none: node1"


@pytest.mark.parametrize(
    ("name", "code"), [("config.json", "config-differs"), ("tiktoken.model", "files-differ")]
)
def test_small_files(name: str, code: str) -> None:
    other = document("node1")
    other["facts"]["model"]["digests"][name] = "c" * 64
    finding = only(compared(document(), other))
    assert (finding.code, finding.where) == (code, name)
    del other["facts"]["model"]["digests"][name]
    assert "none: node1" in (only(compared(document(), other)).actual or "")


def test_weights_are_one_finding() -> None:
    other = document("node1")
    for number in range(20, 62):
        del other["facts"]["model"]["weights"][f"model-{number}-of-61.safetensors"]
    finding = only(compared(document(), other))
    assert (finding.code, finding.count) == ("shards-differ", 42)
    assert finding.where.endswith(" …")
    assert "node1: 19 files" in (finding.actual or "")


def test_a_shard_of_another_size() -> None:
    other = document("node1")
    other["facts"]["model"]["weights"]["model-7-of-61.safetensors"] = 5
    assert only(compared(document(), other)).where == "model-7-of-61.safetensors"


def test_clocks() -> None:
    finding = only(compared(document(), document("node1", clock=1031.0)))
    assert (finding.code, finding.where, finding.actual) == ("clocks-differ", "node1", "31 s")


def test_one_node_twice_and_another_plan() -> None:
    assert codes(compared(document(), document())) == ["report-twice"]
    other = document("node1") | {"strategy": "dp-ep"}
    assert codes(compared(document(), other)) == ["plans-differ"]


def test_the_whole_plan_is_compared() -> None:
    other = document("node1")
    other["plan"] = {"nodes": "a b", "serve-node0": "vllm serve K2 --port 9000"}
    finding = only(compared(document(), other))
    assert (finding.code, finding.where) == ("plans-differ", "serve-node0")
    assert finding.actual == "8000: node0; 9000: node1"
    del other["plan"]["serve-node0"]
    assert only(compared(document(), other)).where == "serve-node0"


def test_reports_that_hold_errors_do_not_agree() -> None:
    error = {"code": "port-taken", "severity": "error"}
    other = document("node1") | {"findings": [error, {"code": "x", "severity": "warning"}]}
    finding = only(compared(document(), other))
    assert (finding.code, finding.where) == ("report-holds-errors", "node1")
    assert "port-taken" in finding.message


def test_gpus_and_packets() -> None:
    assert only(compared(document(), document("node1", gpus=None))).code == "gpus-differ"
    seven = ["NVIDIA H200"] * 7
    finding = only(compared(document(), document("node1", gpus=seven)))
    assert finding.actual == "7 × NVIDIA H200: node1; 8 × NVIDIA H200: node0"
    other = document("node1")
    other["facts"]["routes"]["10.0.0.2"]["mtu"] = 9000
    found = only(compared(document(), other))
    assert (found.code, found.actual) == ("mtu-differs", "0: node0; 9000: node1")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "k2compat.launch/1"},
        {"schema": None},
        {"facts": None},
        {"facts": {}},
        {"facts": {**SOUND.as_dict(), "model": [1]}},
        {"facts": {**SOUND.as_dict(), "packages": "vllm"}},
        {"facts": {**SOUND.as_dict(), "clock": "noon"}},
        {"facts": {**SOUND.as_dict(), "model": {"weights": {"a": None}}}},
    ],
)
def test_what_is_no_report_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        compared(document() | changes)
    assert refused.value.code == "report-malformed"


@pytest.mark.parametrize("value", [None, [], 3, "text", {}])
def test_any_other_json_is_refused(value: Any) -> None:
    with pytest.raises(RefusedError):
        NodeReport.read(value, "x.json")
