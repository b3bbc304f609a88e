"""Sizes given by `--set` are sizes of the plan: its layout, its flags, its checks."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.engines.memory_flags import memory_flags_of, size_flag
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import ENGINES
from k2compat.launch.memory.layout import Layout
from k2compat.launch.plan import Plan
from k2compat.launch.planning.checks import check_plan, fits_of
from k2compat.launch.planning.given_sizes import check_rendered, layout_in
from tests.launch.support import argv, codes, plan
from tests.support.amount import examples
from tests.support.configs import config_values

TWO = ("10.0.0.1", "10.0.0.2")
INSTRUCT = config_values("moonshotai/Kimi-K2-Instruct")
# A small model of the family: 16 heads, 4 experts of a width that four ranks can cut.
SMALL = {
    **INSTRUCT,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "n_routed_experts": 4,
    "moe_intermediate_size": 512,
    "intermediate_size": 2048,
}


def judged(made: Plan, config: dict[str, Any] | None = None) -> list[str]:
    """The codes of the errors of a plan."""
    found = (*made.findings, *check_plan(made, config or INSTRUCT))
    return [each.code for each in found if each.severity is Severity.ERROR]


def layout(engine: str, *given: str, **options: Any) -> str:
    (found,) = plan(engine, settings=given, **options).layouts.values()
    return str(found)


@pytest.mark.parametrize(
    ("engine", "given", "options", "expected"),
    [
        ("vllm", "tensor-parallel-size=4", {}, "TP4"),
        ("vllm", "tp=4", {}, "TP4"),
        ("vllm", "--tp-size=4", {}, "TP4"),
        ("vllm", "tensor_parallel_size=4", {}, "TP4"),
        ("vllm", "pp=2", {}, "TP4·PP2"),
        ("vllm", "dp=2", {}, "TP4·DP2"),
        ("vllm", "enable-expert-parallel", {}, "TP8·EP8"),
        ("vllm", "decode-context-parallel-size=8", {}, "TP8·DCP8"),
        ("vllm", "dcp-size=8", {}, "TP8·DCP8"),
        ("vllm", "data-parallel-size=8", {"nodes": TWO, "strategy": "dp-ep"}, "TP2·DP8·EP16"),
        ("vllm", "tp=2", {"nodes": TWO, "strategy": "dp-ep"}, "TP2·DP8·EP16"),
        ("vllm", "tp=4", {"nodes": TWO, "strategy": "tp-pp"}, "TP4·PP4"),
        ("vllm", "tp=4 dp=2", {"nodes": TWO, "strategy": "tp-pp"}, "TP4·PP2·DP2"),
        ("vllm", "tp=4 pp=2", {"nodes": TWO, "strategy": "tp-pp"}, "TP4·PP2"),
        ("vllm", "tp=2 dp=4", {"strategy": "dp-ep"}, "TP2·DP4·EP8"),
        ("sglang", "tp=4", {}, "TP4"),
        ("sglang", "tensor-parallel-size=4", {}, "TP4"),
        ("sglang", "ep=8", {}, "TP8·EP8"),
        ("sglang", "dp=2", {}, "TP4·2 replicas"),
        ("sglang", "attn-dp-size=4", {}, "TP2·DP4"),
        ("sglang", "dp-size=4 enable-dp-attention", {"engine_version": "0.5.10"}, "TP2·DP4"),
        ("sglang", "attn-dp-size=2", {"nodes": TWO, "strategy": "dp-ep"}, "TP8·DP2·EP16"),
        ("sglang", "tp-size=8", {"nodes": TWO, "strategy": "dp-ep"}, "TP1·DP8·EP8"),
        ("sglang", "tp=4", {"nodes": TWO, "strategy": "tp-pp"}, "TP4·PP4"),
        ("sglang", "dcp-size=8", {}, "TP8·DCP8"),
        ("trtllm", "tp=4", {}, "TP4"),
        ("trtllm", "ep-size=8", {}, "TP8·EP8"),
        ("trtllm", "enable_attention_dp", {}, "TP1·DP8"),
        ("trtllm", "tp_size=8", {"nodes": TWO, "strategy": "dp-ep"}, "TP1·DP8·EP8"),
        ("ktransformers", "tp=4", {}, "TP4"),
        ("ktransformers", "tp=4", {"engine_version": "0.7.2", "gpus_per_node": 4}, "TP4"),
    ],
)
def test_a_size_is_one_of_the_plan(
    engine: str, given: str, options: dict[str, Any], expected: str
) -> None:
    assert layout(engine, *given.split(), **options) == expected


def test_redundant_experts_are_counted() -> None:
    options: dict[str, Any] = {"nodes": TWO, "strategy": "dp-ep"}
    (found,) = plan("sglang", settings=("ep-num-redundant-experts=16",), **options).layouts.values()
    assert found.redundant_experts == 16


def test_more_ranks_than_gpus_are_an_error_with_the_reason() -> None:
    found = judged(plan("vllm", nodes=TWO, settings=("tensor-parallel-size=24",)))
    assert "world-size-mismatch" in found
    assert "heads-not-divisible" in found
    for engine in ENGINES:
        assert "world-size-mismatch" in judged(plan(engine, settings=("tp=16",)))


def test_the_world_is_judged_where_the_model_cannot_be() -> None:
    made = plan("vllm", settings=("tp=16",))
    found = [each.code for each in check_plan(made, {"model_type": "kimi_k2"})]
    assert found == ["world-size-mismatch", "sizes-unknown"]


def test_a_size_that_the_engine_does_not_take_is_named() -> None:
    made = plan("sglang", nodes=TWO, strategy="dp-ep", settings=("ep-size=4",))
    (found,) = check_rendered(made)
    assert found.code == "size-overridden"
    assert (found.expected, found.actual) == ("TP1·DP16·EP4", "TP1·DP16·EP16")
    int4 = plan("sglang", "Kimi-K2-Thinking", strategy="dp-ep", settings=("ep-size=4",))
    assert not list(check_rendered(int4))


@pytest.mark.parametrize("engine", ["sglang", "trtllm", "vllm"])
def test_a_plan_s_own_sizes_are_what_its_commands_say(engine: str) -> None:
    profile = read_profile(engine)
    for name, strategies in profile.clusters.items():
        for strategy in strategies:
            made = plan(engine, "/m", profile=name, strategy=strategy)
            assert [each.actual for each in check_rendered(made)] == []


def test_a_small_model_is_judged_as_it_is_divided() -> None:
    made = plan("vllm", settings=("tensor-parallel-size=4",), gpu="h200")
    assert made.layouts == {"": Layout(4)}
    assert judged(made, SMALL) == []
    assert codes(made)[1:2] == ["gpus-idle"]
    assert "heads-not-divisible" in judged(
        plan("vllm", settings=("tp=8",), gpu="h200"),
        {
            **SMALL,
            "num_attention_heads": 4,
        },
    )


def test_what_starts_the_processes_is_asked_for_the_gpus_that_are_used() -> None:
    made = plan("trtllm", "/m", nodes=TWO, settings=("tp=8",))
    assert made.cluster.gpus_per_node == 4
    assert made.cluster.gpus_idle == 4
    words = [word for command in made.commands for word in argv(command)]
    assert words[words.index("-np") + 1] == "8"
    assert "10.0.0.1:4,10.0.0.2:4" in words


def test_what_fits_instead_may_use_every_gpu() -> None:
    made = plan("vllm", nodes=TWO, settings=("tp=8",), gpu="h200")
    (found,) = (each for each in check_plan(made, INSTRUCT) if each.code == "does-not-fit")
    assert found.fix is not None
    assert "TP16" in found.fix


def test_idle_gpus_have_a_way_out() -> None:
    made = plan("vllm", nodes=TWO, settings=("tp=8",))
    (idle,) = (each for each in made.findings if each.code == "gpus-idle")
    assert idle.fix == "--set pipeline-parallel-size=2"
    other = plan("ktransformers", engine_version="0.4.1", settings=())
    assert "gpus-idle" not in codes(other)


def test_groups_that_differ_keep_their_gpus() -> None:
    made = plan("sglang", strategy="pd", settings=("tp-size=8",), prefill=TWO, decode=("10.0.1.1",))
    assert made.cluster.gpus_per_node == 8
    assert "world-size-mismatch" in judged(made)


def test_the_cache_and_the_context_count_under_any_name() -> None:
    given = ("max-model-len=65536", "kv-cache-dtype=fp8_e4m3")
    from k2compat.launch.memory.sizes import ModelSizes, model_sizes

    sizes = model_sizes(INSTRUCT)
    assert isinstance(sizes, ModelSizes)
    for engine in ("vllm", "sglang", "trtllm"):
        words = [each.replace("fp8_e4m3", "fp8") if engine == "trtllm" else each for each in given]
        made = plan(engine, nodes=TWO, gpu="h200", settings=tuple(words))
        (fit,) = fits_of(made, sizes).values()
        assert (fit.context, fit.kv_cache_bytes) == (65536, 1)


@pytest.mark.parametrize(
    ("engine", "given", "hint"),
    [
        ("vllm", "tp=$TP", "Give the number"),
        ("vllm", "tensor-parallel-size=0", "Give the number"),
        ("vllm", "nnodes=3", "--nodes 3"),
        ("trtllm", "dp=2", "Check the spelling"),
    ],
)
def test_what_is_no_size_is_refused(engine: str, given: str, hint: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(engine, nodes=TWO, settings=(given,))
    assert caught.value.code == "setting-refused"
    assert hint in caught.value.hint


def test_the_number_of_nodes_may_be_said_again() -> None:
    assert layout("vllm", "nnodes=2", nodes=TWO) == "TP16"


def test_a_size_has_a_name_in_every_engine_that_has_it() -> None:
    for engine in ENGINES:
        flags = memory_flags_of(engine)
        assert flags.parallel is not None
        for name in ("tp", "-tp", "--tp-size", "tensor_parallel_size"):
            assert size_flag(engine, name) == flags.parallel.tensor[0]
    assert size_flag("vllm", "max-seq-len") == "--max-model-len"
    assert size_flag("trtllm", "dcp") is None
    assert size_flag("vllm", "port") is None
    assert layout_in("vllm", ["-tp", "many"]) is None


SIZES = {
    "tp": st.sampled_from((1, 2, 4, 8, 16)),
    "pp": st.sampled_from((1, 2, 4)),
    "dp": st.sampled_from((1, 2, 4, 8, 16)),
    "ep": st.sampled_from((1, 2, 4, 8, 16)),
    "dcp": st.sampled_from((1, 2, 8)),
    "attn-dp-size": st.sampled_from((1, 2, 8)),
}
WAYS = [
    (engine, strategy, nodes)
    for engine, nodes in product(("vllm", "sglang", "trtllm"), (TWO[:1], TWO))
    for strategy in read_profile(engine).clusters["default"]
    if strategy != "pd"
]


@given(
    st.sampled_from(WAYS),
    st.dictionaries(st.sampled_from(sorted(SIZES)), st.none(), max_size=3),
    st.data(),
)
@settings(max_examples=examples(150), deadline=None)
def test_what_is_rendered_is_what_was_judged(
    way: tuple[str, str, tuple[str, ...]], kinds: dict[str, None], data: st.DataObject
) -> None:
    """The commands' flags, read back, give the plan's layout."""
    engine, strategy, nodes = way
    given_flags = {
        kind: data.draw(SIZES[kind])
        for kind in kinds
        if size_flag(engine, kind) and (kind != "attn-dp-size" or engine == "sglang")
    }
    if "dp" in given_flags and engine == "sglang":
        del given_flags["dp"]  # replicas beside attention data parallelism are refused
    settings_given = tuple(f"{kind}={size}" for kind, size in given_flags.items())
    made = plan(engine, "/m", nodes=nodes, strategy=strategy, settings=settings_given)
    overridden = engine == "sglang" and strategy == "dp-ep" and "ep" in given_flags
    assert overridden or not list(check_rendered(made))
