"""The bytes that an engine loads of a checkpoint, summed over the rules of its tensors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from k2compat.checkpoint.model.architecture import demand_architecture
from k2compat.checkpoint.model.tensors import Kind, expected_blocks

_ROUTED = "mlp.experts."


class LoadedBytes(NamedTuple):
    """The bytes of the tensors that an engine loads to serve text.

    Attributes:
        routed: Bytes of the routed experts, scales included.
        other: Bytes of everything else: attention, dense and shared MLPs, routers, embeddings.
        routed_tensors: The number of tensors of the routed experts.
    """

    routed: int
    other: int
    routed_tensors: int


def loaded_bytes(config: Mapping[str, Any]) -> LoadedBytes | None:
    """The bytes that an engine loads of a checkpoint; only its config is read.

    Tensors that engines load only for speculative decoding or for images are left out, and the
    legacy `inv_freq`. Equal layers are summed once: 2,342 rows for Kimi-K2's 139,644 tensors.

    Args:
        config: The members of a config.json.

    Returns:
        The sums; None where the tensors of the config's quantisation are not known here.

    Raises:
        RefusedError: The config describes no architecture of the family, or an absurd one;
            see `demand_architecture`.
    """
    architecture = demand_architecture(config)
    if not architecture.quantization.is_known:
        return None
    sums: dict[int, LoadedBytes] = {}
    blocks = list(expected_blocks(architecture))  # which keep the tables, and so their ids, alive
    for block in blocks:
        if id(block.kinds) not in sums:
            sums[id(block.kinds)] = _sum(block.kinds)
    parts = [sums[id(block.kinds)] for block in blocks]
    return LoadedBytes(*(sum(column) for column in zip(*parts, strict=True)))


def _sum(kinds: Mapping[str, Kind]) -> LoadedBytes:
    needed = {name: kind for name, kind in kinds.items() if kind.necessity == "required"}
    sizes = {name: kind.bytes for name, kind in needed.items()}
    routed = [size for name, size in sizes.items() if name.startswith(_ROUTED)]
    return LoadedBytes(sum(routed), sum(sizes.values()) - sum(routed), len(routed))
