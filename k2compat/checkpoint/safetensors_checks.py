"""Judge a checkpoint in safetensors: headers, index, set of shards, and tensors against config.

config ──▶ architecture ──▶ Comparison ◀──┬── headers, one shard after the other
index ──▶ shards to read ──▶ IndexCheck ◀─┘
└──▶ findings
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from k2compat.checkpoint.architecture import Architecture, read_architecture
from k2compat.checkpoint.comparison import Comparison, Deviation
from k2compat.checkpoint.config_file import ReadConfig
from k2compat.checkpoint.grouping import group
from k2compat.checkpoint.index_check import IndexCheck, check_total_size
from k2compat.checkpoint.opening import FileRefusedError
from k2compat.checkpoint.report import UNKNOWN_VARIANT, FileSummary, Progress, Validation
from k2compat.checkpoint.safetensors_header import SafetensorsHeader, read_safetensors_from
from k2compat.checkpoint.shards import Shards, find_shards, is_numbered
from k2compat.checkpoint.sources import Source
from k2compat.checkpoint.storage import observe, reconcile, rename, settle
from k2compat.checkpoint.weight_index import INDEX_BYTES_MAX, INDEX_FILE, WeightIndex, parse_index
from k2compat.checkpoint.wholes import find_missing, split_unexpected
from k2compat.findings import Finding, Report

SAFETENSORS = "safetensors"


@dataclass(slots=True)
class _Shelf:
    """What reading the shards gave."""

    comparison: Comparison
    index: IndexCheck | None
    files: list[FileSummary] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every tensor of the index was read, once."""
        odd = self.comparison.deviations
        return (
            not self.unread
            and not self.findings
            and (self.index is None or not self.index.left)
            and all(one.deviation is not Deviation.DUPLICATE for one in odd)
        )


def validate_safetensors(source: Source, config: ReadConfig, progress: Progress) -> Validation:
    """Judge a checkpoint in safetensors.

    Args:
        source: Its files.
        config: What to hold the tensors against.
        progress: Is told about each shard.
    """
    index, index_findings = _read_index(source)
    root = _root(source)
    shards = find_shards(root, source.files, index, has_index=INDEX_FILE in source.files)
    # One shard that was named by itself: that its set is elsewhere is what the user wanted.
    is_part = root != source.name and any(map(is_numbered, shards.present))
    findings = [*index_findings, *(() if is_part else shards.findings)]
    architecture = None
    if config.members is not None:
        architecture, problems = read_architecture(config.members, config.where)
        findings += problems
    if architecture is not None:
        observed = observe(_names(source, index, shards))
        architecture, problems = reconcile(architecture, observed, config.where)
        findings += problems
        # An index can be wrong about them: the shards are asked before anybody is blamed.
        names = chain(_names(source, index, shards), _names(source, None, shards))
        architecture, problems = rename(root, architecture, names)
        findings += problems
    architecture, comparison, problems = settle(architecture, config.where)
    findings += problems
    total_size = None if index is None else index.total_size
    shelf = _Shelf(comparison, None if index is None else IndexCheck(index))
    shelf.unread.update(shards.absent)
    _read_shards(source, shards, shelf, progress)
    findings += shelf.findings
    # An engine that takes every file of the folder hangs or fails on these as well.
    findings += (found for name in shards.beside for found in _read_header(source, name).findings)
    judged, hidden = _judge(root, architecture, shelf, is_part=is_part)
    findings += judged
    if shelf.is_whole:
        findings += check_total_size(root, total_size, shelf.comparison.bytes)
    return Validation(
        source=source.name,
        format=SAFETENSORS,
        variant=UNKNOWN_VARIANT if architecture is None else architecture.variant,
        tensors=shelf.comparison.tensors,
        parameters=shelf.comparison.elements,
        bytes=shelf.comparison.bytes,
        files=tuple(shelf.files),
        not_checked=tuple(_not_checked(architecture, hidden)),
        report=Report(tuple(findings)),
    )


def _root(source: Source) -> str:
    """What the files' paths are below: the checkpoint, or the folder of a single file."""
    folder, _, name = source.name.rpartition("/")
    return (folder or ".") if list(source.files) == [name] else source.name


def _read_index(source: Source) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    if INDEX_FILE not in source.files:
        return None, ()
    try:
        with source.open(INDEX_FILE) as file:
            data = file.read(0, INDEX_BYTES_MAX + 1)
            where = str(file.path)
    except FileRefusedError as refusal:
        return None, (refusal.finding,)
    return parse_index(data, where)


def _names(source: Source, index: WeightIndex | None, shards: Shards) -> Iterable[str]:
    """Names of tensors, from the index or from as many shards as somebody asks for."""
    if index is not None:
        return index.places
    return (tensor.name for name in shards.present for tensor in _read_header(source, name).tensors)


def _read_header(source: Source, name: str) -> SafetensorsHeader:
    return read_safetensors_from(source.open(name), f"{source.name}/{name}")


def _read_shards(source: Source, shards: Shards, shelf: _Shelf, progress: Progress) -> None:
    total = len(shards.present)
    for done, name in enumerate(shards.present, start=1):
        header = _read_header(source, name)
        shelf.findings += header.findings
        names = [tensor.name for tensor in header.tensors]
        if not names and header.findings:
            shelf.unread.add(name)
        shelf.comparison.add(name, header.tensors)
        shelf.comparison.strike(header.malformed)
        if shelf.index is not None:
            shelf.index.add(name, [*names, *header.malformed])
        shelf.files.append(FileSummary(name, source.files.get(name), len(names)))
        progress(done, total)


def _judge(
    root: str, architecture: Architecture | None, shelf: _Shelf, *, is_part: bool
) -> tuple[Iterator[Finding] | list[Finding], int]:
    """The findings about tensors, and how many tensors nobody can know about."""
    odd = shelf.comparison.deviations
    findings: list[Finding] = []
    hidden = 0
    reported: frozenset[str] | set[str] = frozenset()
    if architecture is not None:
        places = {} if shelf.index is None else shelf.index.left
        missing = find_missing(root, architecture, shelf.comparison, places, shelf.unread)
        odd, beyond = split_unexpected(root, architecture, odd)
        if is_part:
            hidden = len(missing.names)
        else:
            odd = [*missing.single, *odd]
            findings += missing.findings
            hidden, reported = missing.hidden, set(missing.names)
        findings += beyond
    findings += group(root, odd)
    if shelf.index is not None:
        duplicates = {one.name for one in odd if one.deviation is Deviation.DUPLICATE}
        findings += shelf.index.findings(
            root, expected=reported, duplicates=duplicates, unread=shelf.unread
        )
    return findings, hidden


def _not_checked(architecture: Architecture | None, hidden: int) -> Iterator[str]:
    if architecture is None:
        yield "the tensors against a config: there is none that fits their names"
    elif not architecture.quantization.is_known:
        yield f"tensors quantised as {architecture.quantization.name}"
    if hidden:
        yield f"{hidden:,} tensors in files that were not or could not be read"
