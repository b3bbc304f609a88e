"""GGUF: headers, metadata and tensors of the architecture deepseek2, and their rules."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.gguf_files.against_config import other_sizes
    from k2compat.checkpoint.gguf_files.comparison import ARCHITECTURE_KEY, PROJECTOR
    from k2compat.checkpoint.gguf_files.header import FIRST_BYTES, GgufHeader, read_gguf
    from k2compat.checkpoint.gguf_files.metadata import Metadata, has_split_mla, read_sizes
    from k2compat.checkpoint.gguf_files.rules import (
        ExpectedGgufTensor,
        GgufLayout,
        config_sizes,
        config_value,
        deepseek2,
        expected_gguf_tensors,
    )
    from k2compat.checkpoint.gguf_files.split_sets import (
        SPLIT_COUNT,
        check_gguf_sets,
        group_gguf_files,
    )
    from k2compat.checkpoint.gguf_files.validate import read_ggufs, validate_ggufs

__all__ = [
    "ARCHITECTURE_KEY",
    "FIRST_BYTES",
    "PROJECTOR",
    "SPLIT_COUNT",
    "ExpectedGgufTensor",
    "GgufHeader",
    "GgufLayout",
    "Metadata",
    "check_gguf_sets",
    "config_sizes",
    "config_value",
    "deepseek2",
    "expected_gguf_tensors",
    "group_gguf_files",
    "has_split_mla",
    "other_sizes",
    "read_gguf",
    "read_ggufs",
    "read_sizes",
    "validate_ggufs",
]

_HOMES = {
    "ARCHITECTURE_KEY": "comparison",
    "ExpectedGgufTensor": "rules",
    "FIRST_BYTES": "header",
    "GgufHeader": "header",
    "GgufLayout": "rules",
    "Metadata": "metadata",
    "PROJECTOR": "comparison",
    "SPLIT_COUNT": "split_sets",
    "check_gguf_sets": "split_sets",
    "config_sizes": "rules",
    "config_value": "rules",
    "deepseek2": "rules",
    "expected_gguf_tensors": "rules",
    "group_gguf_files": "split_sets",
    "has_split_mla": "metadata",
    "other_sizes": "against_config",
    "read_gguf": "header",
    "read_ggufs": "validate",
    "read_sizes": "metadata",
    "validate_ggufs": "validate",
}

__getattr__ = lazy_names(__name__, _HOMES)
