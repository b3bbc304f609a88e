"""From a strategy and given sizes to the layout of each group of nodes. Pure.

A strategy of a profile divides the GPUs by formulas ("world", "nodes"). A size of the user
replaces its formula, and the other formulas share the remaining GPUs. So the sizes are values of
the plan: the flags are rendered from them, and the checks judge them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from k2compat.launch.memory.layout import PURE_TENSOR_PARALLEL_MAX, Layout


class GivenSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Parallel sizes in flags; None: no flag gives the size.

    Attributes:
        tensor: Tensor-parallel ranks.
        counts_data: Whether `tensor` counts the data-parallel ranks of the attention, too.
        pipeline: Pipeline stages.
        data: Data-parallel ranks.
        data_everywhere: Whether each rank of a stage is a data-parallel one.
        replicas: Whole copies of the model.
        expert: Groups of experts.
        expert_everywhere: Whether each rank of a stage is a group of experts.
        redundant: Copies of experts, in each layer.
        decode_context: Parts of the KV cache.
    """

    tensor: int | None = None
    counts_data: bool = False
    pipeline: int | None = None
    data: int | None = None
    data_everywhere: bool = False
    replicas: int | None = None
    expert: int | None = None
    expert_everywhere: bool = False
    redundant: int | None = None
    decode_context: int | None = None

    def layout(self) -> Layout:
        """The layout of a command with these flags: a size without a flag is 1."""
        return _layout({"tensor_parallel": "1"}, 1, 1, 0, self)


_NONE: Final = GivenSizes()


def layouts_of(
    divisions: Mapping[str, Mapping[str, str]],
    nodes: Mapping[str, int],
    gpus_per_node: int,
    experts: int = 0,
    given: GivenSizes | None = None,
) -> Mapping[str, Layout]:
    """The layouts that a profile's strategy means on so many GPUs: group of nodes → layout.

    Args:
        divisions: Group → kind of parallelism → a number, "world", "nodes" or "gpus_per_node"; for
            redundant experts also "remainder", so many that all GPUs hold equally many, or
            "one_each", one more on every GPU.
        nodes: Group → its nodes.
        gpus_per_node: GPUs of each node.
        experts: Routed experts of one layer; 0 where they are not known.
        given: The user's sizes, which override the strategy.
    """
    return {
        group: _layout(division, nodes[group], gpus_per_node, experts, given or _NONE)
        for group, division in divisions.items()
    }


def _layout(
    division: Mapping[str, str], nodes: int, gpus_per_node: int, experts: int, given: GivenSizes
) -> Layout:
    replicas = given.replicas or 1
    formulas = {"nodes": nodes, "gpus_per_node": gpus_per_node}
    pipeline = given.pipeline or _number(division, "pipeline_parallel", formulas)
    world = nodes * gpus_per_node // replicas
    if given.tensor and not given.pipeline and division.get("pipeline_parallel") in formulas:
        data = 1 if given.counts_data else given.data or 1
        pipeline = max(1, world // (given.tensor * data))
    tensor, data = _ranks(division, max(1, world // pipeline), given)
    stage = tensor * data
    expert = min(stage, _number(division, "expert_parallel", {**formulas, "world": stage}))
    expert = stage if given.expert_everywhere else given.expert or expert
    remainder = -experts % expert
    spare = {"remainder": remainder, "one_each": remainder + expert}
    redundant = division.get("redundant_experts", "0")
    return Layout(
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        data_parallel=data,
        expert_parallel=expert,
        decode_context_parallel=given.decode_context or 1,
        redundant_experts=spare.get(redundant, 0) if given.redundant is None else given.redundant,
        replicas=replicas,
    )


def _ranks(division: Mapping[str, str], free: int, given: GivenSizes) -> tuple[int, int]:
    """Tensor- and data-parallel ranks of a stage.

    Args:
        division: The strategy's formulas.
        free: The ranks that a stage can have if all GPUs are used.
        given: The user's sizes.
    """
    divides_data = division.get("data_parallel") == "world"
    tensor, data = given.tensor, given.data
    if given.counts_data:
        stage = tensor or (free if data or divides_data or given.data_everywhere else None)
        if given.data_everywhere:
            data = stage
        if stage is not None:
            data = data or (stage if divides_data else 1)
            return max(1, stage // data), data
    if tensor is not None:
        return tensor, data or (max(1, free // tensor) if divides_data else 1)
    if data is not None:
        whole = division["tensor_parallel"] != "1" or divides_data
        return (max(1, free // data) if whole else 1), data
    return (1, free) if divides_data else (_tensor(division, free), 1)


def _tensor(division: Mapping[str, str], free: int) -> int:
    """All ranks of a stage: "world" and "gpus_per_node" mean the same once the stages are known."""
    return 1 if division["tensor_parallel"] == "1" else free


def _number(division: Mapping[str, str], kind: str, formulas: Mapping[str, int]) -> int:
    size = division.get(kind, "1")
    return formulas[size] if size in formulas else int(size)


def default_strategy(offered: Mapping[str, object], nodes: int, gpus_per_node: int) -> str:
    """The plainest strategy that can use all GPUs: pure TP up to 16, then with PP, then EP."""
    wanted = ("tp", "tp-pp", "dp-ep")
    if nodes * gpus_per_node > PURE_TENSOR_PARALLEL_MAX:
        wanted = ("tp-pp", "dp-ep", "tp")
    return next(strategy for strategy in wanted if strategy in offered)
