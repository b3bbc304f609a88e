"""Where a checkpoint's files come from, and how they are opened."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.sources.folder import WEIGHT_SUFFIXES, FolderSource, open_folder_source
    from k2compat.checkpoint.sources.listing import ModelFolder, read_model_folder
    from k2compat.checkpoint.sources.naming import natural
    from k2compat.checkpoint.sources.parts import join_parts
    from k2compat.checkpoint.sources.regular_file import (
        BytesFile,
        FileRefusedError,
        demand_content,
        open_file,
        refused,
    )
    from k2compat.checkpoint.sources.source import ReadableFile, Source, is_single_file, root_of

__all__ = [
    "WEIGHT_SUFFIXES",
    "BytesFile",
    "FileRefusedError",
    "FolderSource",
    "ModelFolder",
    "ReadableFile",
    "Source",
    "demand_content",
    "is_single_file",
    "join_parts",
    "natural",
    "open_file",
    "open_folder_source",
    "read_model_folder",
    "refused",
    "root_of",
]

_HOMES = {
    "BytesFile": "regular_file",
    "FileRefusedError": "regular_file",
    "FolderSource": "folder",
    "ModelFolder": "listing",
    "ReadableFile": "source",
    "Source": "source",
    "WEIGHT_SUFFIXES": "folder",
    "demand_content": "regular_file",
    "is_single_file": "source",
    "join_parts": "parts",
    "natural": "naming",
    "open_file": "regular_file",
    "open_folder_source": "folder",
    "read_model_folder": "listing",
    "refused": "regular_file",
    "root_of": "source",
}

__getattr__ = lazy_names(__name__, _HOMES)
