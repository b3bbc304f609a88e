"""Validation of a folder of GGUFs: headers, split sets, tensors, metadata and config."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from k2compat.checkpoint.companions import ReadConfig
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufHeader, read_gguf_from
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.reporting import (
    UNKNOWN_VARIANT,
    Coverage,
    FileSummary,
    Progress,
    Validation,
)
from k2compat.checkpoint.sampling import SampledTensor, Sampler
from k2compat.checkpoint.sources import ReadableFile, Source, is_single_file
from k2compat.findings import Report

GGUF = "gguf"


@dataclass(frozen=True, slots=True)
class GgufContents:
    """The headers of GGUFs, read once.

    Attributes:
        headers: Path, as findings name it → header.
        files: The files.
    """

    headers: Mapping[str, GgufHeader]
    files: tuple[FileSummary, ...]


def read_ggufs(source: Source, progress: Progress, sampler: Sampler | None = None) -> GgufContents:
    """Read the headers of a folder of GGUFs, split sets included, or of a single file.

    Args:
        source: The files.
        progress: Called after each file.
        sampler: Samples the data of each file while it is open.
    """
    names = sorted(name for name in source.files if name.endswith(".gguf"))
    then = None if sampler is None else partial(_sample, sampler)
    headers: dict[str, GgufHeader] = {}
    files = []
    for done, name in enumerate(names, start=1):
        path = source.name if is_single_file(source) else f"{source.name}/{name}"
        headers[path] = header = read_gguf_from(source.open(name), path, then)
        files.append(FileSummary(name, source.files[name], len(header.tensors)))
        progress(done, len(names))
    return GgufContents(headers, tuple(files))


def validate_ggufs(where: str, contents: GgufContents, config: ReadConfig) -> Validation:
    """Judge GGUFs by their headers.

    Args:
        where: Names the checkpoint.
        contents: The headers.
        config: The original model's config, which the GGUFs are compared with if there is one.
    """
    headers = contents.headers
    comparison = compare_gguf(headers, config.members)
    findings = [finding for header in headers.values() for finding in header.findings]
    findings += comparison.findings
    tensors = [tensor for header in headers.values() for tensor in header.tensors]
    architecture = deepseek2().architecture
    unchecked = () if comparison.variant else (f"tensors: no file is of {architecture}",)
    is_whole = comparison.judged == comparison.tensors
    reasons = () if is_whole else (f"the others are not of {architecture}, or lack its metadata",)
    return Validation(
        source=where,
        format=GGUF,
        variant=comparison.variant or UNKNOWN_VARIANT,
        tensors=comparison.tensors,
        parameters=comparison.parameters,
        model_parameters=comparison.parameters,
        bytes=sum(0 if tensor.end is None else tensor.end - tensor.start for tensor in tensors),
        files=contents.files,
        not_checked=unchecked,
        report=Report(tuple(findings)),
        coverage=Coverage(comparison.judged, comparison.tensors, reasons),
    )


def _sample(sampler: Sampler, file: ReadableFile, header: GgufHeader) -> None:
    tensors = (
        SampledTensor(tensor.name, tensor.type_name, tensor.start, tensor.end - tensor.start)
        for tensor in header.tensors
        if tensor.end is not None
    )
    sampler.add(file, tensors, header.byte_order)
