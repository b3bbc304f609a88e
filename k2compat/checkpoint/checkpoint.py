"""A checkpoint for use from Python: its headers are read one by one, and not kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from k2compat.checkpoint.companions import read_config
from k2compat.checkpoint.safetensors_files import (
    SUFFIX,
    SafetensorsHeader,
    SafetensorsTensor,
    read_safetensors_from,
)
from k2compat.checkpoint.sources import Source, natural, open_folder_source
from k2compat.hub import parse_repo_url, refuse_repo_name


class Checkpoint:
    """The safetensors of a folder, a single file or a repo on the Hub.

    If it is on the Hub, close it, or use it in a `with` statement.

    Attributes:
        source: Its files.
    """

    def __init__(self, source: Source) -> None:
        """Take a source; nothing is read yet."""
        self.source = source

    @property
    def config(self) -> Mapping[str, Any] | None:
        """The members of its config.json; None where there is none or it is damaged."""
        return read_config(self.source).members

    def headers(self) -> Iterator[SafetensorsHeader]:
        """The header of each shard, read on demand.

        A damaged or unreadable file is a header with findings; nothing is raised for it.
        """
        for name in sorted(self.source.files, key=natural):
            if name.endswith(SUFFIX) and "/" not in name:
                yield read_safetensors_from(self.source.open(name), f"{self.source.name}/{name}")

    def tensors(self) -> Iterator[SafetensorsTensor]:
        """Every tensor of every shard: name, dtype, shape (slowest dimension first), offsets.

        The offsets are bytes from the end of its file's header.
        """
        for header in self.headers():
            yield from header.tensors

    def close(self) -> None:
        """Stop running requests; a folder has nothing to close."""
        self.source.close()

    def __enter__(self) -> Self:
        """Return the checkpoint."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def open_checkpoint(place: Path | str | Source) -> Checkpoint:
    """Open a checkpoint without reading it.

    Args:
        place: A folder, a single .safetensors file, hf://ORG/REPO[@REVISION] or the same with
            ms://, or a source.

    Raises:
        RefusedError: not-found, not-readable, weights-missing for a file without weights, or
            hub-url-malformed.
        HubError: The Hub has no such repo or does not answer.
    """
    if isinstance(place, str):
        repo = parse_repo_url(place)
        if repo is not None:
            from k2compat.checkpoint.hub_source import open_hub_source  # loads the Hub's client

            return Checkpoint(open_hub_source(repo))
        refuse_repo_name(place)
    if isinstance(place, Path | str):
        return Checkpoint(open_folder_source(Path(place)))
    return Checkpoint(place)


@contextmanager
def open_source(place: Source | Path | str) -> Iterator[Source]:
    """The files of a checkpoint, as `open_checkpoint` finds them.

    A source that was given stays open.
    """
    checkpoint = open_checkpoint(place)
    try:
        yield checkpoint.source
    finally:
        if checkpoint.source is not place:
            checkpoint.close()
