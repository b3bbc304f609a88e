"""The Hub's cache on this machine, which is only read.

HUB_CACHE/models--ORG--NAME/blobs/HASH                       the bytes
HUB_CACHE/models--ORG--NAME/snapshots/REVISION/config.json   a link to ../../blobs/HASH
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from k2compat.findings import Codes, Finding
from k2compat.hub.address import HubRepo
from k2compat.hub.digests import Digest
from k2compat.hub.failures import download_command, explained, offline_missing
from k2compat.shell_line import shell_line

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


def snapshot_hint(folder: Path) -> str | None:
    """The way from an entry of a Hub cache (models--ORG--NAME) to the model in it.

    Args:
        folder: A folder that was named as a model.

    Returns:
        None for a folder that is no such entry.
    """
    if not folder.name.startswith(_ENTRY_PREFIXES) or not (folder / "snapshots").is_dir():
        return None
    try:
        snapshots = sorted(
            (path for path in (folder / "snapshots").iterdir() if path.is_dir()),
            key=lambda path: path.stat().st_mtime,
        )
    except OSError:
        snapshots = []
    if not snapshots:
        return f"{folder} is an entry of the Hub's cache without a snapshot: download the model."
    others = "" if len(snapshots) == 1 else f" (the newest of {len(snapshots)})"
    newest = shell_line(snapshots[-1])
    return f"{folder} is an entry of the Hub's cache; name its snapshot: {newest}{others}"


def cached_companions(repo: HubRepo, ignore_patterns: Sequence[str]) -> Path:
    """The snapshot of a repo in the Hub's cache, which may lack what the patterns match.

    Args:
        repo: The repo, with the revision as it was when it was last fetched.
        ignore_patterns: Shell patterns of files that may be absent.

    Returns:
        The snapshot's folder; it has a config.json.

    Raises:
        HubError: hub-offline-missing or hub-failed.
    """
    from huggingface_hub import constants

    snapshot = _snapshot(repo, ignore_patterns)
    # Where the cache has no listing, the library calls a folder with a single file a snapshot.
    if not (snapshot / constants.CONFIG_NAME).is_file():
        raise offline_missing(repo)
    return snapshot


def cached_blob(repo: HubRepo, digest: Digest) -> Path | None:
    """The file of the Hub's cache that bears a hash as its name, if it is there.

    Whether its bytes are those of its name is not looked at.
    """
    from huggingface_hub import constants

    owner, _, name = repo.repo_id.partition("/")
    entry = Path(constants.HF_HUB_CACHE) / f"models--{owner}--{name}"
    path = entry / "blobs" / digest.value
    return path if path.is_file() else None


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
    """What should be known about a folder that `cached_companions` returned.

    Without the Hub, the library compares a snapshot with the repo's listing, if that is in the
    cache; otherwise it returns whatever is there, even a single file.
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
    from huggingface_hub.errors import LocalEntryNotFoundError

    with quiet():
        try:
            folder = snapshot_download(
                repo.repo_id,
                revision=repo.revision,
                ignore_patterns=list(ignore_patterns),
                local_files_only=True,
            )
        except LocalEntryNotFoundError as error:
            raise offline_missing(repo, weights=not ignore_patterns) from error
        except Exception as error:
            # Its own, the system's, ValueErrors: they have no common base.
            raise explained(repo, error) from error
    return Path(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's warnings to terminals."""
    import warnings
    from logging import ERROR

    from huggingface_hub.utils import logging

    if sys.stderr is not None and sys.stderr.isatty():
        yield
        return
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(before)


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
