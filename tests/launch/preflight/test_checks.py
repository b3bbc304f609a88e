"""All checks together: offline, on a node, each finding once."""

from dataclasses import replace

import pytest

from k2compat.errors import RefusedError
from k2compat.findings import catalogue
from k2compat.launch.preflight.checks import (
    check_node,
    check_offline,
    check_ranks,
    node_of,
    without_open,
)
from k2compat.launch.preflight.inspection import Inspection, commands_of
from k2compat.launch.preflight.requirements import packages_of_interest
from k2compat.launch.preflight.resolving import resolve_plan
from tests.launch.preflight.support import ADDRESSES, SOUND, codes, inspection, only, plan_of
from tests.launch.support import plan
from tests.support.configs import config_values

INSTRUCT = config_values("moonshotai/Kimi-K2-Instruct")


def test_a_sound_node_of_a_real_plan_gives_no_errors_and_no_warnings() -> None:
    made = resolve_plan(plan("vllm", nodes=ADDRESSES, gpu="h200"), {"INTERFACE": "bond0"})
    node = Inspection(made, made.cluster.nodes[0], SOUND)
    found = [*check_offline(made, INSTRUCT), *check_node(node)]
    assert {finding.severity.value for finding in found} <= {"info"}


def test_the_plan_alone() -> None:
    alone = plan("vllm", nodes=ADDRESSES[:1], gpu="h200")
    assert "does-not-fit" in codes(check_offline(alone, INSTRUCT))


def test_what_is_open_is_left_to_the_node() -> None:
    offline = list(check_offline(plan("vllm", nodes=ADDRESSES), INSTRUCT))
    assert "placeholder-open" in codes(offline)
    assert "placeholder-open" not in codes(without_open(offline))


class TestPlaceholders:
    def test_one_without_a_value(self) -> None:
        made = inspection("vllm serve $MODEL --port $PORT", "ray start --port $PORT")
        findings = {each.message: each for each in check_node(made)}
        found = findings["PORT has no value on this node."]
        assert (found.code, found.count) == ("placeholder-unresolved", 2)
        assert found.where == "command0, command1"
        assert found.fix == "export PORT=VALUE"

    def test_for_an_interface_the_fix_knows_the_value(self) -> None:
        variables = {"TP_SOCKET_IFNAME": "bond0", "GLOO_SOCKET_IFNAME": "$CARD"}
        made = inspection("vllm serve x", variables=variables)
        found = [each for each in check_node(made) if each.severity == "error"]
        assert only(found).fix == "export CARD=bond0"
        unknown = replace(made, facts=replace(made.facts, routes={}))
        fixes = [each.fix for each in check_node(unknown)]
        assert "export CARD=INTERFACE" in fixes

    def test_variables_of_the_node_are_their_values(self) -> None:
        made = plan_of(
            "vllm serve $MODEL --master-addr ${MASTER}:1 --port <PORT>",
            addresses=("$MASTER", "10.0.0.2"),
            devices={"interface": "$CARD", "ib_device": "mlx5_0"},
            variables={"GLOO_SOCKET_IFNAME": "$CARD"},
        )
        values = {"MASTER": "10.0.0.1", "PORT": "8000", "CARD": "bond0", "MODEL": ""}
        resolved = resolve_plan(made, values)
        (first,) = resolved.commands
        assert [str(word) for word in first.argv][2:] == (
            ["$MODEL", "--master-addr", "10.0.0.1:1", "--port", "8000"]
        )
        assert str(first.environment["GLOO_SOCKET_IFNAME"]) == "bond0"
        node = resolved.cluster.nodes[0]
        assert (str(node.address), str(node.interface)) == ("10.0.0.1", "bond0")
        assert commands_of(resolved, node) == (first,)
        assert [each.name for each in resolved.placeholders] == ["MODEL"]

    def test_a_value_that_looks_like_a_placeholder_is_none(self) -> None:
        resolved = resolve_plan(plan_of("vllm serve $MODEL"), {"MODEL": "$PORT"})
        assert resolved.placeholders == ()


class TestNodes:
    @pytest.mark.parametrize(("text", "rank"), [("0", 0), ("1", 1), ("node1", 1)])
    def test_by_number_or_name(self, text: str, rank: int) -> None:
        made = plan_of()
        assert node_of(made, text) == made.cluster.nodes[rank]

    @pytest.mark.parametrize("text", ["2", "-1", "", "10.0.0.1", "¹"])
    def test_an_unknown_one(self, text: str) -> None:
        with pytest.raises(RefusedError) as refused:
            node_of(plan_of(), text)
        assert refused.value.hint == "Its nodes are 0 (node0, 10.0.0.1), 1 (node1, 10.0.0.2)."


class TestRanks:
    def test_of_a_real_plan(self) -> None:
        assert codes(check_ranks(plan("vllm", nodes=ADDRESSES))) == []

    @pytest.mark.parametrize("ranks", [("0", "0"), ("1", "2")])
    def test_a_rank_twice_or_none(self, ranks: tuple[str, str]) -> None:
        argvs = (f"vllm serve x --nnodes 2 --node-rank {rank}" for rank in ranks)
        assert codes(check_ranks(plan_of(*argvs))) == ["ranks-wrong"]

    def test_one_that_is_not_known_yet(self) -> None:
        assert codes(check_ranks(plan_of("vllm serve x --node-rank $RANK"))) == []


def test_every_finding_of_a_broken_node_has_its_code_in_the_catalogue() -> None:
    made = inspection(
        "vllm serve x --port 70000",
        hostname_addresses=("127.0.0.1",),
        packages={"tiktoken": "0.7.0"},
        gpus=(),
        shared_memory=0,
        limits={"nofile": 1},
    )
    found = codes([*check_offline(made.plan, INSTRUCT), *check_node(made)])
    assert {"hostname-on-loopback", "port-invalid", "engine-missing", "blobfile-missing"} <= set(
        found
    )
    assert set(found) <= set(catalogue())


def test_packages_that_are_asked_for() -> None:
    assert {"vllm", "tiktoken", "blobfile", "ray"} <= set(packages_of_interest("vllm"))
    assert {"ktransformers", "kt-kernel"} <= set(packages_of_interest("ktransformers"))
