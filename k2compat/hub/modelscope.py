"""ms://ORG/REPO[@REVISION]: a model repo on ModelScope, read in place like one on the Hub.

The client, modelscope-hub, is an extra of k2compat. It reads MODELSCOPE_ENDPOINT and
MODELSCOPE_API_TOKEN (or the token of its own login), and makes every request. ModelScope lists a
SHA-256 of each file, and no commit: what changed after the listing has another hash.
"""

import importlib
import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2compat.errors import HubError
from k2compat.hub.address import HubRepo
from k2compat.hub.digests import SHA256, Digest, digest
from k2compat.hub.ranges import RemoteRepo, Wanted, demand_safe_paths
from k2compat.shell_line import shell_line

_MODEL = "model"
_DEFAULT_REVISION = "master"
_PIECE_BYTES = 1 << 16

# The client's errors, the most special first: code, message, way out.
_ANSWERS = (
    (
        "NotExistError",
        "hub-repo-not-found",
        "ModelScope has no model {repo}, or it is private.",
        "Check name and revision; for a private repo set MODELSCOPE_API_TOKEN.",
    ),
    (
        "AuthenticationError",
        "hub-gated",
        "{repo} on ModelScope needs a login.",
        "Set MODELSCOPE_API_TOKEN, or: ms login",
    ),
    (
        "PermissionDeniedError",
        "hub-gated",
        "{repo} on ModelScope is not open to this user.",
        "Ask for access on the repo's page, then set MODELSCOPE_API_TOKEN.",
    ),
)


class ModelScopeRepo(RemoteRepo):
    """A model repo on ModelScope, whose files can be read in place."""

    def __init__(
        self,
        repo: HubRepo,
        sizes: Mapping[str, int],
        digests: Mapping[str, Digest],
        client: Any,
    ) -> None:
        """Take a listing and the client it came from; `list_modelscope` makes one."""
        super().__init__(repo, repo.revision or _DEFAULT_REVISION, sizes, digests)
        self._client = client

    @property
    def server(self) -> str:
        """Who answers, for messages."""
        return _server(self._client)

    def cached(self, digest: Digest) -> Path | None:
        """None: ModelScope's cache is not looked into."""

    def _ask(self, wanted: Wanted) -> bytes:
        last = wanted.start + wanted.length - 1
        headers = {"Range": f"bytes={wanted.start}-{last}", "Accept-Encoding": "identity"}
        response = self._client.legacy.download_stream(
            self.repo.repo_id, _MODEL, wanted.path, self.commit, headers
        )
        with closing(response):
            pieces = response.raw.stream(_PIECE_BYTES, decode_content=False)
            return self._received(wanted, response, pieces)

    def _is_passing(self, error: Exception) -> bool:
        return _is_passing(error)

    def _explained(self, error: Exception) -> HubError:
        return _explained(self.repo, self.server, error)


def list_modelscope(repo: HubRepo) -> ModelScopeRepo:
    """Ask ModelScope for a repo's files.

    Raises:
        HubError: modelscope-missing, where the client is not installed; hub-repo-not-found,
            hub-gated, hub-unreachable, hub-listing-unsafe or hub-failed.
    """
    client = _client()
    try:
        listed = client.list_repo_files(repo.repo_id, _MODEL, revision=repo.revision)
    except Exception as error:
        # The client's own, requests', ValueErrors of a body that is no JSON.
        raise _explained(repo, _server(client), error) from error
    _demand_whole(repo, client)
    files = [file for file in listed if not file.is_dir]
    demand_safe_paths(repo.address, (file.path for file in files))
    digests = {file.path: digest(SHA256, file.sha256) for file in files}
    return ModelScopeRepo(
        repo,
        {file.path: file.size for file in sorted(files, key=lambda file: file.path)},
        {path: known for path, known in digests.items() if known is not None},
        client,
    )


def _demand_whole(repo: HubRepo, client: Any) -> None:
    """Refuse a listing that the client had to cut off: it only logs that.

    Raises:
        HubError: hub-failed.
    """
    state = getattr(client.legacy, "_read_state", None)
    if getattr(state, "listing_incomplete", False):
        raise HubError(
            "hub-failed",
            f"{_server(client)} does not list all files of {repo}: they are too many.",
            hint="Check that it is the model's repo; download it with: "
            + shell_line("ms", "download", repo.repo_id),
        )


def _client() -> Any:
    _keep_quiet()
    try:
        # On import and later it warns of environment variables; ms:// works with them or fails
        # with an error of its own.
        with warnings.catch_warnings(action="ignore"):
            library = importlib.import_module("modelscope_hub")
            return library.HubApi(user_agent="k2compat")
    except ImportError as error:
        raise HubError(
            "modelscope-missing",
            "ms:// needs the package modelscope-hub, which is not installed.",
            hint="pip install 'k2compat[modelscope]'",
        ) from error


def _keep_quiet() -> None:
    """Keep the client's log from stderr, unless the user or the program configured it.

    It prints each INFO line there where its logger has no handler (modelscope-hub 0.5.1,
    utils/logger.py).
    """
    log = logging.getLogger("modelscope_hub")
    if not log.handlers and "MODELSCOPE_LOG_LEVEL" not in os.environ:
        log.addHandler(logging.NullHandler())
        log.propagate = False


def _server(client: Any) -> str:
    # The endpoint may carry a password.
    return f"ModelScope at {urlsplit(client.legacy.endpoint).netloc.rpartition('@')[2]}"


def _is_passing(error: Exception) -> bool:
    passing = getattr(error, "retryable", isinstance(error, OSError))
    return bool(passing)


def _explained(repo: HubRepo, server: str, error: Exception) -> HubError:
    library = importlib.import_module("modelscope_hub")
    for name, code, message, hint in _ANSWERS:
        if isinstance(error, getattr(library, name)):
            return HubError(code, message.format(repo=repo), hint=hint)
    reason = str(getattr(error, "message", error)).strip().partition("\n")[0].rstrip(".")
    reason = reason or type(error).__name__
    if _is_passing(error):
        return HubError(
            "hub-unreachable",
            f"{server} cannot be reached, or does not answer requests now: {reason}.",
            hint="Check the network, the proxy and MODELSCOPE_ENDPOINT; try again later.",
        )
    return HubError(
        "hub-failed",
        f"{server} refused {repo}: {reason}.",
        hint="Check MODELSCOPE_API_TOKEN, MODELSCOPE_ENDPOINT and the proxy.",
    )
