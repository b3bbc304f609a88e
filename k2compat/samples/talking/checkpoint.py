"""The talking model as safetensors, written by the safetensors library."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from k2compat.checkpoint import INDEX_FILE, ExpectedTensor, expected_tensors
from k2compat.samples.checkpoint import index_bytes, shards_by_layer
from k2compat.samples.talking.number_formats import bfloat16, block_scales, float8

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.float32]]

_SCALES = "_scale_inv"

# The library's name and, after `_stored`, numpy's for the same number of bits.
_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F32": "float32"}


def weight_files(config: Mapping[str, Any], weights: "Arrays") -> dict[str, bytes]:
    """The shards and their index, by name.

    Args:
        config: Decides the names and dtypes: with a `quantization_config` of FP8 blocks each
            projection is stored so.
        weights: Every tensor that is not a scale.
    """
    required = (tensor for tensor in expected_tensors(config) if tensor.kind == "required")
    shards = shards_by_layer(required)
    return {
        INDEX_FILE: index_bytes(shards),
        **{name: _serialize(shard, weights) for name, shard in shards.items()},
    }


def _serialize(shard: Iterable[ExpectedTensor], weights: "Arrays") -> bytes:
    from safetensors import TensorSpec, serialize

    # A TensorSpec holds the address of the bytes alone: the arrays live until all is written.
    arrays = dict(_stored(shard, weights))
    specs = {
        name: TensorSpec(
            dtype=_DTYPES[dtype],
            shape=array.shape,
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for (name, dtype), array in arrays.items()
    }
    return bytes(serialize(specs, metadata={"format": "pt"}))


def _stored(
    shard: Iterable[ExpectedTensor], weights: "Arrays"
) -> "Iterator[tuple[tuple[str, str], NDArray[Any]]]":
    """Each tensor's name and dtype, and its bits."""
    for tensor in shard:
        dtype = tensor.dtypes[0]
        if tensor.name.endswith(_SCALES):
            array: NDArray[Any] = block_scales(weights[tensor.name.removesuffix(_SCALES)].shape)
        elif dtype == "F8_E4M3":
            matrix = weights[tensor.name]
            array = float8(matrix, block_scales(matrix.shape))
        else:
            array = weights[tensor.name]
            array = array if dtype == "F32" else bfloat16(array)
        yield (tensor.name, dtype), array
