"""Whether a model fits: weights, overhead and KV cache against the memory of one GPU.

    tokens = (memory × utilisation − weights − overhead) / KV bytes per token

all of one GPU. The overhead (activations, CUDA graphs, communication buffers, the runtime) is
calibrated on one published figure, Kimi-K2-Thinking on 8 × H200 with TP8 and vLLM: 715,072
tokens. Other engines and batch sizes differ by several GiB, so every result has a range: a plan
fits, does not fit, or is tight. Only a plan that does not fit with the smallest overhead is
refused.
"""

from collections.abc import Iterator
from enum import StrEnum
from math import ceil

import msgspec

from k2compat.findings import Codes, Finding
from k2compat.launch.memory.drafts import DraftSizes
from k2compat.launch.memory.layout import Layout, check_divisibility
from k2compat.launch.memory.sizes import ModelSizes, model_sizes

__all__ = [
    "DEFAULT_UTILISATION",
    "Fit",
    "Layout",
    "ModelSizes",
    "Verdict",
    "check_divisibility",
    "check_sequence_count",
    "estimate_fit",
    "explain_fit",
    "model_sizes",
]

_codes = Codes("launch")

GIB = 2**30

OVERHEAD_GIB = 10.4
OVERHEAD_ERROR_GIB = 5.0

# For a plan without the flag and a parser without a default; engines' defaults are near it.
DEFAULT_UTILISATION = 0.9

# vLLM warms up with its default of up to 1024 sequences, in memory outside of its share. With 9.6
# GiB outside (16 × H20 at 0.9) that ran out of memory; with 14 GiB (H200) it did not.
# Source: Moonshot's answer to the report, --max-num-seqs 128.
DEFAULT_SEQUENCES_NEED_GIB = 10.0
SAFE_SEQUENCES = 128


class Verdict(StrEnum):
    """Whether the wanted context fits: surely, perhaps, or not."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does not fit"


class Fit(msgspec.Struct, frozen=True):
    """The sum for one GPU, the fullest of its layout.

    Attributes:
        gpu_gib: Memory of the GPU, in GiB.
        utilisation: The part of it the engine may use.
        kv_cache_bytes: Bytes of one element of the KV cache: 2 (BF16) or 1 (FP8).
        context: The longest request that must fit, in tokens.
        weights_gib: Weights on this GPU, the draft's included.
        kv_bytes_per_token: KV cache on this GPU for one token, the draft's included.
        draft: The memory of a draft; None where there is none.
        draft_gib: The draft's part of the weights.
    """

    layout: Layout
    gpu_gib: float
    utilisation: float
    kv_cache_bytes: int
    context: int
    weights_gib: float
    kv_bytes_per_token: float
    draft: DraftSizes | None = None
    draft_gib: float = 0.0

    @property
    def room_gib(self) -> float:
        """The room for the KV cache; negative if weights and overhead are too large."""
        return self.gpu_gib * self.utilisation - self.weights_gib - OVERHEAD_GIB

    @property
    def tokens(self) -> int:
        """Tokens that fit: in each data-parallel rank, for all its requests together."""
        return self._tokens(self.room_gib)

    @property
    def tokens_range(self) -> tuple[int, int]:
        """The same with the overhead at either end of its error."""
        return (
            self._tokens(self.room_gib - OVERHEAD_ERROR_GIB),
            self._tokens(self.room_gib + OVERHEAD_ERROR_GIB),
        )

    @property
    def verdict(self) -> Verdict:
        """Whether one request of the wanted context fits.

        A plan without room for the KV cache does not fit, even within the error: a server with the
        smallest overhead would run out of memory with the first longer request.
        """
        least, most = self.tokens_range
        if self.room_gib <= 0 or most < self.context:
            return Verdict.DOES_NOT_FIT
        return Verdict.FITS if least >= self.context else Verdict.TIGHT

    def _tokens(self, gib: float) -> int:
        return max(0, int(gib * GIB / self.kv_bytes_per_token))


def estimate_fit(
    sizes: ModelSizes,
    layout: Layout,
    gpu_gib: float,
    *,
    utilisation: float = DEFAULT_UTILISATION,
    kv_cache_bytes: int = 2,
    context: int | None = None,
    draft: DraftSizes | None = None,
) -> Fit:
    """Compute the sum for one GPU.

    Args:
        sizes: The model.
        layout: How it is divided.
        gpu_gib: Memory of one GPU in GiB, as the driver shows it (`gpu_memory_gib`).
        utilisation: The part of it the engine may use, above 0 and up to 1.
        kv_cache_bytes: 2 for BF16, 1 for FP8.
        context: The longest request in tokens; the model's own where None.
        draft: The memory of a draft, which is whole on the last pipeline stage.
    """
    stage = ceil(sizes.layers / layout.pipeline_parallel) / sizes.layers  # the fullest stage's part
    kv_bytes = sizes.kv_bytes_per_token(kv_cache_bytes) * stage
    drafting = 0.0
    if draft is not None:
        drafting = _draft_per_gpu(sizes, draft, layout)
        parts = min(layout.tensor_parallel, draft.cache_parts)
        kv_bytes += draft.cache_elements / parts * kv_cache_bytes
    return Fit(
        layout=layout,
        gpu_gib=gpu_gib,
        utilisation=utilisation,
        kv_cache_bytes=kv_cache_bytes,
        context=context or sizes.context,
        weights_gib=(_weights_per_gpu(sizes, layout, stage) + drafting) / GIB,
        kv_bytes_per_token=kv_bytes / layout.decode_context_parallel,
        draft=draft,
        draft_gib=drafting / GIB,
    )


def _weights_per_gpu(sizes: ModelSizes, layout: Layout, stage: float) -> float:
    """Routed experts are divided among all ranks of a stage, whole or cut; the rest by TP alone."""
    routed = sizes.routed_bytes * _experts_per_gpu(sizes, layout)
    return (routed + sizes.other_bytes / layout.tensor_parallel) * stage


def _experts_per_gpu(sizes: ModelSizes, layout: Layout) -> float:
    """The part of the routed experts' weights that the fullest GPU of a stage holds."""
    held = ceil((sizes.experts + layout.redundant_experts) / layout.expert_parallel)
    ranks_of_group = layout.stage_size / layout.expert_parallel
    return held / sizes.experts / ranks_of_group


