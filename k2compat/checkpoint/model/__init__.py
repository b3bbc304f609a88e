"""What the config describes: sizes, quantisation, and every tensor with name, shape and dtypes."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.model.architecture import Architecture, read_architecture
    from k2compat.checkpoint.model.dtypes import DTYPE_BITS
    from k2compat.checkpoint.model.ignore_list import IgnoreList
    from k2compat.checkpoint.model.parameters import model_elements
    from k2compat.checkpoint.model.quantization import PLAIN, Quantization, without_ignore_list
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
    "Quantization",
    "expected_blocks",
    "expected_tensors",
    "model_elements",
    "read_architecture",
    "without_ignore_list",
]

_HOMES = {
    "Architecture": "architecture",
    "Block": "tensors",
    "DTYPE_BITS": "dtypes",
    "ExpectedTensor": "tensors",
    "IgnoreList": "ignore_list",
    "Kind": "tensors",
    "MTP": "tensors",
    "PLAIN": "quantization",
    "Quantization": "quantization",
    "TEXT_LAYERS": "tensors",
    "VISION": "tensors",
    "VISION_LAYERS": "tensors",
    "expected_blocks": "tensors",
    "expected_tensors": "tensors",
    "model_elements": "parameters",
    "read_architecture": "architecture",
    "without_ignore_list": "quantization",
}

__getattr__ = lazy_names(__name__, _HOMES)
