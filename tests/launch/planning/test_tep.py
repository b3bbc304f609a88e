"""Strategy tep: tensor parallelism with whole experts on each GPU."""

from typing import Any

import pytest

from k2compat.findings import Severity
from k2compat.launch.flags import has_word, values_of
from k2compat.launch.memory.layout import Layout
from k2compat.launch.plan import Plan
from k2compat.launch.planning.given_sizes import layout_in
from tests.launch.support import argv, codes, plan

TWO = ("10.0.0.1", "10.0.0.2")
THINKING = "moonshotai/Kimi-K2-Thinking"


def words(made: Plan) -> list[str]:
    server = made.server("")
    assert server is not None
    return argv(server)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(("nodes", "gpus"), [((), 8), ((), 4), (TWO, 16)])
def test_every_gpu_shares_the_attention_and_has_experts_of_its_own(
    engine: str, nodes: tuple[str, ...], gpus: int
) -> None:
    options: dict[str, Any] = {"nodes": nodes, "gpus_per_node": gpus // max(1, len(nodes))}
    made = plan(engine, THINKING, strategy="tep", **options)
    assert made.layouts == {"": Layout(gpus, expert_parallel=gpus)}
    assert layout_in(engine, words(made)) == made.layouts[""]
    assert [each.code for each in made.findings if each.severity is Severity.ERROR] == []


def test_over_several_nodes_vllm_leaves_out_a_fused_kernel() -> None:
    for version, expected in (("0.18.0", False), ("0.19.1", True)):
        made = plan("vllm", THINKING, strategy="tep", nodes=TWO, engine_version=version)
        assert has_word(words(made), "--compilation-config") is expected
    alone = plan("vllm", THINKING, strategy="tep")
    assert not values_of(words(alone), "--compilation-config")


def test_amd_s_kernels_for_int4_experts_are_for_tp_alone() -> None:
    for strategy, expected in (("tp", True), ("tep", False)):
        made = plan("vllm", "moonshotai/Kimi-K2.5", strategy=strategy, gpu="mi355x")
        assert has_word(words(made), "--moe-backend") is expected


def test_int4_experts_could_not_be_spread_before() -> None:
    for version, expected in (("0.5.7", True), ("0.5.8", False)):
        made = plan("sglang", THINKING, strategy="tep", engine_version=version)
        assert ("int4-experts-undivided" in codes(made)) is expected
