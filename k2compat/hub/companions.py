"""Where a model's files beside its weights come from: the Hub, its cache, or ModelScope."""

from collections.abc import Sequence
from pathlib import Path

from k2compat.errors import HubError
from k2compat.findings import Finding
from k2compat.hub.address import MODELSCOPE, HubRepo
from k2compat.hub.cache import cached_companions, is_offline, snapshot_findings
from k2compat.hub.ranges import RemoteRepo, list_remote


def find_companions(
    repo: HubRepo, ignore_patterns: Sequence[str]
) -> tuple[RemoteRepo | Path, tuple[Finding, ...]]:
    """List a repo; in offline mode, or where the Hub does not answer, find its snapshot.

    Nothing is downloaded here, and the Hub's cache is only read.

    Args:
        repo: The repo.
        ignore_patterns: Shell patterns of files that a snapshot may lack.

    Returns:
        The listed repo or the folder of its snapshot, and what should be known about it.

    Raises:
        HubError: hub-repo-not-found, hub-revision-not-found, hub-gated, hub-offline-missing,
            hub-unreachable, hub-failed, hub-listing-unsafe or modelscope-missing.
    """
    if repo.scheme == MODELSCOPE:
        return list_repo(repo), ()
    if is_offline():
        return _snapshot(repo, ignore_patterns)
    try:
        return list_remote(repo), ()
    except HubError as error:
        if error.code != "hub-unreachable":
            raise
        try:
            return _snapshot(repo, ignore_patterns)
        except HubError:
            raise error from None


def list_repo(repo: HubRepo) -> RemoteRepo:
    """Ask the Hub or ModelScope for a repo's files.

    Raises:
        HubError: As `list_remote`; modelscope-missing.
    """
    if repo.scheme == MODELSCOPE:
        from k2compat.hub.modelscope import list_modelscope  # few ask for it

        return list_modelscope(repo)
    return list_remote(repo)


def _snapshot(repo: HubRepo, ignore_patterns: Sequence[str]) -> tuple[Path, tuple[Finding, ...]]:
    folder = cached_companions(repo, ignore_patterns)
    return folder, snapshot_findings(repo, folder)
