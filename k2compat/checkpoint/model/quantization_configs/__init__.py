"""Read a quantization_config: one dialect for each program that writes them."""

from k2compat.checkpoint.model.quantization_configs.comparing import (
    describe,
    differences,
)
from k2compat.checkpoint.model.quantization_configs.reading import (
    read_quantization,
    without_patterns,
)

__all__ = [
    "describe",
    "differences",
    "read_quantization",
    "without_patterns",
]
