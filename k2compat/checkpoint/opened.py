"""A checkpoint to look into from Python: its headers one after the other, nothing held."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from k2compat.checkpoint.config_file import read_config
from k2compat.checkpoint.folder_source import open_folder_source
from k2compat.checkpoint.safetensors_header import SafetensorsHeader, read_safetensors_from
from k2compat.checkpoint.safetensors_layout import SafetensorsTensor
from k2compat.checkpoint.shards import SUFFIX, natural
from k2compat.checkpoint.sources import Source


class Checkpoint:
    """The safetensors of a folder or a single file.

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
        """The header of each shard, read when it is asked for.

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


def open_checkpoint(place: Path | str | Source) -> Checkpoint:
    """Open a checkpoint without reading it.

    Args:
        place: A folder, a single .safetensors file, or a source.

    Raises:
        RefusedError: not-found, not-readable, or weights-missing for a file that is none.
    """
    if isinstance(place, Path | str):
        return Checkpoint(open_folder_source(Path(place)))
    return Checkpoint(place)
