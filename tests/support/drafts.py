"""Small checkpoints to damage before they are written."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2compat.checkpoint.model.tensors import ExpectedTensor, expected_tensors
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
from k2compat.samples import checkpoint_files, tiny_config
from k2compat.samples.checkpoint import index_bytes, shards_by_layer
from k2compat.samples.safetensors_file import header_bytes

LAYER_0, LAYER_1, OUTSIDE = (f"model-{number}-of-3.safetensors" for number in (1, 2, 3))


@dataclass
class Draft:
    """A checkpoint in pieces.

    Attributes:
        config: Of the small model.
        shards: What each file holds.
        index: The index; None writes none.
    """

    config: dict[str, Any]
    shards: dict[str, list[ExpectedTensor]]
    index: dict[str, Any] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """The index's weight_map."""
        places: dict[str, str] = self.index["weight_map"]
        return places

    def find(self, ending: str) -> tuple[list[ExpectedTensor], int]:
        """The shard and the place in it of the one tensor with this ending."""
        ((shard, number),) = (
            (shard, number)
            for shard in self.shards.values()
            for number, tensor in enumerate(shard)
            if tensor.name.endswith(ending)
        )
        return shard, number

    def change(self, ending: str, **members: Any) -> None:
        """Change members of the one tensor with this ending."""
        shard, number = self.find(ending)
        shard[number] = shard[number]._replace(**members)

    def drop(self, is_dropped: Callable[[str], bool]) -> None:
        """Drop tensors from their shards; the index keeps them."""
        kept = {
            name: [tensor for tensor in shard if not is_dropped(tensor.name)]
            for name, shard in self.shards.items()
        }
        self.shards = {name: shard for name, shard in kept.items() if shard}

    def reindex(self) -> None:
        """Make the index fit again."""
        self.index = json.loads(index_bytes(self.shards))

    def write(self, folder: Path) -> Path:
        """Write all files; the data are zeros."""
        for name, content in checkpoint_files().items():
            if not name.endswith((".safetensors", INDEX_FILE, "config.json")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        (folder / "tokenizer_config.json").write_bytes(checkpoint_files()["tokenizer_config.json"])
        (folder / "generation_config.json").write_bytes(b"{}")
        (folder / "config.json").write_text(json.dumps(self.config))
        for name, shard in self.shards.items():
            header, data_bytes = header_bytes(shard)
            with (folder / name).open("wb") as file:
                file.write(header)
                file.truncate(len(header) + data_bytes)
        if self.index:
            (folder / INDEX_FILE).write_text(json.dumps(self.index))
        return folder


def draft(variant: str = "fp8") -> Draft:
    """A sound one."""
    config = tiny_config(variant)
    tensors = [tensor for tensor in expected_tensors(config) if tensor.is_usual]
    made = Draft(config, shards_by_layer(tensors))
    made.reindex()
    return made
