"""What can be divided: blocks, heads, experts, ranks, and the numbers of the guide."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from k2compat.launch.memory.layout import Layout, check_batch_sizes, check_divisibility
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from tests.support.amount import examples
from tests.support.configs import config_values


def sizes_of(repo: str) -> ModelSizes:
    sizes = model_sizes(config_values(repo))
    assert isinstance(sizes, ModelSizes)
    return sizes


FP8 = sizes_of("moonshotai/Kimi-K2-Instruct")
INT4 = sizes_of("moonshotai/Kimi-K2-Thinking")


def codes(layout: Layout, nodes: int, gpus: int = 8, sizes: ModelSizes = FP8) -> list[str]:
    return [finding.code for finding in check_divisibility(sizes, layout, nodes, gpus)]


@pytest.mark.parametrize(
    ("layout", "nodes"),
    [
        (Layout(8), 1),
        (Layout(16), 2),
        (Layout(8, pipeline_parallel=2), 2),
        (Layout(1, data_parallel=16, expert_parallel=16), 2),
        (Layout(1, data_parallel=32, expert_parallel=32), 4),
        (Layout(1, data_parallel=96, expert_parallel=96, redundant_experts=96), 12),
        (Layout(16, decode_context_parallel=8), 2),
        (Layout(8, data_parallel=2, expert_parallel=16), 2),
    ],
    ids=str,
)
def test_layouts_that_are_used(layout: Layout, nodes: int) -> None:
    assert codes(layout, nodes) == []


def test_pure_tensor_parallelism_stops_at_16() -> None:
    """2048 / 16 is one FP8 block; 2048 / 32 half a one, and 18432 / 32 four and a half."""
    findings = list(check_divisibility(FP8, Layout(32), 4, 8))
    assert [finding.code for finding in findings] == ["block-not-divisible"] * 2
    assert [finding.actual for finding in findings] == ["2048 / 32 = 64", "18432 / 32 = 576"]


def test_expert_parallelism_leaves_routed_experts_whole_not_the_shared_ones() -> None:
    assert codes(Layout(32, expert_parallel=32), 4) == ["block-not-divisible"] * 2
    assert codes(Layout(4, data_parallel=8, expert_parallel=32), 4) == []


def test_without_expert_parallelism_data_parallel_ranks_cut_the_experts() -> None:
    assert codes(Layout(1, data_parallel=32), 4) == ["block-not-divisible"]


def test_int4_has_groups_of_32_in_the_routed_experts_alone() -> None:
    assert codes(Layout(32), 4, sizes=INT4) == []
    assert codes(Layout(64), 8, sizes=INT4) == []
    assert codes(Layout(1, data_parallel=128), 16, sizes=INT4) == ["block-not-divisible"]


def fixes(layout: Layout, nodes: int, sizes: ModelSizes = FP8) -> list[str | None]:
    return [
        each.fix for each in check_divisibility(sizes, layout, nodes, 8) if "block" in each.code
    ]


def test_the_advice_is_one_division_that_has_none_of_the_faults() -> None:
    """At 32 GPUs two findings advised TP16 and TP24; 24 does not divide the 64 heads."""
    assert fixes(Layout(32), 4) == ["Divide it as TP8·PP4."] * 2
    assert fixes(Layout(64), 8) == ["Divide it as TP8·PP8."] * 2
    assert fixes(Layout(1, data_parallel=32), 4) == ["Divide it as TP1·DP32·EP32."]
    narrow = replace(FP8, widths={"moe_intermediate_size": 512, "intermediate_size": 18432})
    assert fixes(Layout(8), 1, narrow) == ["Divide it as TP4·PP2."]
    odd = replace(FP8, widths={"moe_intermediate_size": 100, "intermediate_size": 18432})
    assert fixes(Layout(8), 1, odd) == [None]


@given(
    st.sampled_from([FP8, INT4]),
    st.integers(1, 70),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 8),
)
@settings(max_examples=examples(100), deadline=None)
def test_all_findings_of_a_layout_have_one_advice_which_has_none(
    sizes: ModelSizes, tensor: int, pipeline: int, data: int, nodes: int
) -> None:
    layout = Layout(tensor, pipeline, data, data * tensor if data > 1 else 1)
    found = list(check_divisibility(sizes, layout, nodes, 8))
    advice = {each.fix for each in found if each.code != "experts-not-divisible"}
    assert len(advice) <= 1
    for text in filter(None, advice):
        better = _written(text.removeprefix("Divide it as ").removesuffix("."))
        assert codes(better, nodes, sizes=sizes) == []


def _written(text: str) -> Layout:
    """A layout from how people write it."""
    sizes = {name: int(size) for name, size in re.findall(r"([A-Z]+)(\d+)", text)}
    return Layout(sizes["TP"], sizes.get("PP", 1), sizes.get("DP", 1), sizes.get("EP", 1))


def test_an_engine_may_give_some_ranks_an_expert_more() -> None:
    layout = Layout(1, data_parallel=40, expert_parallel=40)
    assert not list(check_divisibility(FP8, layout, 5, 8, uneven_experts=True))
    few = replace(FP8, experts=24)
    (finding,) = check_divisibility(few, layout, 5, 8, uneven_experts=True)
    assert finding.code == "experts-not-divisible"


@pytest.mark.parametrize(
    ("layout", "nodes", "gpus", "code"),
    [
        (Layout(16), 1, 8, "world-size-mismatch"),
        (Layout(8, 2, 2), 2, 8, "world-size-mismatch"),
        (Layout(12), 1, 12, "heads-not-divisible"),
        (Layout(16, decode_context_parallel=3), 2, 8, "context-parallel-not-divisible"),
        (
            Layout(1, data_parallel=40, expert_parallel=40),
            5,
            8,
            "experts-not-divisible",
        ),
        (Layout(16, expert_parallel=3), 2, 8, "expert-groups-mismatch"),
        (Layout(1, pipeline_parallel=64), 8, 8, "stages-exceed-layers"),
    ],
    ids=str,
)
def test_what_does_not_divide(layout: Layout, nodes: int, gpus: int, code: str) -> None:
    assert code in codes(layout, nodes, gpus)


def test_redundant_experts_that_would_do_are_named() -> None:
    layout = Layout(1, data_parallel=40, expert_parallel=40)
    (finding,) = check_divisibility(FP8, layout, 5, 8)
    assert finding.fix == "Use 16 redundant experts."
    enough = Layout(1, data_parallel=40, expert_parallel=40, redundant_experts=16)
    assert codes(enough, 5) == []


class TestNumbersOfTheGuide:
    def test_32_over_4_and_96_over_12_are_8_gpus_a_node(self) -> None:
        assert Layout(1, data_parallel=32, expert_parallel=32).world_size == 4 * 8
        assert Layout(1, data_parallel=96, expert_parallel=96).world_size == 12 * 8

    def test_prefill_chunks_and_decode_requests_are_whole_on_every_rank(self) -> None:
        prefill = check_batch_sizes(32, max_running_requests=1024, chunked_prefill_size=131072)
        decode = check_batch_sizes(
            96, max_running_requests=46080, largest_cuda_graph=480, dispatch_tokens=480
        )
        assert [*prefill, *decode] == []

    @pytest.mark.parametrize(
        ("sizes", "code", "fix"),
        [
            (
                {"chunked_prefill_size": 131000},
                "batch-not-divisible",
                "--set chunked-prefill-size=131040",
            ),
            (
                {"max_running_requests": 46081},
                "batch-not-divisible",
                "--set max-running-requests=46176",
            ),
            (
                {"max_running_requests": 46176, "largest_cuda_graph": 480},
                "batch-exceeds-rank",
                "--set max-running-requests=46080",
            ),
            (
                {"max_running_requests": 46176, "dispatch_tokens": 480},
                "batch-exceeds-rank",
                "--set max-running-requests=46080",
            ),
        ],
    )
    def test_sizes_a_rank_cannot_have(self, sizes: dict[str, Any], code: str, fix: str) -> None:
        (finding,) = check_batch_sizes(96, **sizes)
        assert (finding.code, finding.fix) == (code, fix)


def test_a_layout_is_written_as_people_do() -> None:
    assert str(Layout(8, pipeline_parallel=2)) == "TP8·PP2"
    assert str(Layout(16, decode_context_parallel=8)) == "TP16·DCP8"
    assert Layout(4, 2, 3).world_size == 24
    assert str(Layout(4, replicas=2)) == "TP4·2 replicas"
    assert Layout(4, replicas=2).world_size == 8
