"""A plan against its model: divided, fitted, refused with the way out."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.findings import Finding
from k2compat.launch.flags import newest_version
from k2compat.launch.memory.fit import Fit
from k2compat.launch.memory.layout import Layout
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.plan import Command, Plan
from k2compat.launch.planning.checks import check_plan, fits_of, refusal_of
from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.model import read_model
from tests.launch.support import environment, plan
from tests.support.configs import config_values

NEWEST = newest_version("vllm")

INSTRUCT = config_values("moonshotai/Kimi-K2-Instruct")
TWO = ("10.0.0.1", "10.0.0.2")


def codes(made: Plan) -> list[str]:
    return [finding.code for finding in check_plan(made, INSTRUCT)]


def made_by_hand(
    argv: str,
    *,
    engine: str = "sglang",
    gpu: str | None = "h200",
    layout: Layout | None = None,
    environment: Mapping[str, str] | None = None,
) -> Plan:
    """A plan of one command on two nodes."""
    nodes = nodes_at(TWO)
    command = Command(
        id="serve",
        role="serve",
        node=nodes[0],
        argv=tuple(map(Argument.parse, argv.split())),
        environment={name: Argument.parse(value) for name, value in (environment or {}).items()},
        stays=True,
    )
    layouts = {"": layout or Layout(16)}
    return Plan(engine, "1.0", "default", "tp", Cluster(nodes, gpu=gpu), layouts, (command,))


# Each engine's own flags, so that the tests name the flag alone.
ENGINE_OF = {
    "--context-length": "sglang",
    "--mem-fraction-static": "sglang",
    "--max_seq_len": "trtllm",
    "--kv_cache": "trtllm",
}


def fit_of(argv: str, **options: object) -> Fit:
    by_flag = (engine for flag, engine in ENGINE_OF.items() if flag in argv)
    options = {"engine": next(by_flag, "vllm"), **options}
    sizes = model_sizes(INSTRUCT)
    assert isinstance(sizes, ModelSizes)
    return fits_of(made_by_hand(argv, **options), sizes)[""]  # type: ignore[arg-type]


def test_a_plan_that_fits_has_no_findings() -> None:
    assert codes(plan("vllm", nodes=TWO, gpu="h200")) == []


def test_unknown_sizes_of_the_weights_are_one_finding() -> None:
    unknown = {**INSTRUCT, "first_k_dense_replace": -1}  # the dimensions do not depend on it
    found = check_plan(plan("vllm", nodes=TWO, gpu="h200"), unknown)
    assert [finding.code for finding in found] == ["sizes-unknown"]


def test_fp8_on_8_h200_is_refused_with_two_nodes_as_the_way_out() -> None:
    findings = list(check_plan(plan("vllm", nodes=TWO[:1], gpu="h200"), INSTRUCT))
    refused = refusal_of(findings)
    assert isinstance(refused, RefusedError)
    assert refused.code == "does-not-fit"
    assert refused.hint.startswith("This fits: TP16 on 2 nodes (--nodes 2). --explain-fit")


def test_what_may_fit_is_not_refused() -> None:
    warned = made_by_hand("vllm serve x", engine="vllm", gpu="h20")
    assert refusal_of(list(check_plan(warned, INSTRUCT))) is None


def test_nothing_near_fits_and_the_refusal_still_has_a_hint() -> None:
    findings = list(check_plan(plan("vllm", nodes=TWO[:1], gpu="13"), INSTRUCT))
    refused = refusal_of(findings)
    assert refused is not None
    assert refused.hint.startswith("--explain-fit")


def test_16_h20_at_128k_fit_but_for_the_default_number_of_sequences() -> None:
    default = made_by_hand("vllm serve x", engine="vllm", gpu="h20")
    assert codes(default) == ["sequence-count-default"]
    assert codes(plan("vllm", nodes=TWO, gpu="h20")) == []  # the plan sets it there
    bounded = made_by_hand("vllm serve x --max-num-seqs 128", engine="vllm", gpu="h20")
    assert codes(bounded) == []
    assert codes(made_by_hand("python -m sglang.launch_server", gpu="h20")) == []


def test_parallel_sizes_that_do_not_divide() -> None:
    four = tuple(f"10.0.0.{number}" for number in range(1, 5))
    assert codes(plan("vllm", nodes=four, gpu="h200", strategy="tp")) == ["block-not-divisible"] * 2


def test_what_is_not_estimated_is_said() -> None:
    (finding,) = check_plan(made_by_hand("serve", engine="ktransformers", gpu="h20"), INSTRUCT)
    assert finding.code == "fit-skipped"
    assert "main memory" in finding.message


class TestWithoutGpu:
    """What a newcomer types first names no GPU; the weights on each are known all the same."""

    def found(self, engine: str, model: str = "Kimi-K2-Instruct", **options: Any) -> Finding:
        made = plan(engine, model, **options)
        model_read = read_model(model)
        (finding,) = check_plan(made, model_read.config, model_read.loaded_bytes)
        return finding

    def test_the_smallest_gpu_is_named(self) -> None:
        finding = self.found("vllm")
        assert finding.code == "fit-by-weights"
        assert "119.8 GiB of weights" in finding.message
        assert "is b200." in finding.message

    def test_only_gpus_that_the_engine_and_the_weights_take_count(self) -> None:
        assert "is b200." in self.found("trtllm").message
        assert "is rtx-pro-6000." in self.found("sglang", "nvidia/Kimi-K2.5-NVFP4").message

    def test_what_no_gpu_holds_is_a_warning_with_the_nearest_that_does(self) -> None:
        finding = self.found("vllm", gpus_per_node=2)
        assert finding.code == "no-gpu-holds"
        assert finding.fix is not None
        assert "TP4 on 2 nodes" in finding.fix

    def test_nothing_near_may_hold_it(self) -> None:
        finding = self.found("vllm", gpus_per_node=2, values={"context": "9000000000"})
        assert (finding.code, finding.fix) == ("no-gpu-holds", None)


def test_amd_s_kernels_want_sixteen_heads() -> None:
    k25 = config_values("moonshotai/Kimi-K2.5")
    made = plan("sglang", "Kimi-K2.5", gpu="mi300x")
    assert "heads-per-gpu" in [each.code for each in check_plan(made, k25)]
    four = plan("sglang", "Kimi-K2.5", gpu="mi300x", settings=("tp=4",))
    assert "heads-per-gpu" not in [each.code for each in check_plan(four, k25)]
    assert environment(four.commands[0])["SGLANG_USE_AITER"] == "1"
    assert environment(made.commands[0]) == {}


def test_heads_that_no_rank_shares_say_nothing_of_amd() -> None:
    made = plan("vllm", "Kimi-K2-Instruct", gpu="h200", settings=("tp=24",))
    found = [each.code for each in check_plan(made, config_values("moonshotai/Kimi-K2-Instruct"))]
    assert "heads-not-divisible" in found
    assert "heads-per-gpu" not in found


def test_engines_that_do_not_run_on_a_gpu_are_named() -> None:
    made = plan("trtllm", gpu="mi300x")
    assert "engine-not-for-gpu" in [each.code for each in check_plan(made, INSTRUCT)]


def test_the_cache_is_of_the_checkpoint_s_type() -> None:
    """NVFP4 exports ask for an FP8 cache; a flag goes before them."""
    model = read_model("nvidia/Kimi-K2.6-NVFP4")
    sizes = model_sizes(model.config, model.loaded_bytes)
    assert isinstance(sizes, ModelSizes)
    for given, expected in (
        ((), 1),
        (("kv-cache-dtype=bfloat16",), 2),
        (("kv-cache-dtype=auto",), 1),
    ):
        made = plan("vllm", "nvidia/Kimi-K2.6-NVFP4", gpu="b300", settings=given)
        assert fits_of(made, sizes)[""].kv_cache_bytes == expected
    by_hand = made_by_hand("serve", engine="ktransformers")
    assert fits_of(by_hand, sizes) == fits_of(made_by_hand("serve", gpu=None), sizes) == {}


def test_an_unknown_model_is_said_once() -> None:
    (finding,) = check_plan(plan("vllm", nodes=TWO, gpu="h200"), {})
    assert finding.code == "sizes-unknown"


def test_an_unknown_gpu_is_refused() -> None:
    with pytest.raises(RefusedError):
        codes(plan("vllm", nodes=TWO, gpu="h2000"))


class TestFlagsCount:
    """The commands themselves say how much memory, context and cache there are."""

    @pytest.mark.parametrize(
        ("argv", "context"),
        [
            ("--max-model-len 4096", 4096),
            ("--max-model-len=4096", 4096),
            ("--max-model-len 8192 --max-model-len 4096", 4096),
            ("--max-model-len 128k", 128_000),
            ("--max-model-len 128K", 131_072),
            ("--context-length 2176", 2176),
            ("--max_seq_len 4096", 4096),
            ("--max-model-len $CONTEXT", 131_072),
            ("--max-model-len", 131_072),
            ("--max-model-len 0", 131_072),
            ("", 131_072),
        ],
    )
    def test_context(self, argv: str, context: int) -> None:
        assert fit_of(f"serve {argv}").context == context

    @pytest.mark.parametrize(
        ("argv", "cache"),
        [
            ("--kv-cache-dtype fp8", 1),
            ("--kv-cache-dtype fp8_e4m3", 1),
            ("--kv_cache_dtype=fp8", 1),
            ("--kv-cache-dtype auto", 2),
            ("", 2),
        ],
    )
    def test_cache(self, argv: str, cache: int) -> None:
        assert fit_of(f"serve {argv}").kv_cache_bytes == cache

    @pytest.mark.parametrize(
        ("argv", "share"),
        [
            ("--gpu-memory-utilization 0.85", 0.85),
            ("--kv_cache_free_gpu_memory_fraction 0.95", 0.95),
            ("--gpu-memory-utilization $SHARE", 0.9),
            ("--gpu-memory-utilization 85", 0.9),
            ("", 0.9),
        ],
    )
    def test_share(self, argv: str, share: float) -> None:
        assert fit_of(f"serve {argv}").utilisation == share

    @pytest.mark.parametrize(
        ("engine", "version", "share"),
        [("vllm", "0.10.0", 0.9), ("vllm", NEWEST, 0.92), ("sglang", "0.5.23", 0.9)],
    )
    def test_without_a_flag_the_share_is_the_parsers_default(
        self, engine: str, version: str, share: float
    ) -> None:
        made = plan(engine, nodes=TWO, gpu="h200", strategy="tp", engine_version=version)
        sizes = model_sizes(INSTRUCT)
        assert isinstance(sizes, ModelSizes)
        assert fits_of(made, sizes)[""].utilisation == share

    def test_sglang_s_static_share_leaves_the_overhead_out(self) -> None:
        """What is beside the static part is there for the overhead, as far as it goes."""
        fit = fit_of("serve --mem-fraction-static 0.8")
        assert fit.room_gib == pytest.approx(0.8 * fit.gpu_gib - fit.weights_gib)
        assert fit_of("serve --mem-fraction-static 0.95").utilisation == 0.98


class TestBatches:
    DECODE = Layout(1, data_parallel=16, expert_parallel=16)

    def test_the_servers_sizes_are_divided_by_the_ranks(self) -> None:
        argv = "serve --max-running-requests 1000 --chunked-prefill-size 4096"
        assert codes(made_by_hand(argv, layout=self.DECODE)) == ["batch-not-divisible"]
        assert codes(made_by_hand(argv)) == []  # no DP attention

    def test_deepep_s_limit_counts_where_deepep_is_used(self) -> None:
        argv = "serve --max-running-requests 16000"
        limit = {"SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK": "480"}
        without = made_by_hand(argv, layout=self.DECODE, environment=limit)
        assert codes(without) == []
        argv += " --deepep-mode low_latency"
        assert codes(made_by_hand(argv, layout=self.DECODE, environment=limit)) == [
            "batch-exceeds-rank"
        ]
        assert codes(made_by_hand(argv, layout=self.DECODE)) == []

    def test_a_group_without_a_server_has_nothing_to_check(self) -> None:
        empty = replace(made_by_hand("serve", layout=self.DECODE), commands=())
        assert codes(empty) == []
