"""A checkpoint in safetensors before its tensors are compared: index, shards, observed storage."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from k2compat.checkpoint.safetensors_files.entries import SafetensorsTensor
from k2compat.checkpoint.safetensors_files.header import SafetensorsHeader, read_safetensors_from
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE, WeightIndex, read_index
from k2compat.checkpoint.safetensors_files.observed import Observed, observe
from k2compat.checkpoint.safetensors_files.shards import Shards, find_shards, is_numbered
from k2compat.checkpoint.sampling import Sampler
from k2compat.checkpoint.sources import FileRefusedError, Source, root_of
from k2compat.findings import Finding


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """A checkpoint before its tensors are compared, as unchanging values.

    Attributes:
        source: The files.
        root: Names the folder in findings.
        index: Its index, if it could be read.
        index_findings: Faults of the index itself.
        shards: The files to read.
        observed: The quantised module, recognised by names of tensors; None where they show none.
    """

    source: Source
    root: str
    index: WeightIndex | None
    index_findings: tuple[Finding, ...]
    shards: Shards
    observed: Observed | None

    @property
    def names(self) -> Iterable[str]:
        """The tensors' names: from the index, or from the shards, read during the iteration."""
        return self.stored_names if self.index is None else self.index.weight_map

    @property
    def stored_names(self) -> Iterator[str]:
        """The tensors' names from the shards, which are read during the iteration."""
        return (tensor.name for tensor in self.tensors)

    @property
    def tensors(self) -> Iterator[SafetensorsTensor]:
        """The tensors of the shards, which are read during the iteration."""
        for name in self.shards.present:
            yield from read_header(self.source, name).tensors

    @property
    def is_part(self) -> bool:
        """Whether the user named one shard of a set, without the rest of the set."""
        return self.root != self.source.name and any(map(is_numbered, self.shards.present))


def read_contents(source: Source) -> CheckpointContents:
    """Read the index, choose the shards, and observe how the weights are stored."""
    index, findings = _read_index(source)
    root = root_of(source)
    shards = find_shards(root, source.files, index, has_index=INDEX_FILE in source.files)
    contents = CheckpointContents(source, root, index, findings, shards, None)
    return replace(contents, observed=observe(contents.names))


def _read_index(source: Source) -> tuple[WeightIndex | None, tuple[Finding, ...]]:
    if INDEX_FILE not in source.files:
        return None, ()
    try:
        with source.open(INDEX_FILE) as file:
            return read_index(file, is_remote=source.is_remote)
    except FileRefusedError as refusal:
        return None, (refusal.finding,)


def read_header(source: Source, name: str, sampler: Sampler | None = None) -> SafetensorsHeader:
    """Read a shard's header.

    Args:
        source: The files.
        name: The name of the shard.
        sampler: Samples the shard's data while it is open.
    """
    opening, path = source.open(name), f"{source.name}/{name}"
    if sampler is None:
        return read_safetensors_from(opening, path)
    from k2compat.checkpoint.safetensors_files.second_opinion import look_deeper  # --deep alone

    return read_safetensors_from(opening, path, partial(look_deeper, sampler))
