"""Make checkpoints of the family's shape, for tests, benchmarks and a look around.

    python scripts/make_checkpoint.py FOLDER                   tiny, of every variant
    python scripts/make_checkpoint.py FOLDER --variant int4    one of them
    python scripts/make_checkpoint.py FOLDER --full            Kimi-K2-Instruct, sparse
    python scripts/make_checkpoint.py FOLDER --config FILE     the same for another config

The full one has 61 shards with the true names, headers and lengths, a terabyte in all, of
which only the headers take room: the file system must know sparse files, and files of 17 GB.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from k2compat.checkpoint.model.tensors import expected_tensors
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
from k2compat.samples import VARIANTS, checkpoint_files
from k2compat.samples.checkpoint import (
    index_bytes,
    shards_by_layer,
    tokenizer_config_bytes,
    vocabulary_bytes,
)
from k2compat.samples.safetensors_file import header_bytes

CONFIGS = Path(__file__).parents[1] / "fixtures" / "configs"
ORDINARY_TOKENS = 163_584
"""Of Kimi-K2's vocabulary."""

INSTRUCT = CONFIGS / "moonshotai--Kimi-K2-Instruct.json"


def write_tiny(folder: Path, variant: str) -> None:
    """Write a small checkpoint, all files of it."""
    for name, content in checkpoint_files(variant).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_full(folder: Path, config_file: Path) -> None:
    """Write what a config describes, with holes for the data.

    The small files beside the weights are those of the tiny checkpoint.
    """
    config: dict[str, Any] = json.loads(config_file.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in checkpoint_files().items():
        if not name.endswith((".safetensors", INDEX_FILE)):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    # The vocabulary of Kimi-K2; all others are as small as the tiny checkpoint's.
    if config.get("text_config", config)["vocab_size"] == 163_840:
        (folder / "tiktoken.model").write_bytes(vocabulary_bytes(ORDINARY_TOKENS))
        (folder / "tokenizer_config.json").write_bytes(tokenizer_config_bytes(ORDINARY_TOKENS))
    kept = (tensor for tensor in expected_tensors(config) if tensor.kind != "uniform")
    shards = shards_by_layer(kept, with_last_layer=True)
    for name, tensors in shards.items():
        header, data_bytes = header_bytes(tensors)
        with (folder / name).open("wb") as file:
            file.write(header)
            file.truncate(len(header) + data_bytes)
    (folder / INDEX_FILE).write_bytes(index_bytes(shards))
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def main() -> int:
    """Read the command line and write; the exit code."""
    parser = argparse.ArgumentParser(description="Make checkpoints of the family's shape.")
    parser.add_argument("folder", type=Path)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--variant", choices=list(VARIANTS))
    what.add_argument("--full", action="store_true", help="Kimi-K2-Instruct at full scale, sparse")
    what.add_argument("--config", type=Path, help="what this config describes, sparse")
    options = parser.parse_args()
    if options.full or options.config:
        write_full(options.folder, options.config or INSTRUCT)
    elif options.variant:
        write_tiny(options.folder, options.variant)
    else:
        for variant in VARIANTS:
            write_tiny(options.folder / variant, variant)
    return 0


if __name__ == "__main__":
    sys.exit(main())
