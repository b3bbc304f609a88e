"""The only module that talks to the Hub, and the one that knows its cache's layout.

HUB_CACHE/models--ORG--NAME/blobs/HASH                       the bytes
HUB_CACHE/models--ORG--NAME/snapshots/REVISION/config.json   a link to ../../blobs/HASH

Where the cache and the Hub are, the token and offline mode are huggingface-hub's own affair:
it reads HF_HUB_CACHE (or HF_HOME), HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE by itself.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from k2compat.errors import HubError, RefusedError
from k2compat.findings import Codes, Finding

_codes = Codes("")

_ENTRY_PREFIXES = ("models--", "datasets--", "spaces--")
_ENTRY_FOLDERS = ("blobs", "snapshots", "refs")

_SCHEME = "hf://"
# The Hub's rules for names and Git's for refs. Both become paths in the cache, so ".." and
# parts that begin with a dot must not get through.
_REPO_ID = re.compile(r"\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", re.ASCII)
_NOT_IN_REPO_ID = re.compile(r"--|\.\.|\.git\Z")
_REVISION_PART = r"(?!\.)[^\s/~^:?*\[\\\x00-\x1f\x7f]+"
_REVISION = re.compile(rf"{_REVISION_PART}(?:/{_REVISION_PART})*")
# What stands first in the address of something other than ORG/REPO.
_REPO_TYPES = ("models", "datasets", "spaces", "kernels", "buckets")

# The client's network library is not ours to import: it has changed twice, its errors not.
_NETWORK_LIBRARIES = ("httpx", "httpx2", "requests", "urllib3")
_FIRST_SERVER_ERROR = 500
_TRY_LATER = (408, 429)


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A model repo at a branch, tag or commit; None is its main branch."""

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        """ORG/REPO or ORG/REPO@REVISION."""
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


class _Answer(NamedTuple):
    """What one of the library's errors means, with {repo} and {download} to fill in."""

    error: str
    code: str
    message: str
    hint: str


# Each is looked for in the whole chain of causes: the first that is there says most.
_ANSWERS: Final = (
    _Answer(
        "GatedRepoError",
        "hub-gated",
        "{repo} is gated, and this user has no access to it.",
        "Ask for access on the repo's page, then: hf auth login (or set HF_TOKEN).",
    ),
    _Answer(
        "RevisionNotFoundError",
        "hub-revision-not-found",
        "There is no revision {repo}.",
        "Name a branch, tag or commit of that repo, or leave @REVISION out.",
    ),
    _Answer(
        "RepositoryNotFoundError",
        "hub-repo-not-found",
        "The Hub has no model {repo}, or it is private.",
        "Check the name; for a private repo: hf auth login (or set HF_TOKEN).",
    ),
    _Answer(
        "OfflineModeIsEnabled",
        "hub-offline-missing",
        "{repo} is not in the Hub's cache, or not whole, and offline mode is on.",
        "Where the Hub can be reached: HF_HUB_OFFLINE=0 {download}",
    ),
)


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
    """Read hf://ORG/REPO[@REVISION] or the same with a slash behind.

    Returns:
        The repo, or None for what does not begin with hf://.

    Raises:
        RefusedError: hub-url-malformed.
    """
    if not text.startswith(_SCHEME):
        return None
    repo_id, at, revision = text.removeprefix(_SCHEME).removesuffix("/").partition("@")
    if not _is_repo_id(repo_id) or (at and not _is_revision(revision)):
        raise RefusedError(
            "hub-url-malformed",
            f"{text} is not of the form hf://ORG/REPO or hf://ORG/REPO@REVISION.",
            hint="For example hf://moonshotai/Kimi-K2-Instruct",
        )
    return HubRepo(repo_id, revision or None)


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
    from huggingface_hub import snapshot_download

    with _quiet() as bar:
        try:
            folder = snapshot_download(
                repo.repo_id,
                revision=repo.revision,
                ignore_patterns=list(ignore_patterns),
                tqdm_class=bar,
            )
        except Exception as error:
            # Its own, the network library's, the system's, ValueErrors: they have no common base.
            raise _explained(repo, error) from error
    return _with_config(repo, Path(folder))


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
            fix=f"Where the Hub can be reached: HF_HUB_OFFLINE=0 {_download_command(repo)}",
        ),
    )


def _is_repo_id(text: str) -> bool:
    named = _REPO_ID.fullmatch(text) is not None and not _NOT_IN_REPO_ID.search(text)
    return named and text.partition("/")[0] not in _REPO_TYPES


def _is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text


@contextmanager
def _quiet() -> Iterator[type[Any] | None]:
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
        raise _filled(_ANSWERS[-1], repo)
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
    with _quiet():
        try:
            listing(repo.repo_id, revision=snapshot.name)
        except huggingface_hub.errors.CachedRepoTreeNotFoundError:
            return False
    return True


def _explained(repo: HubRepo, error: Exception) -> HubError:
    from huggingface_hub import errors

    causes = tuple(_causes(error))
    for answer in _ANSWERS:
        if any(isinstance(cause, getattr(errors, answer.error)) for cause in causes):
            return _filled(answer, repo)
    for cause in causes:
        if isinstance(cause, errors.HfHubHTTPError):
            return _refused(repo, cause.response.status_code, cause)
    for cause in causes:
        if _is_network_error(cause):
            return _unreachable(f"cannot be reached: {_reason(cause)}")
    return HubError("hub-failed", f"Fetching {repo} failed: {_reason(error)}.", hint=_AGAIN)


_AGAIN = "Run the same command again: files that are whole in the cache are kept."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _filled(answer: _Answer, repo: HubRepo) -> HubError:
    return HubError(
        answer.code,
        answer.message.format(repo=repo),
        hint=answer.hint.format(download=_download_command(repo)),
    )


def _refused(repo: HubRepo, status: int, error: BaseException) -> HubError:
    if status >= _FIRST_SERVER_ERROR or status in _TRY_LATER:
        return _unreachable(f"does not answer requests now (status {status})")
    reason = getattr(error, "server_message", None) or _reason(error)
    return HubError(
        "hub-failed",
        f"The Hub at {_endpoint()} refused {repo}: {reason} (status {status}).",
        hint="Check the token (hf auth whoami), HF_ENDPOINT and the proxy.",
    )


def _unreachable(what: str) -> HubError:
    return HubError(
        "hub-unreachable",
        f"The Hub at {_endpoint()} {what}, and its cache does not hold all the files.",
        hint=f"Check the network, the proxy and HF_ENDPOINT. {_AGAIN}",
    )


def _is_network_error(error: BaseException) -> bool:
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or not roots.isdisjoint(
        _NETWORK_LIBRARIES
    )


def _endpoint() -> str:
    from huggingface_hub.constants import ENDPOINT

    # A mirror's address may carry a password.
    return urlsplit(ENDPOINT).netloc.rpartition("@")[2] or ENDPOINT


def _download_command(repo: HubRepo) -> str:
    revision = f" --revision {shlex.quote(repo.revision)}" if repo.revision else ""
    return f"hf download {repo.repo_id}{revision} --exclude '*.safetensors'"


def _reason(error: BaseException) -> str:
    """The first line of what the error says, fit to stand within a sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\[Errno -?\d+\] ", "", lines[0]).rstrip(".")
