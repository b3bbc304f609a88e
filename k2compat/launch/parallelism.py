"""How a strategy divides the GPUs of a group of nodes."""

from collections.abc import Mapping

from k2compat.launch.layout import Layout

PURE_TENSOR_PARALLEL_MAX = 16
"""FP8 blocks are 128 wide: 2048 / 16 is a block, 2048 / 32 is none (the guide: "≤ 16")."""


def layout_of(division: Mapping[str, str], nodes: int, gpus_per_node: int) -> Layout:
    """The layout that a profile's strategy means on so many GPUs.

    Args:
        division: Kind of parallelism → "world", "nodes", "gpus_per_node" or a number.
        nodes: Nodes of the group.
        gpus_per_node: GPUs of each.
    """
    sizes = {"world": nodes * gpus_per_node, "nodes": nodes, "gpus_per_node": gpus_per_node}
    return Layout(**{kind: sizes.get(size) or int(size) for kind, size in division.items()})


def default_strategy(offered: Mapping[str, object], nodes: int, gpus_per_node: int) -> str:
    """The plainest strategy that can use all GPUs: pure TP up to 16, then with PP, then EP."""
    wanted = ("tp", "tp-pp", "dp-ep")
    if nodes * gpus_per_node > PURE_TENSOR_PARALLEL_MAX:
        wanted = ("tp-pp", "dp-ep", "tp")
    return next(strategy for strategy in wanted if strategy in offered)
