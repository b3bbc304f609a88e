"""Checkpoints on disk or on the Hub: headers in, findings out. Weights are never loaded.

    from k2compat.checkpoint import expected_tensors, open_checkpoint, validate

The names are loaded when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k2compat.checkpoint.checkpoint import Checkpoint, open_checkpoint
    from k2compat.checkpoint.model.loaded_bytes import LoadedBytes, loaded_bytes
    from k2compat.checkpoint.model.tensors import ExpectedTensor, expected_tensors
    from k2compat.checkpoint.reporting.report import Validation
    from k2compat.checkpoint.validation import validate

__all__ = [
    "Checkpoint",
    "ExpectedTensor",
    "LoadedBytes",
    "Validation",
    "expected_tensors",
    "loaded_bytes",
    "open_checkpoint",
    "validate",
]

_HOMES = {
    "Checkpoint": "checkpoint",
    "ExpectedTensor": "model.tensors",
    "LoadedBytes": "model.loaded_bytes",
    "Validation": "reporting.report",
    "expected_tensors": "model.tensors",
    "loaded_bytes": "model.loaded_bytes",
    "open_checkpoint": "checkpoint",
    "validate": "validation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
