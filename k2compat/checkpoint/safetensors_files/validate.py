"""Judge a checkpoint in safetensors: headers, index, set of shards, and tensors against config.

index, names of shards ──▶ CheckpointContents ──▶ each shard's header, read once
├──▶ Comparison with the config
├──▶ IndexCheck
└──▶ Sampler (--deep), while it is open
CheckpointContents, ShardScan ──▶ findings
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from k2compat.checkpoint.companions import ReadConfig
from k2compat.checkpoint.model import Architecture, read_architecture
from k2compat.checkpoint.reporting import (
    UNKNOWN_VARIANT,
    Coverage,
    FileFindings,
    FileSummary,
    Progress,
    Validation,
)
from k2compat.checkpoint.safetensors_files.comparison import Comparison, Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.foreign import (
    ForeignFolder,
    find_foreign,
    foreign_finding,
)
from k2compat.checkpoint.safetensors_files.header import SafetensorsHeader, read_safetensors_from
from k2compat.checkpoint.safetensors_files.index import (
    INDEX_FILE,
    WeightIndex,
    read_index,
)
from k2compat.checkpoint.safetensors_files.index_check import (
    IndexCheck,
    IndexDifferences,
    check_total_size,
)
from k2compat.checkpoint.safetensors_files.layout import SafetensorsTensor
from k2compat.checkpoint.safetensors_files.missing import find_missing, split_unexpected
from k2compat.checkpoint.safetensors_files.observed import (
    Observed,
    check_pattern_prefix,
    observe,
    reconcile,
    rename,
    settle,
)
from k2compat.checkpoint.safetensors_files.shards import Shards, find_shards, is_numbered
from k2compat.checkpoint.safetensors_files.stored_modules import merge_modules
from k2compat.checkpoint.safetensors_files.summary import group
from k2compat.checkpoint.sampling import Sampler
from k2compat.checkpoint.sources import FileRefusedError, Source, root_of
from k2compat.findings import Finding, Report

SAFETENSORS = "safetensors"


_OF_STORAGE = ("tensor-", "module-", "quantization-undeclared", "quantization-mismatch")
"""Codes of findings that a wrong idea of the storage causes, too."""


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A checkpoint before its tensors are compared: values that nothing changes.

    Attributes:
        source: The files.
        root: Names the folder in findings.
        index: Its index, if it could be read.
        index_findings: What is wrong with the index itself.
        shards: The files to read.
        observed: The quantised module that names of tensors show; None where they show nothing.
    """

    source: Source
    root: str
    index: WeightIndex | None
    index_findings: tuple[Finding, ...]
    shards: Shards
    observed: Observed | None

    @property
    def is_part(self) -> bool:
        """Whether the user named one shard of a set: the rest of the set is not meant."""
        return self.root != self.source.name and any(map(is_numbered, self.shards.present))


