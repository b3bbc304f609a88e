"""Validation of a checkpoint in safetensors: headers, index, shards, and tensors against config.

index, names of shards ──▶ CheckpointContents ──▶ Prepared ──▶ each shard's header, read once
├──▶ Comparison with the config
├──▶ IndexCheck
└──▶ Sampler (--deep), while it is open
Prepared, ShardScan ──▶ findings
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
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
from k2compat.checkpoint.safetensors_files.comparison import Comparison
from k2compat.checkpoint.safetensors_files.contents import (
    CheckpointContents,
    Observed,
    check_pattern_prefix,
    observe,
    read_contents,
    read_header,
    reconcile,
    rename,
    settle,
)
from k2compat.checkpoint.safetensors_files.deviations import Deviation, TensorDeviation
from k2compat.checkpoint.safetensors_files.foreign import (
    ForeignFolder,
    find_foreign,
    foreign_finding,
    judge_foreign,
)
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
from k2compat.checkpoint.safetensors_files.missing import find_missing, split_unexpected
from k2compat.checkpoint.safetensors_files.shards import (
    IndexCheck,
    IndexDifferences,
    check_total_size,
)
from k2compat.checkpoint.safetensors_files.stored_modules import check_fused, merge_modules
from k2compat.checkpoint.safetensors_files.summary import group
from k2compat.checkpoint.sampling import Sampler
from k2compat.checkpoint.sources import Source
from k2compat.family import RELATIVES
from k2compat.findings import Finding, Report
from k2compat.printable import counted

SAFETENSORS = "safetensors"


_OF_STORAGE = ("tensor-", "module-", "quantization-undeclared", "quantization-mismatch")
"""Codes of findings that may also be consequences of a wrong storage."""

_BY_RULES = ("family", "mtp")
"""Foreign folders whose tensors the family's rules describe."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checkpoint whose shards can now be read; its index is not needed any more.

    Attributes:
        contents: The files, without their index.
        foreign: The kind of the folder, if it holds no checkpoint of the family.
        architecture: The architecture of the config, if it describes one.
        comparison: Takes the tensors.
        check: Takes the names, if there is an index.
        total_size: The index's sum of all tensors' bytes.
        findings: Findings on the config and on the storage of the weights.
        judged: How many tensors of an adapter or a draft were judged already.
    """

    contents: CheckpointContents
    foreign: ForeignFolder | None
    architecture: Architecture | None
    comparison: Comparison
    check: IndexCheck | None
    total_size: int | None
    findings: tuple[Finding, ...]
    judged: int


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
        findings: Faults of single shards.
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
    prepared = prepare(source, config)
    validation = _validate(prepared, progress, sampler)
    if (
        prepared.foreign is not None
        or INDEX_FILE not in source.files
        or not any(finding.code.startswith(_OF_STORAGE) for finding in validation.report)
    ):
        return validation
    # The index is faster to read than the shards, but can be wrong about the storage.
    assumed, stored = prepared.contents.observed, observe(prepared.contents.stored_names)
    if stored is None or (assumed is not None and stored.suffixes == assumed.suffixes):
        return validation
    del validation, prepared  # they can name every tensor
    return _validate(prepare(source, config, stored), lambda _done, _total: None, None)


def prepare(source: Source, config: ReadConfig, observed: Observed | None = None) -> Prepared:
    """Read everything except the shards, and recognise the kind of the folder.

    Args:
        source: The files.
        config: The config that the tensors are compared with.
        observed: The storage of the weights, if it is known from better evidence than the index.
    """
    contents = read_contents(source)
    if observed is not None:
        contents = replace(contents, observed=observed)
    index = contents.index
    foreign = find_foreign(source.files, config.members, contents.names)
    if foreign is not None and foreign.beyond and (contents.is_part or contents.shards.findings):
        foreign = None  # the last shard of a whole model
    exhausted: tuple[Finding, ...] = ()
    judged = 0
    if foreign is None or foreign.judged_as in _BY_RULES:
        architecture, findings = _architecture(contents, _as_family(config, foreign))
        if architecture is not None and foreign is not None and foreign.judged_as == "mtp":
            architecture = architecture.as_draft(keeps_number=foreign.beyond)
        architecture, comparison, exhausted = settle(architecture, config.where)
    else:
        # No rule describes the tensors; headers, index and files are judged.
        architecture, comparison = None, Comparison(None)
        findings, judged = judge_foreign(foreign, contents, config.members)
    if foreign is not None:
        findings = (*foreign_finding(contents.root, foreign), *findings)
    return Prepared(
        contents=replace(contents, index=None),  # the check releases its names shard by shard
        foreign=foreign,
        architecture=architecture,
        comparison=comparison,
        check=None if index is None else IndexCheck(index),
        total_size=None if index is None else index.total_size,
        findings=(*findings, *exhausted),
        judged=judged,
    )


def _as_family(config: ReadConfig, foreign: ForeignFolder | None) -> ReadConfig:
    """The config of a related model, with the type whose rules describe most of its tensors."""
    if foreign is None or config.members is None:
        return config
    known = RELATIVES.get(str(config.members.get("model_type")))
    return (
        config
        if known is None
        else replace(config, members={**config.members, "model_type": known})
    )


def _validate(prepared: Prepared, progress: Progress, sampler: Sampler | None) -> Validation:
    """Read the shards, and judge their contents."""
    contents, architecture = prepared.contents, prepared.architecture
    source, shards = contents.source, contents.shards
    scan = scan_shards(prepared, progress, sampler)
    comparison = scan.comparison
    # An engine that loads every file of the folder hangs or fails on these, too.
    beside = [read_header(source, name, sampler) for name in shards.beside]
    judged, hidden = _judge(contents, architecture, scan)
    findings = [
        *contents.index_findings,
        *(() if contents.is_part else shards.findings),
        *prepared.findings,
        *scan.findings,
        *(found for header in beside for found in header.findings),
        *judged,
    ]
    if scan.is_complete:
        findings += check_total_size(contents.root, prepared.total_size, comparison.bytes)
        findings += _no_tensors(source.name, comparison)
    beyond = sum(finding.count for finding in judged if finding.code == "mtp-unused")
    return Validation(
        source=source.name,
        format=SAFETENSORS,
        variant=_variant(prepared),
        tensors=comparison.tensors,
        parameters=comparison.elements,
        model_parameters=comparison.model_elements,
        bytes=comparison.bytes,
        files=scan.files,
        not_checked=tuple(_not_checked(prepared, hidden)),
        report=Report(tuple(findings)),
        coverage=_coverage(prepared, comparison, hidden=hidden, beyond=beyond),
    )


def _variant(prepared: Prepared) -> str:
    if prepared.foreign is not None:
        return prepared.foreign.variant
    return UNKNOWN_VARIANT if prepared.architecture is None else prepared.architecture.variant


def _architecture(
    contents: CheckpointContents, config: ReadConfig
) -> tuple[Architecture | None, tuple[Finding, ...]]:
    """The architecture of the config, with the tensors' real names and storage."""
    if config.members is None:
        return None, ()
    architecture, findings = read_architecture(config.members, config.where)
    if architecture is None:
        return None, findings
    architecture, storage = reconcile(
        architecture,
        contents.observed,
        config.where,
        lambda: contents.names,
        lambda: contents.tensors,
    )
    # An index can be wrong about the names: the shards are read before a prefix is reported.
    names = chain(contents.names, contents.stored_names)
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


