"""What the config describes: sizes, quantisation, and every tensor with name, shape and dtypes."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.model.architecture import Architecture, read_architecture
    from k2compat.checkpoint.model.dtypes import DTYPE_BITS
    from k2compat.checkpoint.model.ignore_list import IgnoreList
    from k2compat.checkpoint.model.parameters import model_elements
    from k2compat.checkpoint.model.quantization import PLAIN, Quantization, without_ignore_list
    from k2compat.checkpoint.model.shapes import Sum, evaluate, parse_sum, text_of
    from k2compat.checkpoint.model.tensors import (
        MTP,
        TEXT_LAYERS,
        VISION,
        VISION_LAYERS,
        Block,
        ExpectedTensor,
        Kind,
        expected_blocks,
        expected_tensors,
    )
    from k2compat.checkpoint.model.weight_bytes import LoadedBytes, loaded_bytes

__all__ = [
    "DTYPE_BITS",
    "MTP",
    "PLAIN",
    "TEXT_LAYERS",
    "VISION",
    "VISION_LAYERS",
    "Architecture",
    "Block",
    "ExpectedTensor",
    "IgnoreList",
    "Kind",
    "LoadedBytes",
    "Quantization",
    "Sum",
    "evaluate",
    "expected_blocks",
    "expected_tensors",
    "loaded_bytes",
    "model_elements",
    "parse_sum",
    "read_architecture",
    "text_of",
    "without_ignore_list",
]

_HOMES = {
    "Architecture": "architecture",
    "Block": "tensors",
    "DTYPE_BITS": "dtypes",
    "ExpectedTensor": "tensors",
    "IgnoreList": "ignore_list",
    "Kind": "tensors",
    "LoadedBytes": "weight_bytes",
    "MTP": "tensors",
    "PLAIN": "quantization",
    "Quantization": "quantization",
    "Sum": "shapes",
    "TEXT_LAYERS": "tensors",
    "VISION": "tensors",
    "VISION_LAYERS": "tensors",
    "evaluate": "shapes",
    "expected_blocks": "tensors",
    "expected_tensors": "tensors",
    "loaded_bytes": "weight_bytes",
    "model_elements": "parameters",
    "parse_sum": "shapes",
    "read_architecture": "architecture",
    "text_of": "shapes",
    "without_ignore_list": "quantization",
}

__getattr__ = lazy_names(__name__, _HOMES)
