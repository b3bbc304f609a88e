"""Whether Kimi-K2 fits: the published cases, and what follows from the sum."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.launch.memory.alternatives import alternatives, check_fit
from k2compat.launch.memory.fit import (
    GIB,
    OVERHEAD_ERROR_GIB,
    Fit,
    Verdict,
    check_sequence_count,
    estimate_fit,
    explain_fit,
)
from k2compat.launch.memory.gpus import gpu_memory_gib, gpu_names
from k2compat.launch.memory.layout import Layout
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from tests.support.amount import examples
from tests.support.configs import config_values

KIB = 1024
TP8, TP16 = Layout(8), Layout(16)
DP_EP_16 = Layout(1, data_parallel=16, expert_parallel=16)


def sizes_of(repo: str, *, quantised: bool = True) -> ModelSizes:
    config = config_values(repo)
    if not quantised:
        del config["quantization_config"]
    sizes = model_sizes(config)
    assert isinstance(sizes, ModelSizes)
    return sizes


FP8 = sizes_of("moonshotai/Kimi-K2-Instruct")
INT4 = sizes_of("moonshotai/Kimi-K2-Thinking")
BF16 = sizes_of("moonshotai/Kimi-K2-Instruct", quantised=False)


def fit_on(gpu: str, sizes: ModelSizes, layout: Layout, **options: Any) -> Fit:
    return estimate_fit(sizes, layout, gpu_memory_gib(gpu), **options)


class TestPublished:
    """Figures and reports of others, at utilisation 0.9 with a BF16 KV cache."""

    def test_calibration_int4_on_8_h200(self) -> None:
        """vLLM's log: 715,072 tokens."""
        fit = fit_on("h200", INT4, TP8)
        assert fit.tokens == pytest.approx(715_072, rel=0.001)
        assert fit.verdict is Verdict.FITS

    def test_fp8_does_not_fit_8_h200_whatever_the_context(self) -> None:
        assert fit_on("h200", FP8, TP8).verdict is Verdict.DOES_NOT_FIT
        assert fit_on("h200", FP8, TP8, context=KIB).verdict is Verdict.DOES_NOT_FIT

    def test_fp8_fits_16_h200_at_128k(self) -> None:
        fit = fit_on("h200", FP8, TP16, context=128 * KIB)
        assert fit.tokens == pytest.approx(856_000, rel=0.01)
        assert fit.verdict is Verdict.FITS

    def test_fp8_fits_16_h20_at_128k_but_not_with_the_default_number_of_sequences(self) -> None:
        fit = fit_on("h20", FP8, TP16, context=128 * KIB)
        assert fit.tokens == pytest.approx(240_000, rel=0.01)
        assert fit.verdict is Verdict.FITS
        (finding,) = check_sequence_count(fit, None)
        assert finding.code == "sequence-count-default"
        assert finding.fix == "--set max-num-seqs=128"
        assert not list(check_sequence_count(fit, 128))
        assert not list(check_sequence_count(fit_on("h200", FP8, TP16), None))

    def test_int4_on_8_h20_does_not_hold_its_default_256k(self) -> None:
        fit = fit_on("h20", INT4, TP8)
        assert fit.context == 256 * KIB
        assert fit.verdict is Verdict.DOES_NOT_FIT
        assert fit_on("h20", INT4, TP8, context=16 * KIB).verdict is Verdict.FITS

    def test_fp8_on_16_h800_has_room_for_21k_tokens(self) -> None:
        fit = fit_on("h800", FP8, TP16)
        assert fit.tokens == pytest.approx(21_000, rel=0.01)
        assert fit.verdict is Verdict.DOES_NOT_FIT
        fp8_cache = fit_on("h800", FP8, TP16, kv_cache_bytes=1)
        assert fp8_cache.tokens == pytest.approx(2 * fit.tokens, abs=1)
        assert fp8_cache.verdict is Verdict.TIGHT

    @pytest.mark.parametrize(("layout", "gib"), [(TP16, 59.9), (DP_EP_16, 72.3)])
    def test_weights_of_a_gpu(self, layout: Layout, gib: float) -> None:
        assert round(fit_on("h200", FP8, layout).weights_gib, 1) == gib

    def test_the_guide_s_prefill_and_decode_fit_on_h200(self) -> None:
        prefill = Layout(1, data_parallel=32, expert_parallel=32)
        decode = Layout(1, data_parallel=96, expert_parallel=96, redundant_experts=96)
        assert fit_on("h200", FP8, prefill).verdict is Verdict.FITS
        assert fit_on("h200", FP8, decode).verdict is Verdict.FITS


