"""The only module that talks to the Hub, and the one that knows its cache's layout.

HUB_CACHE/models--ORG--NAME/blobs/HASH                    the bytes
HUB_CACHE/models--ORG--NAME/snapshots/REVISION/config.json   a link to ../../blobs/HASH
"""

from itertools import pairwise
from pathlib import Path

_ENTRY_PREFIXES = ("models--", "datasets--", "spaces--")
_ENTRY_FOLDERS = ("blobs", "snapshots", "refs")


def cache_entry_of(path: Path) -> Path | None:
    """The Hub cache's entry (models--ORG--NAME) that a path lies in.

    Args:
        path: An absolute path with all links resolved, or one to be taken as it is.

    Returns:
        The entry's folder, or None for a path outside any cache.
    """
    parents = (path, *path.parents)
    for below, entry in pairwise(parents):
        if below.name in _ENTRY_FOLDERS and entry.name.startswith(_ENTRY_PREFIXES):
            return entry
    return None
