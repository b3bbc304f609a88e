"""The model of a config: sizes, quantisation, and every tensor with name, shape and dtypes."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.model.architecture import (
        Architecture,
        read_architecture,
    )
    from k2compat.checkpoint.model.dtypes import (
        DTYPE_BITS,
    )
    from k2compat.checkpoint.model.family_member import assume_member
    from k2compat.checkpoint.model.inference import (
        SUFFIXES,
        FoundTensor,
        fits,
        infer_storage,
        is_plain,
        possible_storages,
    )
    from k2compat.checkpoint.model.module_patterns import (
        ModulePatterns,
    )
    from k2compat.checkpoint.model.precision import stored_precision
    from k2compat.checkpoint.model.quantization import (
        PLAIN,
        SCHEMES,
        Group,
        Quantization,
        Storage,
        evaluate,
        labelled,
        shape_of,
        whole_number,
    )
    from k2compat.checkpoint.model.quantization_configs import (
        describe,
        differences,
        read_quantization,
        without_patterns,
    )
    from k2compat.checkpoint.model.tensors import (
        MTP,
        TEXT_LAYERS,
        VISION,
        VISION_LAYERS,
        Block,
        ExpectedTensor,
        Kind,
        Module,
        expected_blocks,
        expected_tensors,
        model_elements,
    )
    from k2compat.checkpoint.model.weight_bytes import LoadedBytes, loaded_bytes

__all__ = [
    "DTYPE_BITS",
    "MTP",
    "PLAIN",
    "SCHEMES",
    "SUFFIXES",
    "TEXT_LAYERS",
    "VISION",
    "VISION_LAYERS",
    "Architecture",
    "Block",
    "ExpectedTensor",
    "FoundTensor",
    "Group",
    "Kind",
    "LoadedBytes",
    "Module",
    "ModulePatterns",
    "Quantization",
    "Storage",
    "assume_member",
    "describe",
    "differences",
    "evaluate",
    "expected_blocks",
    "expected_tensors",
    "fits",
    "infer_storage",
    "is_plain",
    "labelled",
    "loaded_bytes",
    "model_elements",
    "module_tensors",
    "possible_storages",
    "read_architecture",
    "read_quantization",
    "shape_of",
    "stored_precision",
    "whole_number",
    "without_patterns",
]

_HOMES = {
    "Architecture": "architecture",
    "Block": "tensors",
    "DTYPE_BITS": "dtypes",
    "ExpectedTensor": "tensors",
    "FoundTensor": "inference",
    "Group": "quantization",
    "Kind": "tensors",
    "LoadedBytes": "weight_bytes",
    "MTP": "tensors",
    "Module": "tensors",
    "ModulePatterns": "module_patterns",
    "PLAIN": "quantization",
    "Quantization": "quantization",
    "SCHEMES": "quantization",
    "SUFFIXES": "inference",
    "Storage": "quantization",
    "TEXT_LAYERS": "tensors",
    "VISION": "tensors",
    "VISION_LAYERS": "tensors",
    "assume_member": "family_member",
    "describe": "quantization_configs",
    "differences": "quantization_configs",
    "expected_blocks": "tensors",
    "expected_tensors": "tensors",
    "loaded_bytes": "weight_bytes",
    "infer_storage": "inference",
    "is_plain": "inference",
    "labelled": "quantization",
    "model_elements": "tensors",
    "read_architecture": "architecture",
    "read_quantization": "quantization_configs",
    "without_patterns": "quantization_configs",
    "fits": "inference",
    "possible_storages": "inference",
    "module_tensors": "quantization",
    "evaluate": "quantization",
    "shape_of": "quantization",
    "whole_number": "quantization",
    "stored_precision": "precision",
}

__getattr__ = lazy_names(__name__, _HOMES)
