"""Validation of adapters, drafts and MLX conversions by the shapes that configs give."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from k2compat.checkpoint.companions import ReadConfig, read_config
from k2compat.checkpoint.safetensors_files.contents import CheckpointContents
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.foreign.expectations import (
    Expectation,
    expect_eagle3,
    expect_lora,
    layer_of,
)
from k2compat.checkpoint.safetensors_files.foreign.mlx import expect_mlx
from k2compat.checkpoint.safetensors_files.foreign.recognition import ForeignFolder
from k2compat.checkpoint.safetensors_files.header import SafetensorsTensor
from k2compat.checkpoint.safetensors_files.summary import group
from k2compat.findings import Finding

_ADAPTER_CONFIG: Final = "adapter_config.json"


def judge_foreign(
    folder: ForeignFolder, contents: CheckpointContents, model: Mapping[str, Any] | None
) -> tuple[tuple[Finding, ...], int]:
    """The findings about the tensors of a foreign folder, and how many were judged.

    Args:
        folder: Its kind.
        contents: Its files, which are small.
        model: The members of a config that the user named, or else of the folder's config.
    """
    if folder.judged_as not in ("lora", "eagle3", "mlx"):
        return (), 0
    tensors = list(contents.tensors)
    if folder.judged_as == "lora":
        read = read_config(contents.source, _ADAPTER_CONFIG)
        names = [tensor.name for tensor in tensors]
        expected = expect_lora(names, read.members or {}, model)
    elif folder.judged_as == "mlx":
        read = ReadConfig(model, contents.root)  # whose findings are reported elsewhere
        expected = expect_mlx({tensor.name: tensor.shape for tensor in tensors}, model or {})
    else:
        read = read_config(contents.source)
        own = read.members or {}
        expected = expect_eagle3(own, None if model == own else model, tensors)
    judged = sum(one.name in expected.shapes or one.name in expected.strangers for one in tensors)
    return (*read.findings, *group(contents.root, _deviations(tensors, expected))), judged


def _deviations(
    tensors: Sequence[SafetensorsTensor], expected: Expectation
) -> Iterator[TensorDeviation]:
    yield from expected.deviations
    held = set()
    for tensor in tensors:
        held.add(tensor.name)
        shape = expected.shapes.get(tensor.name)
        if tensor.name in expected.strangers:
            yield _deviation(Deviation.UNEXPECTED, tensor.name)
        elif shape is not None and not _fits(shape, tensor.shape):
            yield _deviation(Deviation.SHAPE, tensor.name, _shown(shape), _shown(tensor.shape))
    for name in expected.shapes:
        if name in expected.required and name not in held:
            yield _deviation(Deviation.MISSING, name)


def _deviation(
    deviation: Deviation, name: str, expected: str = "", actual: str = ""
) -> TensorDeviation:
    return TensorDeviation(deviation, name, layer_of(name), "", None, expected, actual)


def _fits(expected: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(expected) == len(shape) and all(
        size is None or size == actual for size, actual in zip(expected, shape, strict=True)
    )


def _shown(shape: Iterable[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
