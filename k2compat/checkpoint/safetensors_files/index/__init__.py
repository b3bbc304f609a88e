"""The index of a checkpoint in shards: read, and compared with the shards."""

from k2compat.checkpoint.safetensors_files.index.check import (
    IndexCheck,
    IndexDifferences,
    check_total_size,
)
from k2compat.checkpoint.safetensors_files.index.reading import (
    INDEX_BYTES_MAX,
    INDEX_FILE,
    WeightIndex,
    parse_index,
    read_index,
)

__all__ = [
    "INDEX_BYTES_MAX",
    "INDEX_FILE",
    "IndexCheck",
    "IndexDifferences",
    "WeightIndex",
    "check_total_size",
    "parse_index",
    "read_index",
]
