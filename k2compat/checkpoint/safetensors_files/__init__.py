"""Safetensors: headers, index and shards, and their comparison with the model."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.safetensors_files.header import (
        SafetensorsHeader,
        SafetensorsTensor,
        header_end,
        read_safetensors_from,
    )
    from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
    from k2compat.checkpoint.safetensors_files.likeness import ComparedTensor, compare_tensors
    from k2compat.checkpoint.safetensors_files.shards import SUFFIX
    from k2compat.checkpoint.safetensors_files.validate import validate_safetensors

__all__ = [
    "INDEX_FILE",
    "SUFFIX",
    "ComparedTensor",
    "SafetensorsHeader",
    "SafetensorsTensor",
    "compare_tensors",
    "header_end",
    "read_safetensors_from",
    "validate_safetensors",
]

_HOMES = {
    "ComparedTensor": "likeness",
    "INDEX_FILE": "index",
    "SUFFIX": "shards",
    "SafetensorsHeader": "header",
    "SafetensorsTensor": "header",
    "compare_tensors": "likeness",
    "header_end": "header",
    "read_safetensors_from": "header",
    "validate_safetensors": "validate",
}

__getattr__ = lazy_names(__name__, _HOMES)
