"""The division of a model among GPUs, and its checks."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Final

import msgspec

from k2compat.findings import Codes, Finding
from k2compat.launch.memory.sizes import ModelDimensions
from k2compat.printable import counted

_codes = Codes("launch")

PURE_TENSOR_PARALLEL_MAX: Final = 16
"""FP8 blocks are 128 wide: 2048 / 16 is a block, 2048 / 32 is none (the guide: "≤ 16")."""


class Layout(msgspec.Struct, frozen=True):
    """The parallel sizes of one engine (a replica, or the prefill or decode side of one).

    The sizes are those of the attention. SGLang's `--tp-size 32 --dp-size 32
    --enable-dp-attention` is `Layout(1, data_parallel=32, expert_parallel=32)`: each GPU runs
    the attention of its own requests.

    Attributes:
        tensor_parallel: Ranks that share the attention heads of one request.
        pipeline_parallel: Stages, each with its part of the layers.
        data_parallel: Ranks (groups of tensor-parallel ones) with requests of their own.
        expert_parallel: Groups among which whole routed experts are spread; 1: each expert is
            cut among all ranks of a stage.
        decode_context_parallel: Parts into which the tensor-parallel ranks cut the KV cache.
        redundant_experts: Copies of routed experts beyond the model's own, in each layer.
        replicas: Whole copies of the model, each with all of the above on GPUs of its own.
    """

    tensor_parallel: int
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    decode_context_parallel: int = 1
    redundant_experts: int = 0
    replicas: int = 1

    @property
    def world_size(self) -> int:
        """GPUs of the whole layout, of all replicas."""
        return self.stage_size * self.pipeline_parallel * self.replicas

    @property
    def stage_size(self) -> int:
        """GPUs of one pipeline stage."""
        return self.tensor_parallel * self.data_parallel

    def __str__(self) -> str:
        """The usual short form: TP8·PP2, or TP1·DP16·EP16."""
        further = (
            ("PP", self.pipeline_parallel),
            ("DP", self.data_parallel),
            ("EP", self.expert_parallel),
            ("DCP", self.decode_context_parallel),
        )
        parts = [f"{name}{size}" for name, size in further if size > 1]
        copies = [] if self.replicas == 1 else [counted(self.replicas, "replica")]
        return "·".join((f"TP{self.tensor_parallel}", *parts, *copies))


def check_divisibility(
    sizes: ModelDimensions,
    layout: Layout,
    nodes: int,
    gpus_per_node: int,
    *,
    uneven_experts: bool = False,
) -> Iterator[Finding]:
    """Find parts of the model or the cluster that a layout does not divide evenly.

    All findings on the sizes have the same fix, a layout for the same GPUs without these findings.
    Separate fixes could contradict each other: 2048 / 32 would give 16 ranks, 18432 / 32 would
    give 24 or 48.

    Args:
        sizes: The model.
        layout: How it is to be divided.
        nodes: Nodes of this layout.
        gpus_per_node: GPUs used on each of them.
        uneven_experts: Whether the engine gives some ranks an expert more than others.
    """
    world = check_world_size(layout, nodes, gpus_per_node)
    found = [*world, *_check_sizes(sizes, layout, uneven_experts=uneven_experts)]
    if found:
        better = _similar_layout(sizes, layout, nodes, gpus_per_node)
        fix = None if better is None else f"Divide it as {better}."
        yield from (each if each.fix else replace(each, fix=fix) for each in found)


def _check_sizes(
    sizes: ModelDimensions, layout: Layout, *, uneven_experts: bool = False
) -> Iterator[Finding]:
    yield from _check_heads(sizes, layout)
    yield from _check_widths(sizes, layout)
    yield from _check_experts(sizes, layout, uneven=uneven_experts)
    yield from _check_stages(sizes, layout)


def check_world_size(layout: Layout, nodes: int, gpus_per_node: int) -> Iterator[Finding]:
    """Find a layout for another number of GPUs."""
    gpus = nodes * gpus_per_node
    if layout.world_size != gpus:
        copies = f" × {layout.replicas}" if layout.replicas > 1 else ""
        yield _codes.finding(
            "world-size-mismatch",
            str(layout),
            f"{layout} is for {counted(layout.world_size, 'GPU')}; "
            f"{nodes} × {gpus_per_node} are {gpus}.",
            expected=f"TP × PP × DP = {gpus}",
            actual=f"{layout.tensor_parallel} × {layout.pipeline_parallel} × "
            f"{layout.data_parallel}{copies} = {layout.world_size}",
        )


def _similar_layout(
    sizes: ModelDimensions, layout: Layout, nodes: int, gpus_per_node: int
) -> Layout | None:
    """A layout for all of these GPUs that the model allows, of the same kind where there is one."""
    for candidate in _candidates(layout, nodes, gpus_per_node):
        if not any(_check_sizes(sizes, candidate)):
            return candidate
    return None


def _candidates(layout: Layout, nodes: int, gpus_per_node: int) -> Iterator[Layout]:
    """With data parallelism whole experts on each rank; then TP in a node, PP over the nodes."""
    gpus = nodes * gpus_per_node
    tensors = [size for size in range(1, gpus + 1) if gpus % size == 0]
    if layout.data_parallel > 1 or layout.expert_parallel > 1:
        for tensor in tensors:
            yield Layout(tensor, data_parallel=gpus // tensor, expert_parallel=gpus)
    if gpus > PURE_TENSOR_PARALLEL_MAX:
        yield Layout(gpus_per_node, nodes)
    for tensor in reversed(tensors):
        yield Layout(tensor, gpus // tensor)


def _check_heads(sizes: ModelDimensions, layout: Layout) -> Iterator[Finding]:
    ranks = layout.tensor_parallel
    if sizes.heads % ranks:
        yield _codes.finding(
            "heads-not-divisible",
            str(layout),
            f"{counted(sizes.heads, 'attention head')} cannot be shared by "
            f"{counted(ranks, 'tensor-parallel rank')}.",
            expected=f"a divisor of {sizes.heads}",
            actual=f"TP {ranks}",
        )
    if ranks % layout.decode_context_parallel:
        yield _codes.finding(
            "context-parallel-not-divisible",
            str(layout),
            f"Decode context parallelism {layout.decode_context_parallel} does not divide the "
            f"{ranks} tensor-parallel ranks whose KV cache it cuts.",
            expected=f"a divisor of {ranks}",
            actual=f"DCP {layout.decode_context_parallel}",
        )


def _check_widths(sizes: ModelDimensions, layout: Layout) -> Iterator[Finding]:
    """Check that each rank's part of an MLP consists of whole blocks of the quantisation.

    The routed experts are cut among the ranks of one expert group, everything else among the
    tensor-parallel ranks; the routed and shared experts have one width. What the quantisation
    leaves unquantised has no blocks.
    """
    expert_ranks = max(1, layout.stage_size // layout.expert_parallel)
    quantised_elsewhere = sizes.precision == "fp8"
    cut = {
        "moe_intermediate_size": max(
            expert_ranks, layout.tensor_parallel if quantised_elsewhere else 1
        ),
        "intermediate_size": layout.tensor_parallel,
    }
    blocks = {
        "moe_intermediate_size": sizes.block,
        "intermediate_size": sizes.block if quantised_elsewhere else 1,
    }
    for name, width in sizes.widths.items():
        ranks, block = cut[name], blocks[name]
        if width % (ranks * block):
            yield _codes.finding(
                "block-not-divisible",
                str(layout),
                f"{name} {width} cut among {ranks} ranks is {width / ranks:g} for each, which is "
                f"no multiple of the {sizes.precision.upper()} block of {block}.",
                expected=f"a multiple of {block}",
                actual=f"{width} / {ranks} = {width / ranks:g}",
            )


def _check_experts(sizes: ModelDimensions, layout: Layout, *, uneven: bool) -> Iterator[Finding]:
    experts = sizes.experts + layout.redundant_experts
    if experts % layout.expert_parallel and not (uneven and experts >= layout.expert_parallel):
        spare = -experts % layout.expert_parallel
        yield _codes.finding(
            "experts-not-divisible",
            str(layout),
            f"{sizes.experts} routed and "
            f"{counted(layout.redundant_experts, 'redundant expert')} cannot be "
            f"spread evenly over {counted(layout.expert_parallel, 'expert-parallel rank')}.",
            expected=f"a multiple of {layout.expert_parallel}",
            actual=str(experts),
            fix=f"Use {counted(layout.redundant_experts + spare, 'redundant expert')}.",
        )
    if layout.stage_size % layout.expert_parallel:
        yield _codes.finding(
            "expert-groups-mismatch",
            str(layout),
            f"Expert parallelism {layout.expert_parallel} does not divide the "
            f"{layout.stage_size} ranks of a stage.",
            expected=f"a divisor of {layout.stage_size}",
            actual=f"EP {layout.expert_parallel}",
        )


def _check_stages(sizes: ModelDimensions, layout: Layout) -> Iterator[Finding]:
    if layout.pipeline_parallel > sizes.layers:
        yield _codes.finding(
            "stages-exceed-layers",
            str(layout),
            f"{counted(layout.pipeline_parallel, 'pipeline stage')} cannot share "
            f"{counted(sizes.layers, 'layer')}.",
            expected=f"at most {sizes.layers}",
            actual=f"PP {layout.pipeline_parallel}",
        )


def check_batch_sizes(
    data_parallel: int,
    *,
    max_running_requests: int | None = None,
    chunked_prefill_size: int | None = None,
    largest_cuda_graph: int | None = None,
    dispatch_tokens: int | None = None,
) -> Iterator[Finding]:
    """Find SGLang's sizes of a whole server that its data-parallel ranks cannot divide evenly.

    Under DP attention `--max-running-requests` and `--chunked-prefill-size` are those of the
    server and divided by the ranks. In the deployment guide 46080 requests on 96 ranks are 480
    each, its CUDA graph size and its DeepEP dispatch limit; 131072 / 32 is 4096.

    Args:
        data_parallel: The ranks.
        max_running_requests: Requests at once, of the server.
        chunked_prefill_size: Tokens of one prefill chunk, of the server.
        largest_cuda_graph: The largest batch with a CUDA graph, of one rank.
        dispatch_tokens: SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK.
    """
    shared = {
        "--max-running-requests": max_running_requests,
        "--chunked-prefill-size": chunked_prefill_size,
    }
    for flag, size in shared.items():
        if size is not None and size % data_parallel:
            yield _codes.finding(
                "batch-not-divisible",
                flag,
                f"{flag} {size} cannot be shared evenly by "
                f"{counted(data_parallel, 'data-parallel rank')}.",
                expected=f"a multiple of {data_parallel}",
                actual=str(size),
                fix=("--set", f"{flag[2:]}={ceil(size / data_parallel) * data_parallel}"),
            )
    requests = max_running_requests or 0
    each = requests // data_parallel
    limits = {"the largest CUDA graph": largest_cuda_graph, "the DeepEP limit": dispatch_tokens}
    for name, limit in limits.items():
        if limit is not None and each > limit:
            yield _codes.finding(
                "batch-exceeds-rank",
                "--max-running-requests",
                f"{counted(requests, 'request')} on {counted(data_parallel, 'rank')} make "
                f"{each} each; {name} is {limit}.",
                expected=f"at most {limit * data_parallel}",
                actual=str(requests),
                fix=("--set", f"max-running-requests={limit * data_parallel}"),
            )
