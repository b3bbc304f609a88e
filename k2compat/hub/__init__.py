"""The only room that talks to the Hub, and the one that knows its cache's layout.

Where the cache and the Hub are, the token and offline mode are huggingface-hub's own affair:
it reads HF_HUB_CACHE (or HF_HOME), HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE by itself, and
every request goes through its session.
"""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.hub.address import (
        MODELSCOPE,
        HubRepo,
        fetch_command,
        is_repo_name,
        parse_hub_url,
        parse_repo_url,
        refuse_repo_name,
    )
    from k2compat.hub.cache import (
        cache_entry_of,
        cached_checkpoint,
        is_offline,
        snapshot_findings,
        snapshot_hint,
    )
    from k2compat.hub.companions import find_companions, list_repo
    from k2compat.hub.digests import GIT_BLOB, SHA256, Digest, digest_of_tag
    from k2compat.hub.failures import HubFileError, offline_missing
    from k2compat.hub.ranges import RemoteRepo, list_remote
    from k2compat.hub.remote_file import RemoteFile
    from k2compat.hub.workers import Workers

__all__ = [
    "GIT_BLOB",
    "MODELSCOPE",
    "SHA256",
    "Digest",
    "HubFileError",
    "HubRepo",
    "RemoteFile",
    "RemoteRepo",
    "Workers",
    "cache_entry_of",
    "cached_checkpoint",
    "digest_of_tag",
    "fetch_command",
    "find_companions",
    "is_offline",
    "is_repo_name",
    "list_remote",
    "list_repo",
    "offline_missing",
    "parse_hub_url",
    "parse_repo_url",
    "refuse_repo_name",
    "snapshot_findings",
    "snapshot_hint",
]

# patch-config needs two names of this room, and would import the clients of two hubs for them.
_HOMES = {
    "Digest": "digests",
    "GIT_BLOB": "digests",
    "HubFileError": "failures",
    "HubRepo": "address",
    "MODELSCOPE": "address",
    "RemoteFile": "remote_file",
    "RemoteRepo": "ranges",
    "SHA256": "digests",
    "Workers": "workers",
    "cache_entry_of": "cache",
    "cached_checkpoint": "cache",
    "digest_of_tag": "digests",
    "fetch_command": "address",
    "find_companions": "companions",
    "is_offline": "cache",
    "is_repo_name": "address",
    "list_remote": "ranges",
    "list_repo": "companions",
    "offline_missing": "failures",
    "parse_hub_url": "address",
    "parse_repo_url": "address",
    "refuse_repo_name": "address",
    "snapshot_findings": "cache",
    "snapshot_hint": "cache",
}

__getattr__ = lazy_names(__name__, _HOMES)
