"""How a model is divided among GPUs, and what can be divided so."""

from collections.abc import Iterator, Mapping
from math import ceil

import msgspec

from k2compat.findings import Codes, Finding
from k2compat.launch.memory.sizes import ModelDimensions

_codes = Codes("launch")


class Layout(msgspec.Struct, frozen=True):
    """The parallel sizes of one engine (a replica, or the prefill or decode side of one).

    Attention decides what a size means. SGLang's `--tp-size 32 --dp-size 32
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
    """

    tensor_parallel: int
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    decode_context_parallel: int = 1
    redundant_experts: int = 0

    @property
    def world_size(self) -> int:
        """GPUs of the whole layout."""
        return self.stage_size * self.pipeline_parallel

    @property
    def stage_size(self) -> int:
        """GPUs of one pipeline stage."""
        return self.tensor_parallel * self.data_parallel

    def __str__(self) -> str:
        """As people write it: TP8·PP2, or TP1·DP16·EP16."""
        further = (
            ("PP", self.pipeline_parallel),
            ("DP", self.data_parallel),
            ("EP", self.expert_parallel),
            ("DCP", self.decode_context_parallel),
        )
        parts = [f"{name}{size}" for name, size in further if size > 1]
        return "·".join((f"TP{self.tensor_parallel}", *parts))


def check_divisibility(
    sizes: ModelDimensions, layout: Layout, nodes: int, gpus_per_node: int
) -> Iterator[Finding]:
    """Find what of the model or the cluster a layout does not divide.

    Args:
        sizes: The model.
        layout: How it is to be divided.
        nodes: Nodes of this layout.
        gpus_per_node: GPUs used on each of them.
    """
    yield from _check_world(layout, nodes * gpus_per_node, nodes, gpus_per_node)
    yield from _check_heads(sizes, layout)
    yield from _check_widths(sizes, layout)
    yield from _check_experts(sizes, layout)
    yield from _check_stages(sizes, layout)


def _check_world(layout: Layout, gpus: int, nodes: int, gpus_per_node: int) -> Iterator[Finding]:
    if layout.world_size != gpus:
        yield _codes.finding(
            "world-size-mismatch",
            str(layout),
            f"{layout} is for {layout.world_size} GPUs; {nodes} nodes with {gpus_per_node} GPUs "
            f"each have {gpus}.",
            expected=f"TP × PP × DP = {gpus}",
            actual=f"{layout.tensor_parallel} × {layout.pipeline_parallel} × "
            f"{layout.data_parallel} = {layout.world_size}",
        )


def _check_heads(sizes: ModelDimensions, layout: Layout) -> Iterator[Finding]:
    ranks = layout.tensor_parallel
    if sizes.heads % ranks:
        yield _codes.finding(
            "heads-not-divisible",
            str(layout),
            f"{sizes.heads} attention heads cannot be shared by {ranks} tensor-parallel ranks.",
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
    """Each rank's part of an MLP must be whole blocks of the quantisation.

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
                fix=_other_division(width, block, ranks, name, layout),
            )


def _other_division(width: int, block: int, ranks: int, name: str, layout: Layout) -> str | None:
    """A division that cuts a width into whole blocks; None where none has fewer ranks.

    It is found in the model's own numbers: at TP8 the advice "up to 16" would name what the plan
    has already.
    """
    fits = [count for count in range(1, ranks) if width % (count * block) == 0]
    if not fits:
        return None
    if name.startswith("moe") and layout.tensor_parallel < ranks:
        wanted = layout.stage_size // fits[-1]
        return f"Use expert parallelism {wanted}, so that {fits[-1]} ranks share an expert."
    return (
        f"Use tensor parallelism {fits[-1]}; use the other GPUs for pipeline or data parallelism."
    )


def _check_experts(sizes: ModelDimensions, layout: Layout) -> Iterator[Finding]:
    experts = sizes.experts + layout.redundant_experts
    if experts % layout.expert_parallel:
        spare = -experts % layout.expert_parallel
        yield _codes.finding(
            "experts-not-divisible",
            str(layout),
            f"{sizes.experts} routed and {layout.redundant_experts} redundant experts cannot be "
            f"spread evenly over {layout.expert_parallel} expert-parallel ranks.",
            expected=f"a multiple of {layout.expert_parallel}",
            actual=str(experts),
            fix=f"Use {layout.redundant_experts + spare} redundant experts.",
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
            f"{layout.pipeline_parallel} pipeline stages cannot share {sizes.layers} layers.",
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
    """Find SGLang's sizes of a whole server that its data-parallel ranks cannot share.

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
                f"{flag} {size} cannot be shared evenly by {data_parallel} data-parallel ranks.",
                expected=f"a multiple of {data_parallel}",
                actual=str(size),
                fix=("--set", f"{flag[2:]}={ceil(size / data_parallel) * data_parallel}"),
            )
    each = (max_running_requests or 0) // data_parallel
    limits = {"the largest CUDA graph": largest_cuda_graph, "the DeepEP limit": dispatch_tokens}
    for name, limit in limits.items():
        if limit is not None and each > limit:
            yield _codes.finding(
                "batch-exceeds-rank",
                "--max-running-requests",
                f"{max_running_requests} requests on {data_parallel} ranks are {each} each; "
                f"{name} is {limit}.",
                expected=f"at most {limit * data_parallel}",
                actual=str(max_running_requests),
                fix=("--set", f"max-running-requests={limit * data_parallel}"),
            )


PURE_TENSOR_PARALLEL_MAX = 16
"""FP8 blocks are 128 wide: 2048 / 16 is a block, 2048 / 32 is none (the guide: "≤ 16")."""


def layouts_of(
    divisions: Mapping[str, Mapping[str, str]],
    nodes: Mapping[str, int],
    gpus_per_node: int,
    experts: int = 0,
) -> Mapping[str, Layout]:
    """The layouts that a profile's strategy means on so many GPUs: group of nodes → layout.

    Args:
        divisions: Group → kind of parallelism → a number, "world", "nodes" or "gpus_per_node"; for
            redundant experts also "remainder", so many that all GPUs hold equally many, or
            "one_each", one more on every GPU.
        nodes: Group → its nodes.
        gpus_per_node: GPUs of each node.
        experts: Routed experts of one layer; 0 where they are not known.
    """
    return {
        group: _layout(division, nodes[group], gpus_per_node, experts)
        for group, division in divisions.items()
    }


def _layout(division: Mapping[str, str], nodes: int, gpus_per_node: int, experts: int) -> Layout:
    world = nodes * gpus_per_node
    remainder = -experts % world
    sizes = {
        "world": world,
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "remainder": remainder,
        "one_each": remainder + world,
    }
    return Layout(
        **{kind: sizes[size] if size in sizes else int(size) for kind, size in division.items()}
    )


def default_strategy(offered: Mapping[str, object], nodes: int, gpus_per_node: int) -> str:
    """The plainest strategy that can use all GPUs: pure TP up to 16, then with PP, then EP."""
    wanted = ("tp", "tp-pp", "dp-ep")
    if nodes * gpus_per_node > PURE_TENSOR_PARALLEL_MAX:
        wanted = ("tp-pp", "dp-ep", "tp")
    return next(strategy for strategy in wanted if strategy in offered)
