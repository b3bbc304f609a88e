"""The Hub's cache on this machine: bring files into it, and know its layout.

HUB_CACHE/models--ORG--NAME/blobs/HASH                       the bytes
HUB_CACHE/models--ORG--NAME/snapshots/REVISION/config.json   a link to ../../blobs/HASH
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from k2compat.errors import HubError
from k2compat.findings import Codes, Finding
from k2compat.hub.address import HubRepo
from k2compat.hub.failures import download_command, explained, offline_missing

_codes = Codes("hub")

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


def fetch_companions(repo: HubRepo, ignore_patterns: Sequence[str]) -> Path:
    """Bring a repo's files into the Hub's cache, except those that the patterns match.

    What is in the cache is not fetched again. In offline mode, or where the Hub does not
    answer, the cache does, with the revision as it was when it was last fetched.

    Args:
        repo: The repo.
        ignore_patterns: Shell patterns of files that are never downloaded.

    Returns:
        The snapshot's folder in the cache; it has a config.json.

    Raises:
        HubError: hub-repo-not-found, hub-revision-not-found, hub-gated, hub-offline-missing,
            hub-unreachable or hub-failed.
    """
    return _with_config(repo, _snapshot(repo, ignore_patterns))


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set: then no request is ever made."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def cached_checkpoint(repo: HubRepo) -> Path:
    """The snapshot of a whole repo, weights too, in the Hub's cache; for offline mode.

    Whether it is whole, the library knows by the listing that it keeps; where it has none,
    `snapshot_findings` says so.

    Raises:
        HubError: hub-offline-missing.
    """
    return _snapshot(repo, ())


def snapshot_findings(repo: HubRepo, snapshot: Path) -> tuple[Finding, ...]:
    """What should be known about a folder that `fetch_companions` returned.

    Without the Hub, the library compares a snapshot with the repo's listing, if that is in the
    cache; otherwise it returns whatever is there, be it a single file.
    """
    if _is_listed(repo, snapshot):
        return ()
    return (
        _codes.finding(
            "hub-snapshot-unconfirmed",
            snapshot,
            f"The cache does not say which files {repo} has: some may be missing here.",
            fix=f"Where the Hub can be reached: HF_HUB_OFFLINE=0 {download_command(repo)}",
        ),
    )


def _snapshot(repo: HubRepo, ignore_patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    with quiet() as bar:
        try:
            folder = snapshot_download(
                repo.repo_id,
                revision=repo.revision,
                ignore_patterns=list(ignore_patterns),
                tqdm_class=bar,
            )
        except Exception as error:
            # Its own, the network library's, the system's, ValueErrors: they have no common base.
            raise explained(repo, error, weights=not ignore_patterns) from error
    return Path(folder)


@contextmanager
def quiet() -> Iterator[type[Any] | None]:
    """Keep the library's bars and warnings to terminals; yields the class for its bars."""
    import warnings
    from logging import ERROR

    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import tqdm

    if sys.stderr is not None and sys.stderr.isatty():
        yield None
        return

    class NoBar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]

    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield NoBar
    finally:
        logging.set_verbosity(before)


def _with_config(repo: HubRepo, snapshot: Path) -> Path:
    # Where the cache has no listing, the library calls a folder with a single file a snapshot.
    from huggingface_hub.constants import CONFIG_NAME, HF_HUB_OFFLINE

    if (snapshot / CONFIG_NAME).is_file():
        return snapshot
    if HF_HUB_OFFLINE:
        raise offline_missing(repo)
    raise HubError(
        "hub-failed",
        f"The snapshot of {repo} in the Hub's cache has no {CONFIG_NAME}.",
        hint="Name the repo of the model itself, not one of its GGUFs or adapters.",
    )


def _is_listed(repo: HubRepo, snapshot: Path) -> bool:
    import huggingface_hub

    listing = getattr(huggingface_hub, "get_cached_repo_tree", None)
    if listing is None:  # releases that keep no listings
        return not huggingface_hub.constants.HF_HUB_OFFLINE
    with quiet():
        try:
            listing(repo.repo_id, revision=snapshot.name)
        except huggingface_hub.errors.CachedRepoTreeNotFoundError:
            return False
    return True
