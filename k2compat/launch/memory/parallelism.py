"""How a strategy divides the GPUs of a group of nodes."""

from collections.abc import Mapping

from k2compat.launch.memory.layout import Layout

PURE_TENSOR_PARALLEL_MAX = 16
"""FP8 blocks are 128 wide: 2048 / 16 is a block, 2048 / 32 is none (the guide: "≤ 16")."""


def layout_of(
    division: Mapping[str, str], nodes: int, gpus_per_node: int, experts: int = 0
) -> Layout:
    """The layout that a profile's strategy means on so many GPUs.

    Args:
        division: Kind of parallelism → a number, "world", "nodes" or "gpus_per_node"; for
            redundant experts also "remainder", so many that all GPUs hold equally many, or
            "one_each", one more on every GPU.
        nodes: Nodes of the group.
        gpus_per_node: GPUs of each.
        experts: Routed experts of one layer; 0 where they are not known.
    """
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
