"""The sources of a checkpoint's files, and how these are opened."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.sources.listing import ModelFolder, natural, read_model_folder
    from k2compat.checkpoint.sources.parts import join_parts
    from k2compat.checkpoint.sources.source import (
        WEIGHT_SUFFIXES,
        BytesFile,
        FileRefusedError,
        FolderSource,
        ReadableFile,
        Source,
        demand_content,
        is_single_file,
        open_file,
        open_folder_source,
        refused,
        root_of,
    )

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
    "BytesFile": "source",
    "FileRefusedError": "source",
    "FolderSource": "source",
    "ModelFolder": "listing",
    "ReadableFile": "source",
    "Source": "source",
    "WEIGHT_SUFFIXES": "source",
    "demand_content": "source",
    "is_single_file": "source",
    "join_parts": "parts",
    "natural": "listing",
    "open_file": "source",
    "open_folder_source": "source",
    "read_model_folder": "listing",
    "refused": "source",
    "root_of": "source",
}

__getattr__ = lazy_names(__name__, _HOMES)
