"""Checkpoints that other writers make: huggingface-hub splits them, safetensors serializes them."""

import ctypes
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import split_state_dict_into_shards_factory
from safetensors import TensorSpec, serialize

from k2compat.checkpoint.model.dtypes import DTYPE_BITS
from k2compat.checkpoint.model.tensors import ExpectedTensor, expected_tensors
from k2compat.samples import checkpoint_files

# The names that the safetensors package has for dtypes.
_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F32": "float32", "F16": "float16"}
_DTYPES |= {"I32": "int32", "U8": "uint8", "I8": "int8", "I64": "int64"}


def tensors_of(config: Mapping[str, Any]) -> list[ExpectedTensor]:
    """The tensors of a sound checkpoint, without legacy ones."""
    return [tensor for tensor in expected_tensors(config) if tensor.is_usual]


def write_checkpoint(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Iterable[ExpectedTensor],
    *,
    shard_bytes: int = 300_000,
    more_in_index: Iterable[str] = (),
) -> Path:
    """Write a checkpoint whose data are ones.

    Args:
        folder: Where to.
        config: Its config.json.
        tensors: Each is stored in the first of its dtypes.
        shard_bytes: How much a shard holds at most.
        more_in_index: Names of tensors that the index has and no shard holds.
    """
    folder.mkdir(exist_ok=True)
    for name, content in checkpoint_files().items():
        if not name.endswith((".safetensors", ".index.json", "/config.json")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps(config))
    state = {tensor.name: tensor for tensor in tensors}
    split = split_state_dict_into_shards_factory(
        state,
        get_storage_size=_bytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    data = ctypes.create_string_buffer(b"\1" * max(map(_bytes, state.values())))
    for name, held in split.filename_to_tensors.items():
        specs = {each: _spec(state[each], data) for each in held}
        (folder / name).write_bytes(serialize(specs))
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    first = min(split.filename_to_tensors)
    index["weight_map"] |= dict.fromkeys(more_in_index, first)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def _bytes(tensor: ExpectedTensor) -> int:
    return tensor.elements * DTYPE_BITS[tensor.dtypes[0]] // 8


def _spec(tensor: ExpectedTensor, data: ctypes.Array[ctypes.c_char]) -> TensorSpec:
    return TensorSpec(
        dtype=_DTYPES[tensor.dtypes[0]],
        shape=list(tensor.shape or ()),
        data_ptr=ctypes.addressof(data),
        data_len=_bytes(tensor),
    )
