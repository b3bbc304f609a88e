"""The only module that talks to the Hub, and the one that knows its cache's layout.

HUB_CACHE/models--ORG--NAME/blobs/HASH                       the bytes
HUB_CACHE/models--ORG--NAME/snapshots/REVISION/config.json   a link to ../../blobs/HASH
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from k2compat.errors import HubError, RefusedError

_ENTRY_PREFIXES = ("models--", "datasets--", "spaces--")
_ENTRY_FOLDERS = ("blobs", "snapshots", "refs")

_SCHEME = "hf://"
_URL = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A model repo, at a branch, tag or commit; None is its main branch."""

    repo_id: str
    revision: str | None = None


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


def parse_hub_url(text: str) -> HubRepo | None:
    """Read hf://ORG/REPO[@REVISION]; None for what does not begin with hf://.

    Raises:
        RefusedError: hub-url-malformed.
    """
    if not text.startswith(_SCHEME):
        return None
    match = _URL.fullmatch(text)
    if match is None:
        raise RefusedError(
            "hub-url-malformed",
            f"{text} is not of the form hf://ORG/REPO or hf://ORG/REPO@REVISION.",
            hint="For example hf://moonshotai/Kimi-K2-Instruct",
        )
    return HubRepo(match["repo"], match["revision"])


def fetch_companions(repo: HubRepo, ignore_patterns: Sequence[str]) -> Path:
    """Bring a repo's files into the Hub's cache, except those the patterns match.

    Tokens, endpoint, cache folder and offline mode are huggingface-hub's own, from its
    environment variables. Offline, or with the Hub out of reach, the cache answers.

    Args:
        repo: The repo.
        ignore_patterns: Shell patterns of files that are never downloaded.

    Returns:
        The snapshot's folder in the cache.

    Raises:
        HubError: hub-repo-not-found, hub-revision-not-found, hub-gated, hub-not-cached or
            hub-failed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    _keep_quiet()
    try:
        folder = snapshot_download(
            repo.repo_id, revision=repo.revision, ignore_patterns=list(ignore_patterns)
        )
    except (OSError, HfHubHTTPError) as error:
        raise _explained(repo, error) from error
    except Exception as error:
        # The client's network library is not ours to know; its errors all mean the same.
        if not type(error).__module__.startswith(("httpx", "requests", "urllib3")):
            raise
        raise _explained(repo, error) from error
    return Path(folder)


def _keep_quiet() -> None:
    """Silence the library's warnings, and its bars where nobody watches."""
    import logging

    from huggingface_hub import utils

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if sys.stderr is None or not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined]


def _explained(repo: HubRepo, error: Exception) -> HubError:
    from huggingface_hub import constants, errors

    name = repo.repo_id
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            "hub-gated",
            f"{name} is gated, and this user has no access to it.",
            hint="Ask for access on the repo's page, then: hf auth login (or set HF_TOKEN).",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(
            "hub-revision-not-found",
            f"{name} has no revision {repo.revision}.",
            hint="Name a branch, tag or commit of that repo, or leave @REVISION out.",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubError(
            "hub-repo-not-found",
            f"The Hub has no model {name}, or it is private.",
            hint="Check the name; for a private repo: hf auth login (or set HF_TOKEN).",
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        reason = "offline mode is on" if constants.HF_HUB_OFFLINE else "the Hub is out of reach"
        return HubError(
            "hub-not-cached",
            f"{name} is not whole in the Hub's cache, and {reason}.",
            hint=f"Where the Hub can be reached: hf download {name} --exclude '*.safetensors'",
        )
    return HubError(
        "hub-failed",
        f"Fetching {name} failed: {_first_line(error)}.",
        hint="Run the same command again: what was downloaded is kept.",
    )


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