@dataclass(frozen=True, slots=True)
class ShardScan:
    """Results of reading all shard headers.

    The headers themselves are not kept: 139,644 tensors take 40 MiB, and the peak of a whole
    validation is 85 MiB without them (scripts/bench_validate.py, bar 100 MiB).

    Attributes:
        comparison: The tensors against the config.
        index: The tensors against the index, if there is one.
        files: The shards.
        unread: Files of which no tensor could be read, absent ones included.
        findings: What is wrong with single shards.
    """

    comparison: Comparison
    index: IndexDifferences | None
    files: tuple[FileSummary, ...]
    unread: frozenset[str]
    findings: tuple[Finding, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every tensor of the index was read, once."""
        return (
            not self.unread
            and not self.findings
            and (self.index is None or not self.index.absent)
            and all(one.deviation is not Deviation.DUPLICATE for one in self.comparison.deviations)
        )


def validate_safetensors(
    source: Source, config: ReadConfig, progress: Progress, sampler: Sampler | None = None
) -> Validation:
    """Judge a checkpoint in safetensors.

    Args:
        source: Its files.
        config: The config that the tensors are compared with.
        progress: Called after each shard.
        sampler: A second consumer of each shard, while the shard is open.
    """
    contents = read_contents(source)
    names = _names(source, contents.index, contents.shards)
    foreign = find_foreign(source.files, config.members, names)
    if foreign is not None:
        return _validate_foreign(contents, foreign, progress, sampler)
    validation, contents = _validate(contents, config, progress, sampler)
    if INDEX_FILE not in source.files or not any(
        finding.code.startswith(_OF_STORAGE) for finding in validation.report
    ):
        return validation
    # The index is quicker to ask than the shards, and can be wrong about how they are stored.
    assumed, stored = contents.observed, observe(_names(source, None, contents.shards))
    if stored is None or (assumed is not None and stored.suffixes == assumed.suffixes):
        return validation
    del validation  # it can name every tensor
    contents = replace(read_contents(source), observed=stored)
    return _validate(contents, config, lambda _done, _total: None, None)[0]


def _validate_foreign(
    contents: CheckpointContents,
    foreign: ForeignFolder,
    progress: Progress,
    sampler: Sampler | None,
) -> Validation:
    """Judge headers, index and files; no rule describes the tensors."""
    own = ReadConfig(None, contents.root)
    validation, _ = _validate(contents, own, progress, sampler)
    coverage = replace(validation.coverage, reasons=(f"they are those of: {foreign.variant}",))
    return replace(
        validation,
        variant=foreign.variant,
        not_checked=(f"the tensors of: {foreign.variant}",),
        report=Report((*foreign_finding(contents.root, foreign), *validation.report)),
        coverage=coverage,
    )


def read_contents(source: Source) -> CheckpointContents:
    """Read the index, choose the shards, and observe how the weights are stored."""
    index, findings = _read_index(source)
    root = root_of(source)
    shards = find_shards(root, source.files, index, has_index=INDEX_FILE in source.files)
    observed = observe(_names(source, index, shards))
    return CheckpointContents(source, root, index, findings, shards, observed)


def _validate(
    contents: CheckpointContents,
    config: ReadConfig,
    progress: Progress,
    sampler: Sampler | None,
) -> tuple[Validation, CheckpointContents]:
    """The validation, and the contents without their index."""
    source, shards = contents.source, contents.shards
    total_size = None if contents.index is None else contents.index.total_size
    architecture, config_findings = _architecture(contents, config)
    architecture, comparison, storage_findings = settle(architecture, config.where)
    check = None if contents.index is None else IndexCheck(contents.index)
    contents = replace(contents, index=None)  # the check releases its names shard by shard
    scan = scan_shards(contents, comparison, check, progress, sampler)
    # An engine that takes every file of the folder hangs or fails on these as well.
    beside = [_read_header(source, name, sampler) for name in shards.beside]
    judged, hidden = _judge(contents, architecture, scan)
    findings = [
        *contents.index_findings,
        *(() if contents.is_part else shards.findings),
        *config_findings,
        *storage_findings,
        *scan.findings,
        *(found for header in beside for found in header.findings),
        *judged,
    ]
    if scan.is_complete:
        findings += check_total_size(contents.root, total_size, comparison.bytes)
        findings += _no_tensors(source.name, comparison)
    beyond = sum(finding.count for finding in judged if finding.code == "mtp-unused")
    validation = Validation(
        source=source.name,
        format=SAFETENSORS,
        variant=UNKNOWN_VARIANT if architecture is None else architecture.variant,
        tensors=comparison.tensors,
        parameters=comparison.elements,
        model_parameters=comparison.model_elements,
        bytes=comparison.bytes,
        files=scan.files,
        not_checked=tuple(_not_checked(architecture, hidden)),
        report=Report(tuple(findings)),
        coverage=_coverage(architecture, comparison, hidden=hidden, beyond=beyond),
    )
    return validation, contents


def _architecture(
    contents: CheckpointContents, config: ReadConfig
) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """What the config describes, under the names and in the storage that the tensors have."""
    if config.members is None:
        return None, ()
    architecture, findings = read_architecture(config.members, config.where)
    if architecture is None:
        return None, findings
    source, shards = contents.source, contents.shards
    architecture, storage = reconcile(
        architecture,
        contents.observed,
        config.where,
        lambda: _names(source, contents.index, shards),
        lambda: _tensors(source, shards),
    )
    # An index can be wrong about the names: the shards are asked before a prefix is reported.
    names = chain(_names(source, contents.index, shards), _names(source, None, shards))
    renamed, names_differ = rename(contents.root, architecture, names)
    if renamed is not None:
        names_differ += check_pattern_prefix(renamed, config.where)
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
    parts = comparison.stored_parts() if architecture is not None else ()
    return Coverage(judged, comparison.tensors + hidden, tuple(reasons), parts)


def _read_index(source: Source) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    if INDEX_FILE not in source.files:
        return None, ()
    try:
        with source.open(INDEX_FILE) as file:
            return read_index(file, is_remote=source.is_remote)
    except FileRefusedError as refusal:
        return None, (refusal.finding,)


def _names(source: Source, index: WeightIndex | None, shards: Shards) -> Iterable[str]:
    """Names of tensors: from the index, or from as many shards as the caller iterates over."""
    if index is not None:
        return index.weight_map
    return (tensor.name for tensor in _tensors(source, shards))


def _tensors(source: Source, shards: Shards) -> Iterator[SafetensorsTensor]:
    for name in shards.present:
        yield from _read_header(source, name).tensors


def _read_header(source: Source, name: str, sampler: Sampler | None = None) -> SafetensorsHeader:
    opening, path = source.open(name), f"{source.name}/{name}"
    if sampler is None:
        return read_safetensors_from(opening, path)
    from k2compat.checkpoint.safetensors_files.second_opinion import look_deeper  # --deep alone

    return read_safetensors_from(opening, path, partial(look_deeper, sampler))


def scan_shards(
    contents: CheckpointContents,
    comparison: Comparison,
    check: IndexCheck | None,
    progress: Progress,
    sampler: Sampler | None = None,
) -> ShardScan:
    """Read each shard's header once, and hand it to every consumer.

    Args:
        contents: The shards to read.
        comparison: Takes the tensors.
        check: Takes the tensors' names, if there is an index.
        progress: Called after each shard.
        sampler: Samples the data of each shard while it is open.
    """
    source, present = contents.source, contents.shards.present
    files: list[FileSummary] = []
    findings: list[Finding] = []
    unread = set(contents.shards.absent)
    for done, name in enumerate(present, start=1):
        header = _read_header(source, name, sampler)
        findings += header.findings
        names = [tensor.name for tensor in header.tensors]
        if not names and header.findings:
            unread.add(name)
        comparison.add(name, header.tensors)
        comparison.mark_unreadable(header.malformed)
        if check is not None:
            check.add(name, [*names, *header.malformed])
        files.append(FileSummary(name, source.files.get(name), len(names)))
        progress(done, len(present))
    differences = None if check is None else check.result()
    return ShardScan(comparison, differences, tuple(files), frozenset(unread), tuple(findings))


def _judge(
    contents: CheckpointContents, architecture: Architecture | None, scan: ShardScan
) -> tuple[list[Finding], int]:
    """The findings about tensors, and how many tensors are in files that were not read."""
    if architecture is not None:
        unsure = architecture.quantization.is_unsure("router")
        merge_modules(scan.comparison, accept_unsure=unsure)
    deviations: Sequence[TensorDeviation] = scan.comparison.deviations
    findings: list[Finding] = []
    hidden = 0
    reported: AbstractSet[str] = frozenset()
    root = contents.root
    if architecture is not None:
        places = {} if scan.index is None else scan.index.absent
        missing = find_missing(root, architecture, scan.comparison, places, scan.unread)
        deviations, beyond = split_unexpected(root, architecture, deviations)
        if contents.is_part:
            hidden = len(missing.names)
        else:
            deviations = [*missing.single, *deviations]
            findings += missing.findings
            hidden, reported = missing.hidden, missing.names
        findings += beyond
    findings += group(root, deviations)
    if scan.index is not None:
        duplicates = {one.name for one in deviations if one.deviation is Deviation.DUPLICATE}
        findings += scan.index.findings(
            root, expected=reported, duplicates=duplicates, unread=scan.unread
        )
    return findings, hidden


def _not_checked(architecture: Architecture | None, hidden: int) -> Iterator[str]:
    if architecture is None:
        yield "the tensors against a config: there is none that fits their names"
    elif not architecture.quantization.is_known:
        yield f"tensors quantised as {architecture.quantization.name}"
    if hidden:
        yield f"{hidden:,} tensors in files that were not or could not be read"
