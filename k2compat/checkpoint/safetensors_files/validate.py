"""Judge a checkpoint in safetensors: headers, index, set of shards, and tensors against config.

config ──▶ architecture ──▶ Comparison ◀──┬── headers, one shard after the other
index ──▶ shards to read ──▶ IndexCheck ◀─┘
└──▶ findings
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from k2compat.checkpoint.companions.config_file import ReadConfig
from k2compat.checkpoint.model.architecture import Architecture, read_architecture
from k2compat.checkpoint.model.quantization import Quantization
from k2compat.checkpoint.reporting.collector import FileFindings
from k2compat.checkpoint.reporting.report import (
    UNKNOWN_VARIANT,
    Coverage,
    FileSummary,
    Progress,
    Validation,
)
from k2compat.checkpoint.safetensors_files.comparison import Comparison, Deviation
from k2compat.checkpoint.safetensors_files.header import SafetensorsHeader, read_safetensors_from
from k2compat.checkpoint.safetensors_files.index import (
    INDEX_BYTES_MAX,
    INDEX_FILE,
    WeightIndex,
    parse_index,
)
from k2compat.checkpoint.safetensors_files.index_check import IndexCheck, check_total_size
from k2compat.checkpoint.safetensors_files.missing import find_missing, split_unexpected
from k2compat.checkpoint.safetensors_files.observed import observe, reconcile, rename, settle
from k2compat.checkpoint.safetensors_files.shards import Shards, find_shards, is_numbered
from k2compat.checkpoint.safetensors_files.summary import group
from k2compat.checkpoint.sources.regular_file import FileRefusedError
from k2compat.checkpoint.sources.source import Source
from k2compat.findings import Finding, Report

SAFETENSORS = "safetensors"


_OF_STORAGE = ("tensor-", "quantization-undeclared", "quantization-mismatch")
"""Codes of findings that a wrong idea of the storage causes, too."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is known before the tensors are compared; `index` is used up by a comparison."""

    source: Source
    config: ReadConfig
    index: WeightIndex | None
    index_findings: tuple[Finding, ...]
    shards: Shards
    observed: Quantization | None


@dataclass(slots=True)
class ShardScan:
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
    shards = find_shards(_root(source), source.files, index, has_index=INDEX_FILE in source.files)
    observed = observe(_names(source, index, shards))
    inputs = _Inputs(source, config, index, index_findings, shards, observed)
    validation = _validate(inputs, progress)
    if index is None or not any(
        finding.code.startswith(_OF_STORAGE) for finding in validation.report
    ):
        return validation
    # The index is quicker to ask than the shards, and can be wrong about how they are stored.
    stored = observe(_names(source, None, shards))
    if stored is None or (observed is not None and stored.scheme == observed.scheme):
        return validation
    del validation  # it can name every tensor
    index, _ = _read_index(source)  # the first comparison used it up
    return _validate(replace(inputs, index=index, observed=stored), lambda _done, _total: None)


def _validate(inputs: _Inputs, progress: Progress) -> Validation:
    source, config, shards = inputs.source, inputs.config, inputs.shards
    root = _root(source)
    # One shard that was named by itself: that its set is elsewhere is what the user wanted.
    is_part = root != source.name and any(map(is_numbered, shards.present))
    findings = [*inputs.index_findings, *(() if is_part else shards.findings)]
    architecture, problems = _architecture(inputs, root)
    findings += problems
    architecture, comparison, problems = settle(architecture, config.where)
    findings += problems
    index = inputs.index
    total_size = None if index is None else index.total_size
    shelf = ShardScan(comparison, None if index is None else IndexCheck(index))
    shelf.unread.update(shards.absent)
    _read_shards(source, shards, shelf, progress)
    findings += shelf.findings
    # An engine that takes every file of the folder hangs or fails on these as well.
    findings += (found for name in shards.beside for found in _read_header(source, name).findings)
    judged, hidden = _judge(root, architecture, shelf, is_part=is_part)
    judged = list(judged)
    findings += judged
    if shelf.is_whole:
        findings += check_total_size(root, total_size, comparison.bytes)
        findings += _no_tensors(source.name, comparison)
    beyond = sum(finding.count for finding in judged if finding.code == "mtp-unused")
    return Validation(
        source=source.name,
        format=SAFETENSORS,
        variant=UNKNOWN_VARIANT if architecture is None else architecture.variant,
        tensors=comparison.tensors,
        parameters=comparison.elements,
        model_parameters=comparison.model_elements,
        bytes=comparison.bytes,
        files=tuple(shelf.files),
        not_checked=tuple(_not_checked(architecture, hidden)),
        report=Report(tuple(findings)),
        coverage=_coverage(architecture, comparison, hidden=hidden, beyond=beyond),
    )


def _architecture(inputs: _Inputs, root: str) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """What the config describes, under the names and in the storage that the tensors have."""
    source, config, shards = inputs.source, inputs.config, inputs.shards
    if config.members is None:
        return None, ()
    architecture, findings = read_architecture(config.members, config.where)
    if architecture is None:
        return None, findings
    architecture, storage = reconcile(architecture, inputs.observed, config.where)
    # An index can be wrong about the names: the shards are asked before anybody is blamed.
    names = chain(_names(source, inputs.index, shards), _names(source, None, shards))
    renamed, names_differ = rename(root, architecture, names)
    return renamed, (*findings, *storage, *names_differ)


def _no_tensors(where: str, comparison: Comparison) -> tuple[Finding, ...]:
    if comparison.tensors:
        return ()
    defects = FileFindings(where)
    defects.add("weights-empty", "holds no tensors")
    return defects.findings()


def _coverage(
    architecture: Architecture | None, comparison: Comparison, *, hidden: int, beyond: int
) -> Coverage:
    reasons = []
    if architecture is None and comparison.unjudged:
        reasons.append("no config describes them")
    elif architecture is not None and comparison.unjudged:
        reasons.append(f"the quantisation {architecture.quantization.name} is not known")
    if beyond:
        reasons.append(f"the config does not name the layers of {beyond:,}")
    if hidden:
        reasons.append(f"{hidden:,} are in files that were not or could not be read")
    judged = comparison.tensors - comparison.unjudged - beyond
    return Coverage(judged, comparison.tensors + hidden, tuple(reasons))


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


def _read_shards(source: Source, shards: Shards, shelf: ShardScan, progress: Progress) -> None:
    total = len(shards.present)
    for done, name in enumerate(shards.present, start=1):
        header = _read_header(source, name)
        shelf.findings += header.findings
        names = [tensor.name for tensor in header.tensors]
        if not names and header.findings:
            shelf.unread.add(name)
        shelf.comparison.add(name, header.tensors)
        shelf.comparison.mark_unreadable(header.malformed)
        if shelf.index is not None:
            shelf.index.add(name, [*names, *header.malformed])
        shelf.files.append(FileSummary(name, source.files.get(name), len(names)))
        progress(done, total)


def _judge(
    root: str, architecture: Architecture | None, shelf: ShardScan, *, is_part: bool
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
