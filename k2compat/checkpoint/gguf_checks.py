"""Judge a folder of GGUFs: headers, split sets, and tensors against a config."""

from k2compat.checkpoint.config_file import ReadConfig
from k2compat.checkpoint.gguf import GgufHeader, read_gguf_from
from k2compat.checkpoint.gguf_sets import check_gguf_sets
from k2compat.checkpoint.report import UNKNOWN_VARIANT, FileSummary, Progress, Validation
from k2compat.checkpoint.sources import Source
from k2compat.findings import Report

GGUF = "gguf"


def validate_gguf(source: Source, _config: ReadConfig, progress: Progress) -> Validation:
    """Judge a folder of GGUFs, split sets included, or a single file.

    Args:
        source: Its files.
        progress: Is told about each file.
    """
    names = sorted(name for name in source.files if name.endswith(".gguf"))
    headers: dict[str, GgufHeader] = {}
    files = []
    for done, name in enumerate(names, start=1):
        path = f"{source.name}/{name}"
        header = headers[path] = read_gguf_from(source.open(name), path)
        files.append(FileSummary(name, source.files[name], len(header.tensors)))
        progress(done, len(names))
    findings = [finding for header in headers.values() for finding in header.findings]
    findings += check_gguf_sets(headers, headers)
    tensors = [tensor for header in headers.values() for tensor in header.tensors]
    return Validation(
        source=source.name,
        format=GGUF,
        variant=UNKNOWN_VARIANT,
        tensors=len(tensors),
        parameters=sum(tensor.elements for tensor in tensors),
        bytes=sum(0 if tensor.end is None else tensor.end - tensor.start for tensor in tensors),
        files=tuple(files),
        not_checked=(),
        report=Report(tuple(findings)),
    )
