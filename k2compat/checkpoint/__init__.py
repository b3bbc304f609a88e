"""Checkpoints on disk or on the Hub: headers in, findings out. Weights are never loaded.

    from k2compat.checkpoint import expected_tensors, open_checkpoint, validate

The names are loaded when they are first asked for.
"""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.companions import check_companions, described_quantization
    from k2compat.checkpoint.engines import check_ktransformers, engine_names, fold_verdicts
    from k2compat.checkpoint.gguf_files import (
        ExpectedGgufTensor,
        GgufLayout,
        config_sizes,
        config_value,
        deepseek2,
        expected_gguf_tensors,
    )
    from k2compat.checkpoint.hashes import (
        HashCheck,
        HashOutcome,
        HashPlan,
        check_hashes,
        plan_hashes,
    )
    from k2compat.checkpoint.model import (
        DTYPE_BITS,
        ExpectedTensor,
        LoadedBytes,
        expected_tensors,
        loaded_bytes,
        stored_precision,
    )
    from k2compat.checkpoint.reporting import Coverage, Validation
    from k2compat.checkpoint.safetensors_files import INDEX_FILE
    from k2compat.checkpoint.sources import (
        WEIGHT_SUFFIXES,
        BytesFile,
        FileRefusedError,
        FolderSource,
        ModelFolder,
        ReadableFile,
        Source,
        demand_content,
        open_folder_source,
        read_model_folder,
    )
    from k2compat.checkpoint.validation import UNREAD, Checkpoint, open_checkpoint, validate

__all__ = [
    "DTYPE_BITS",
    "INDEX_FILE",
    "UNREAD",
    "WEIGHT_SUFFIXES",
    "BytesFile",
    "Checkpoint",
    "Coverage",
    "ExpectedGgufTensor",
    "ExpectedTensor",
    "FileRefusedError",
    "FolderSource",
    "GgufLayout",
    "HashCheck",
    "HashOutcome",
    "HashPlan",
    "LoadedBytes",
    "ModelFolder",
    "ReadableFile",
    "Source",
    "Validation",
    "check_companions",
    "check_hashes",
    "check_ktransformers",
    "config_sizes",
    "config_value",
    "deepseek2",
    "demand_content",
    "described_quantization",
    "engine_names",
    "expected_gguf_tensors",
    "expected_tensors",
    "fold_verdicts",
    "loaded_bytes",
    "open_checkpoint",
    "open_folder_source",
    "plan_hashes",
    "read_model_folder",
    "stored_precision",
    "validate",
]

_HOMES = {
    "BytesFile": "sources",
    "Checkpoint": "validation",
    "Coverage": "reporting",
    "DTYPE_BITS": "model",
    "ExpectedGgufTensor": "gguf_files",
    "ExpectedTensor": "model",
    "FileRefusedError": "sources",
    "FolderSource": "sources",
    "GgufLayout": "gguf_files",
    "HashCheck": "hashes",
    "HashPlan": "hashes",
    "INDEX_FILE": "safetensors_files",
    "LoadedBytes": "model",
    "ModelFolder": "sources",
    "HashOutcome": "hashes",
    "ReadableFile": "sources",
    "Source": "sources",
    "UNREAD": "validation",
    "Validation": "reporting",
    "WEIGHT_SUFFIXES": "sources",
    "check_companions": "companions",
    "described_quantization": "companions",
    "check_hashes": "hashes",
    "check_ktransformers": "engines",
    "config_sizes": "gguf_files",
    "config_value": "gguf_files",
    "deepseek2": "gguf_files",
    "demand_content": "sources",
    "engine_names": "engines",
    "expected_gguf_tensors": "gguf_files",
    "expected_tensors": "model",
    "fold_verdicts": "engines",
    "loaded_bytes": "model",
    "open_checkpoint": "validation",
    "open_folder_source": "sources",
    "plan_hashes": "hashes",
    "read_model_folder": "sources",
    "validate": "validation",
    "stored_precision": "model",
}

__getattr__ = lazy_names(__name__, _HOMES)
