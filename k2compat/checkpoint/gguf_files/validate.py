"""Judge a folder of GGUFs: headers, split sets, tensors against metadata and config, engines."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from k2compat.checkpoint.companions.config_file import ReadConfig
from k2compat.checkpoint.engines.gguf_verdicts import gguf_verdicts, judged_for
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufHeader, read_gguf_from
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.reporting.report import (
    UNKNOWN_VARIANT,
    Coverage,
    FileSummary,
    Progress,
    Validation,
)
from k2compat.checkpoint.sources.listing import ModelFolder
from k2compat.checkpoint.sources.source import Source
from k2compat.findings import Finding, Report

GGUF = "gguf"

_MIXED = "ktransformers-stray-safetensors"
"""Beside the GGUFs themselves, the verdict on mixed folders says it already."""


def validate_gguf(
    source: Source, config: ReadConfig, progress: Progress, engine: str | None = None
) -> Validation:
    """Judge a folder of GGUFs, split sets included, or a single file.

    Args:
        source: Its files.
        config: The original model's config, which the GGUFs are held against if there is one.
        progress: Is told about each file.
        engine: One of ENGINES: its verdicts are errors, and the others' are left out.
    """
    names = sorted(name for name in source.files if name.endswith(".gguf"))
    headers: dict[str, GgufHeader] = {}
    files = []
    for done, name in enumerate(names, start=1):
        path = _path(source, name)
        header = headers[path] = read_gguf_from(source.open(name), path)
        files.append(FileSummary(name, source.files[name], len(header.tensors)))
        progress(done, len(names))
    comparison = compare_gguf(headers, config.members)
    findings = [finding for header in headers.values() for finding in header.findings]
    findings += comparison.findings
    findings += _verdicts(source, headers, findings, engine)
    tensors = [tensor for header in headers.values() for tensor in header.tensors]
    architecture = deepseek2().architecture
    unchecked = () if comparison.variant else (f"tensors: no file is of {architecture}",)
    is_whole = comparison.judged == comparison.tensors
    reasons = () if is_whole else (f"the others are not of {architecture}, or lack its metadata",)
    return Validation(
        source=source.name,
        format=GGUF,
        variant=comparison.variant or UNKNOWN_VARIANT,
        tensors=comparison.tensors,
        parameters=comparison.parameters,
        model_parameters=comparison.parameters,
        bytes=sum(0 if tensor.end is None else tensor.end - tensor.start for tensor in tensors),
        files=tuple(files),
        not_checked=unchecked,
        report=Report(tuple(findings)),
        coverage=Coverage(comparison.judged, comparison.tensors, reasons),
    )


def _path(source: Source, name: str) -> str:
    """How findings name a file; a single one that the user named, as he named it."""
    return source.name if _is_one_file(source) else f"{source.name}/{name}"


def _is_one_file(source: Source) -> bool:
    return list(source.files) == [source.name.rpartition("/")[2]]


def _verdicts(
    source: Source,
    headers: Mapping[str, GgufHeader],
    findings: list[Finding],
    engine: str | None,
) -> Iterator[Finding]:
    folder = None if _is_one_file(source) else _folder(source)
    beside = any(name.endswith(".safetensors") and "/" not in name for name in source.files)
    for finding in judged_for(engine, gguf_verdicts(headers, findings, folder)):
        if not (beside and finding.code == _MIXED):
            yield finding


def _folder(source: Source) -> ModelFolder:
    files = {name: Path(name) for name in source.files}
    return ModelFolder(Path(source.name), files, source.linked_folders)
