"""Small Kimi-K2-shaped checkpoints, for the demo and the tests.

Every member of the real config is there, with the sizes made small; every tensor of the real
checkpoint is there, by name and dtype. Nothing is trained: the values mean nothing.
"""

from k2compat.samples.checkpoint import checkpoint_files
from k2compat.samples.configs import VARIANTS, tiny_config
from k2compat.samples.gguf_file import write_gguf
from k2compat.samples.model_output import raw_output

__all__ = ["VARIANTS", "checkpoint_files", "raw_output", "tiny_config", "write_gguf"]