def _draft_per_gpu(sizes: ModelSizes, draft: DraftSizes, layout: Layout) -> float:
    routed = draft.routed_bytes * _experts_per_gpu(sizes, layout)
    return routed + draft.divided_bytes / layout.tensor_parallel + draft.whole_bytes


def explain_fit(fit: Fit) -> list[str]:
    """The sum in lines, for a person."""
    usable = fit.gpu_gib * fit.utilisation
    least, most = fit.tokens_range
    ranks = fit.layout.data_parallel
    whole = "" if ranks == 1 else f", in each of {ranks} data-parallel ranks"
    kind = {1: "FP8", 2: "BF16"}.get(fit.kv_cache_bytes, f"{fit.kv_cache_bytes}-byte")
    wanted = fit.context * fit.kv_bytes_per_token / GIB
    return [
        f"One GPU of {fit.layout}:",
        f"  {usable:8.1f} GiB  usable: {fit.gpu_gib:.1f} GiB × {fit.utilisation:g}",
        f"- {fit.weights_gib:8.1f} GiB  weights{_of_draft(fit)}",
        f"- {OVERHEAD_GIB:8.1f} GiB  overhead, ± {OVERHEAD_ERROR_GIB:g} GiB: from one case",
        f"= {fit.room_gib:8.1f} GiB  for the KV cache",
        f"  {fit.kv_bytes_per_token:8,.0f} B    of it for one token ({kind})",
        f"  {fit.tokens:8,} tokens fit ({least:,} to {most:,} within the error){whole}",
        f"  {fit.context:8,} tokens are the wanted context ({wanted:.1f} GiB): {fit.verdict}",
    ]


def _of_draft(fit: Fit) -> str:
    return "" if fit.draft is None else f", {fit.draft_gib:.1f} of them the draft's"


def check_sequence_count(fit: Fit, max_num_seqs: int | None) -> Iterator[Finding]:
    """Find a vLLM plan that may run out of memory while it warms up, although the model fits.

    Args:
        fit: The plan's sum.
        max_num_seqs: The plan's --max-num-seqs; None is the engine's default.
    """
    beside = fit.gpu_gib * (1 - fit.utilisation)
    if max_num_seqs is None and beside < DEFAULT_SEQUENCES_NEED_GIB:
        yield _codes.finding(
            "sequence-count-default",
            "--max-num-seqs",
            f"The default number of sequences is warmed up beside the engine's share, where only "
            f"{beside:.1f} GiB are left.",
            expected=f"{DEFAULT_SEQUENCES_NEED_GIB:g} GiB",
            actual=f"{beside:.1f} GiB",
            fix=("--set", f"max-num-seqs={SAFE_SEQUENCES}"),
        )
