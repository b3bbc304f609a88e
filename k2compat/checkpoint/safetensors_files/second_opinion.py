"""Further checks of an open shard: samples of its data, and the official reader.

Both run only with `--deep`. Opening 61 shards of 139,644 tensors with `safe_open` takes 0.3 s,
a third of the whole plain validation.
"""

from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.safetensors_files.header import SafetensorsHeader
from k2compat.checkpoint.sampling import SampledTensor, Sampler
from k2compat.checkpoint.sources import ReadableFile
from k2compat.files import reading
from k2compat.findings import Finding
from k2compat.numpy_memory import demand_memory_for_numpy
from k2compat.printable import shortened


def look_deeper(sampler: Sampler, file: ReadableFile, header: SafetensorsHeader) -> None:
    """Sample an open shard; if it is sound and local, open it with the official reader, too."""
    sampler.add(file, _sampled(header))
    if isinstance(file.path, Path) and not header.findings:
        sampler.note(official_opinion(file.path))


def official_opinion(path: Path) -> tuple[Finding, ...]:
    """A finding where the safetensors library, which every engine uses, refuses a file.

    Only the header is read: the library maps the file, and reads no tensor.

    Args:
        path: A shard on this machine.
    """
    findings = FileFindings(str(path))
    with reading(path):
        demand_memory_for_numpy()  # which safe_open imports
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as refusal:
        findings.add(
            "safetensors-reader-refuses",
            f"the safetensors library refuses this file: {shortened(str(refusal))}",
        )
    return findings.findings()


def _sampled(header: SafetensorsHeader) -> Iterator[SampledTensor]:
    for tensor in header.tensors:
        start = header.data_start + tensor.start
        yield SampledTensor(tensor.name, tensor.dtype, start, tensor.end - tensor.start)