class TestTheSum:
    @given(
        st.sampled_from([FP8, INT4, BF16]),
        st.sampled_from([1, 2, 4, 8, 16]),
        st.integers(1, 8),
        st.integers(1, 4),
        st.sampled_from([1, 2]),
        st.floats(40, 300),
        st.floats(0.5, 1),
    )
    @settings(max_examples=examples(60), deadline=None)
    def test_it_adds_up(
        self,
        sizes: ModelSizes,
        tensor: int,
        pipeline: int,
        data: int,
        kv_cache_bytes: int,
        gib: float,
        utilisation: float,
    ) -> None:
        """Weights, overhead and the tokens that fit are the usable memory, up to one token."""
        layout = Layout(tensor, pipeline, data)
        fit = estimate_fit(
            sizes, layout, gib, utilisation=utilisation, kv_cache_bytes=kv_cache_bytes
        )
        cache = fit.tokens * fit.kv_bytes_per_token / GIB
        token = fit.kv_bytes_per_token / GIB
        assert 0 <= max(fit.room_gib, 0) - cache < token + 1e-9
        least, most = fit.tokens_range
        assert least <= fit.tokens <= most
        assert (most - least) * token <= 2 * OVERHEAD_ERROR_GIB + token

    @given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 61), st.integers(1, 4), st.booleans())
    @settings(max_examples=examples(60), deadline=None)
    def test_all_gpus_together_hold_the_whole_model(
        self, tensor: int, pipeline: int, data: int, spread: bool
    ) -> None:
        """No weight is on no GPU, and with TP and PP alone hardly one on two."""
        experts = tensor * data if spread else 1
        layout = Layout(tensor, pipeline, data, experts)
        held = fit_on("h200", FP8, layout).weights_gib * GIB * layout.world_size
        assert held >= FP8.total_bytes * 0.999999
        uneven = -(-61 // pipeline) * pipeline / 61
        if data == 1 and not spread:
            assert held == pytest.approx(FP8.total_bytes * uneven)

    def test_pipeline_stages_divide_the_layers_and_their_cache(self) -> None:
        """The fullest of two stages has 31 of 61 layers."""
        one, two = fit_on("h200", FP8, TP8), fit_on("h200", FP8, Layout(8, 2))
        assert two.weights_gib == pytest.approx(one.weights_gib * 31 / 61)
        assert two.kv_bytes_per_token == pytest.approx(70_272 * 31 / 61)

    def test_tensor_parallel_ranks_each_hold_the_whole_cache_decode_contexts_a_part(self) -> None:
        assert fit_on("h200", FP8, TP16).kv_bytes_per_token == 70_272
        parts = Layout(16, decode_context_parallel=8)
        assert fit_on("h200", FP8, parts).kv_bytes_per_token == 70_272 / 8

    def test_redundant_experts_weigh(self) -> None:
        plain = fit_on("h200", FP8, Layout(1, data_parallel=96, expert_parallel=96))
        redundant = fit_on(
            "h200",
            FP8,
            Layout(1, data_parallel=96, expert_parallel=96, redundant_experts=96),
        )
        expert = FP8.routed_bytes / 384 / GIB
        assert redundant.weights_gib - plain.weights_gib == pytest.approx(expert)


class TestExplained:
    def test_the_sum_is_readable(self) -> None:
        assert explain_fit(fit_on("h20", FP8, TP16)) == [
            "One GPU of TP16:",
            "      86.0 GiB  usable: 95.6 GiB × 0.9",
            "-     59.9 GiB  weights",
            "-     10.4 GiB  overhead, ± 5 GiB: from one case",
            "=     15.7 GiB  for the KV cache",
            "    70,272 B    of it for one token (BF16)",
            "   240,101 tokens fit (163,702 to 316,500 within the error)",
            "   131,072 tokens are the wanted context (8.6 GiB): fits",
        ]

    def test_data_parallel_ranks_and_an_fp8_cache_are_named(self) -> None:
        text = "\n".join(explain_fit(fit_on("h200", FP8, DP_EP_16, kv_cache_bytes=1)))
        assert "TP1·DP16·EP16" in text
        assert "in each of 16 data-parallel ranks" in text
        assert "(FP8)" in text


class TestNearest:
    """A refusal names plans that fit."""

    def changes(self, sizes: ModelSizes, refused: Fit, nodes: int) -> list[str]:
        found = alternatives(sizes, refused, nodes=nodes, gpus_per_node=8)
        return [alternative.change for alternative in found]

    def test_fp8_on_8_h200_wants_a_second_node(self) -> None:
        refused = fit_on("h200", FP8, TP8)
        assert self.changes(FP8, refused, 1) == ["TP16 on 2 nodes (--nodes 2)"]

    def test_beyond_16_gpus_pipeline_stages_are_added(self) -> None:
        refused = fit_on("h200", BF16, TP16)
        assert self.changes(BF16, refused, 2) == ["TP8·PP3 on 3 nodes (--nodes 3)"]

    def test_data_parallel_that_is_too_large_fits_as_tensor_parallel(self) -> None:
        refused = fit_on("h20", FP8, DP_EP_16)
        assert self.changes(FP8, refused, 2)[:2] == ["TP16", "TP16 with an FP8 KV cache"]

    def test_a_cache_that_is_too_large_fits_in_fp8(self) -> None:
        refused = fit_on("h20", INT4, TP8, context=40 * KIB)
        assert refused.verdict is Verdict.TIGHT
        nearest, *_ = alternatives(INT4, refused, nodes=1, gpus_per_node=8)
        assert nearest.fit.verdict is Verdict.FITS
        assert "an FP8 KV cache" in self.changes(INT4, refused, 1)

    def test_a_smaller_context_is_offered_as_large_as_fits(self) -> None:
        refused = fit_on("h20", INT4, TP8)
        found = alternatives(INT4, refused, nodes=1, gpus_per_node=8)
        (smaller,) = [
            each for each in found if each.change == "a context of 21,504 tokens (--context 21504)"
        ]
        assert smaller.fit.verdict is Verdict.FITS
        assert smaller.fit.context + KIB > smaller.fit.tokens_range[0]

    def test_nothing_fits_on_tiny_gpus(self) -> None:
        refused = estimate_fit(BF16, TP8, 12)
        assert alternatives(BF16, refused, nodes=1, gpus_per_node=8) == []
        (finding,) = check_fit(BF16, refused, nodes=1, gpus_per_node=8)
        assert finding.fix is None

    @given(
        st.sampled_from([FP8, INT4, BF16]),
        st.sampled_from(gpu_names()),
        st.integers(1, 3),
        st.sampled_from([4, 8]),
        st.sampled_from([1, 2]),
    )
    @settings(max_examples=examples(25), deadline=None)
    def test_what_is_offered_fits_and_can_be_divided(
        self, sizes: ModelSizes, gpu: str, nodes: int, gpus: int, kv_cache_bytes: int
    ) -> None:
        refused = fit_on(gpu, sizes, Layout(gpus, nodes), kv_cache_bytes=kv_cache_bytes)
        for each in alternatives(sizes, refused, nodes=nodes, gpus_per_node=gpus):
            assert each.fit.tokens >= each.fit.context
            assert each.fit.context <= refused.context
            assert each.fit.layout.world_size == each.nodes * gpus


class TestFindings:
    def test_what_fits_has_none(self) -> None:
        assert not list(check_fit(FP8, fit_on("h200", FP8, TP16), nodes=2, gpus_per_node=8))

    def test_weights_alone_are_too_much(self) -> None:
        (finding,) = check_fit(FP8, fit_on("h200", FP8, TP8), nodes=1, gpus_per_node=8)
        assert finding.code == "does-not-fit"
        assert "119.8 GiB of weights" in finding.message
        assert finding.fix == "TP16 on 2 nodes (--nodes 2)"

    def test_the_context_is_too_much(self) -> None:
        (finding,) = check_fit(INT4, fit_on("h20", INT4, TP8), nodes=1, gpus_per_node=8)
        assert finding.code == "does-not-fit"
        assert "98,474 tokens" in finding.message
        assert finding.fix is not None
        assert finding.fix.startswith("TP16 on 2 nodes (--nodes 2); or a context of 21,504 tokens")

    def test_tight_is_a_warning(self) -> None:
        fit = fit_on("h800", FP8, TP16, context=20 * KIB)
        (finding,) = check_fit(FP8, fit, nodes=2, gpus_per_node=8)
        assert finding.code == "fit-tight"
        assert finding.severity == "warning"

    def test_a_tight_plan_is_not_replaced_by_another(self) -> None:
        layout = Layout(16, decode_context_parallel=8)
        fit = fit_on("h800", FP8, layout, kv_cache_bytes=1)
        assert fit.verdict is Verdict.TIGHT
        (finding,) = check_fit(FP8, fit, nodes=2, gpus_per_node=8)
        assert finding.fix is not None
        assert "tight" not in finding.fix

    def test_each_way_out_is_named_once(self) -> None:
        fit = fit_on("h800", FP8, TP16, kv_cache_bytes=1)
        found = [each.change for each in alternatives(FP8, fit, nodes=2, gpus_per_node=8)]
        assert any("context" in change for change in found)
        assert len(found) == len(set(found))
