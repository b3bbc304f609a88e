"""Folders that hold something other than a checkpoint of the family."""

from k2compat.checkpoint.safetensors_files.foreign.judgement import judge_foreign
from k2compat.checkpoint.safetensors_files.foreign.recognition import (
    FOLDERS,
    ForeignFolder,
    find_foreign,
    foreign_finding,
)

__all__ = ["FOLDERS", "ForeignFolder", "find_foreign", "foreign_finding", "judge_foreign"]
