"""A checkpoint whose files are in memory, and whose weights are nowhere."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from k2compat.checkpoint.model.tensors import ExpectedTensor, expected_tensors
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
from k2compat.checkpoint.sources.source import refused
from k2compat.findings import Finding
from k2compat.samples import checkpoint_files
from k2compat.samples.checkpoint import (
    index_bytes,
    shards_by_layer,
    tokenizer_config_bytes,
    vocabulary_bytes,
)
from k2compat.samples.safetensors_file import header_bytes


@dataclass
class MemoryFile:
    """Some bytes, and the size that the file has."""

    path: str
    content: bytes
    size: int

    def read(self, start: int, length: int) -> bytes:
        return self.content[start : start + length]


@dataclass
class MemorySource:
    """Files by path: their first bytes, and their size."""

    name: str
    contents: dict[str, tuple[bytes, int]]
    linked_folders: tuple[str, ...] = ()
    is_remote: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def files(self) -> Mapping[str, int | None]:
        return {path: size for path, (_, size) in self.contents.items()}

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def open(self, relative: str) -> Iterator[MemoryFile]:
        if relative not in self.contents:
            raise refused(f"{self.name}/{relative}", "file-missing", "does not exist")
        yield MemoryFile(f"{self.name}/{relative}", *self.contents[relative])


@cache
def _family_ranks() -> bytes:
    return vocabulary_bytes(163_584)


def memory_source(
    config: Mapping[str, Any],
    *,
    legacy: bool = False,
    tensors: Iterable[ExpectedTensor] | None = None,
) -> MemorySource:
    """A sound checkpoint of any size, or one with these tensors."""
    if tensors is None:
        tensors = expected_tensors(config)
    kept = (one for one in tensors if one.is_usual or (legacy and one.kind == "legacy"))
    shards = shards_by_layer(kept, with_last_layer=True)
    files = {
        name: (content, len(content))
        for name, content in checkpoint_files().items()
        if not name.endswith(".safetensors")
    }
    text = config.get("text_config", config)
    ranks = {}
    if text["vocab_size"] == 163_840:
        ranks = {
            "tiktoken.model": _family_ranks(),
            "tokenizer_config.json": tokenizer_config_bytes(163_584),
        }
    for name, content in (
        *ranks.items(),
        ("config.json", json.dumps(config).encode()),
        (INDEX_FILE, index_bytes(shards)),
    ):
        files[name] = (content, len(content))
    for name, tensors in shards.items():
        header, data_bytes = header_bytes(tensors)
        files[name] = (header, len(header) + data_bytes)
    for module in ("configuration_kimi_k25.py", "modeling_kimi_k25.py"):
        files[module] = (b"", 1)
    return MemorySource("model", files)
