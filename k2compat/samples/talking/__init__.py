"""A small Kimi-K2 that really runs in every engine and answers what its scripts hold."""

from k2compat.samples.talking.model import GGUF_FILE, talking_files, write_talking_model
from k2compat.samples.talking.scripts import FALLBACK, SCRIPTS, TOOLS, Script

__all__ = [
    "FALLBACK",
    "GGUF_FILE",
    "SCRIPTS",
    "TOOLS",
    "Script",
    "talking_files",
    "write_talking_model",
]
