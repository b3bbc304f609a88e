"""What went wrong between us and the Hub, in our words.

huggingface-hub's errors, its network library's and the system's have no common base, and the
network library has changed twice within the range of releases that k2compat accepts.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from k2compat.errors import HubError
from k2compat.findings import Codes, Finding
from k2compat.hub.address import HubRepo
from k2compat.shell_line import shell_line

_codes = Codes("hub")

# The client's network library is not ours to import: it has changed twice, its errors not.
_NETWORK_LIBRARIES = ("httpx", "httpx2", "requests", "urllib3")
_FIRST_SERVER_ERROR = 500
_TRY_LATER = (408, 429)
# Errors of network libraries that will be the same the next time.
_LASTING = ("TooManyRedirects", "UnsupportedProtocol", "InvalidURL", "InvalidSchema")


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


class HubFileError(HubError):
    """One file of a repo is not given as it must be; the others may be sound.

    Attributes:
        actual: What was given instead, where that can be said.
    """

    def __init__(self, code: str, message: str, *, hint: str, actual: str | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.actual = actual

    def finding(self, where: object) -> Finding:
        """The same as a finding about one file of many."""
        return _codes.finding(self.code, where, self.message, actual=self.actual, fix=self.hint)


def explained(repo: HubRepo, error: Exception) -> HubError:
    """Say what an error of the library, of its network library or of the system means.

    Args:
        repo: What was asked for.
        error: What came instead.
    """
    from huggingface_hub import errors

    causes = tuple(_causes(error))
    for answer in _ANSWERS:
        if any(isinstance(cause, getattr(errors, answer.error)) for cause in causes):
            return _filled(answer, repo)
    for cause in causes:
        response = getattr(cause, "response", None)
        if isinstance(cause, errors.HfHubHTTPError) and response is not None:
            return _refused(repo, response.status_code, cause)
    for cause in causes:
        if _is_network_error(cause):
            return _unreachable(f"cannot be reached: {_network_reason(cause)}")
    return HubError(
        "hub-failed",
        f"Fetching {repo} failed: {_reason(error)}.",
        hint="Run the same command again.",
    )


def is_passing(error: BaseException) -> bool:
    """Whether the same request may well be answered a moment later."""
    from huggingface_hub import errors

    causes = tuple(_causes(error))
    lasting = tuple(getattr(errors, answer.error) for answer in _ANSWERS)
    if any(isinstance(cause, lasting) or type(cause).__name__ in _LASTING for cause in causes):
        return False
    status = status_of(error)
    if status is not None:
        return _is_passing_status(status)
    return any(_is_network_error(cause) for cause in causes)


def status_of(error: BaseException) -> int | None:
    """The status of the Hub's answer; None where there was no answer."""
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def offline_missing(repo: HubRepo, *, weights: bool = False) -> HubError:
    """The error for what the cache does not hold in offline mode, weights wanted or not."""
    return _filled(_ANSWERS[-1], repo, weights=weights)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _filled(answer: _Answer, repo: HubRepo, *, weights: bool = False) -> HubError:
    return HubError(
        answer.code,
        answer.message.format(repo=repo),
        hint=answer.hint.format(download=download_command(repo, weights=weights)),
    )


def _is_passing_status(status: int) -> bool:
    return status >= _FIRST_SERVER_ERROR or status in _TRY_LATER


def _refused(repo: HubRepo, status: int, error: BaseException) -> HubError:
    if _is_passing_status(status):
        return _unreachable(f"does not answer requests now (status {status})")
    words = getattr(error, "server_message", None)
    reason = f": {_first_line(words)}" if words else ""
    return HubError(
        "hub-failed",
        f"The Hub at {endpoint()} refused {repo} (status {status}){reason}.",
        hint="Check the token (hf auth whoami), HF_ENDPOINT and the proxy.",
    )


def _unreachable(what: str) -> HubError:
    return HubError(
        "hub-unreachable",
        f"The Hub at {endpoint()} {what}.",
        hint="Check the network, the proxy and HF_ENDPOINT. With HF_HUB_OFFLINE=1 the Hub's cache "
        "answers.",
    )


def _is_network_error(error: BaseException) -> bool:
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or not roots.isdisjoint(
        _NETWORK_LIBRARIES
    )


def endpoint() -> str:
    """The Hub's host, as it may be shown."""
    from huggingface_hub.constants import ENDPOINT

    # A mirror's address may carry a password.
    return urlsplit(ENDPOINT).netloc.rpartition("@")[2] or ENDPOINT


def download_command(repo: HubRepo, *, weights: bool = False) -> str:
    """What to paste to bring a repo into the cache, with its weights or without."""
    revision = ("--revision", repo.revision) if repo.revision else ()
    exclude = () if weights else ("--exclude", "*.safetensors")
    return shell_line("hf", "download", repo.repo_id, *revision, *exclude)


def _network_reason(error: BaseException) -> str:
    """What the system said, below the layers of a network library; else what that says."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return _reason(error)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _first_line(str(error)) or type(error).__name__


def _first_line(text: str) -> str:
    """As much as fits into a sentence."""
    return text.strip().partition("\n")[0].rstrip(".")