def _coverage(prepared: Prepared, comparison: Comparison, *, hidden: int, beyond: int) -> Coverage:
    architecture = prepared.architecture
    reasons = []
    if prepared.foreign is not None and comparison.unjudged > prepared.judged:
        reasons.append(f"they are those of: {prepared.foreign.variant}")
    elif prepared.foreign is None and architecture is None and comparison.unjudged:
        reasons.append("no config describes them")
    elif architecture is not None and comparison.unjudged:
        reasons.append(f"the quantisation {architecture.quantization.name} is not known")
    if beyond:
        reasons.append(f"the config does not name the layers of {beyond:,}")
    if hidden:
        reasons.append(f"files that were not or could not be read hold {counted(hidden, 'tensor')}")
    judged = comparison.tensors - comparison.unjudged - beyond + prepared.judged
    parts = comparison.stored_parts() if architecture is not None else ()
    return Coverage(judged, comparison.tensors + hidden, tuple(reasons), parts)


def scan_shards(
    prepared: Prepared, progress: Progress, sampler: Sampler | None = None
) -> ShardScan:
    """Read each shard's header once, and pass it to every consumer.

    Args:
        prepared: The shards to read, and the consumers of their tensors.
        progress: Called after each shard.
        sampler: Samples the data of each shard while it is open.
    """
    source, present = prepared.contents.source, prepared.contents.shards.present
    comparison, check = prepared.comparison, prepared.check
    files: list[FileSummary] = []
    findings: list[Finding] = []
    unread = set(prepared.contents.shards.absent)
    for done, name in enumerate(present, start=1):
        header = read_header(source, name, sampler)
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
    """The findings on tensors, and the number of tensors in files that were not read."""
    findings: list[Finding] = []
    hidden = 0
    reported: AbstractSet[str] = frozenset()
    root = contents.root
    if architecture is not None:
        unsure = architecture.quantization.is_unsure("router")
        merge_modules(scan.comparison, accept_unsure=unsure)
    deviations: Sequence[TensorDeviation] = scan.comparison.deviations
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
    if deviations:
        findings += group(root, deviations)
    if architecture is not None:
        findings += check_fused(root, scan.comparison.blocks())
    if scan.index is not None:
        duplicates = {one.name for one in deviations if one.deviation is Deviation.DUPLICATE}
        findings += scan.index.findings(
            root, expected=reported, duplicates=duplicates, unread=scan.unread
        )
    return findings, hidden


def _not_checked(prepared: Prepared, hidden: int) -> Iterator[str]:
    architecture = prepared.architecture
    if prepared.foreign is not None and architecture is None:
        yield f"the tensors of: {prepared.foreign.variant}, but for shapes that follow from configs"
    elif architecture is None:
        yield "the tensors against a config: there is none that fits their names"
    elif not architecture.quantization.is_known:
        yield f"tensors quantised as {architecture.quantization.name}"
    if hidden:
        yield f"{counted(hidden, 'tensor')} in files that were not or could not be read"
