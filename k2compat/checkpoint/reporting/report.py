"""What was found out about a checkpoint, as a value."""

from collections.abc import Callable
from dataclasses import dataclass

from k2compat.findings import Report

Progress = Callable[[int, int], object]
"""Takes the number of files of weights that are done, and of all."""

UNKNOWN_VARIANT = "unknown"


@dataclass(frozen=True, slots=True)
class FileSummary:
    """A file of weights.

    Attributes:
        path: Within the checkpoint.
        bytes: Its size; None where it could not be opened.
        tensors: How many its header names.
    """

    path: str
    bytes: int | None
    tensors: int


@dataclass(frozen=True, slots=True)
class StoredPart:
    """Tensors that the config has stored in one way.

    Attributes:
        name: The scheme and its programs, as "MXFP4 of AMD Quark", or "plain weights".
        tensors: Judged ones.
        bytes: Their data, as the shards hold them.
    """

    name: str
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many tensors were held against a rule.

    Attributes:
        judged: How many were.
        all: How many there are, those in files that were not or could not be read included.
        reasons: Why the others were not; empty where all were.
        parts: The judged ones by how they are stored, where more than one way is known.
    """

    judged: int
    all: int
    reasons: tuple[str, ...] = ()
    parts: tuple[StoredPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found out about a checkpoint.

    Attributes:
        source: As the user named it.
        format: "safetensors" or "gguf".
        variant: Model type and storage, as "kimi_k2 fp8"; "unknown" without a usable config.
        tensors: How many are stored.
        parameters: Elements of all stored tensors, scales and buffers included.
        model_parameters: The model's own: without scales and buffers, and a packed element
            counts as the weights that it holds.
        bytes: Of the tensors' data.
        files: The files of weights that were looked into.
        not_checked: What was not looked at, as sentences.
        report: The findings.
        coverage: Which of the tensors were judged.
    """

    source: str
    format: str
    variant: str
    tensors: int
    parameters: int
    model_parameters: int
    bytes: int
    files: tuple[FileSummary, ...]
    not_checked: tuple[str, ...]
    report: Report
    coverage: Coverage
