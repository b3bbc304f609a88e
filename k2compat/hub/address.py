"""hf://ORG/REPO[@REVISION], and ms:// on ModelScope: a model repo's address."""

import os
import re
from dataclasses import dataclass
from typing import Final

from k2compat.errors import RefusedError
from k2compat.shell_line import shell_line

HUGGING_FACE: Final = "hf"
MODELSCOPE: Final = "ms"
# The Hub's rules for names and Git's for refs. Both become paths in the cache, so ".." and
# parts that begin with a dot must not get through.
_REPO_ID = re.compile(r"\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", re.ASCII)
_NOT_IN_REPO_ID = re.compile(r"--|\.\.|\.git\Z")
_REVISION_PART = r"(?!\.)[^\s/~^:?*\[\\\x00-\x1f\x7f]+"
_REVISION = re.compile(rf"{_REVISION_PART}(?:/{_REVISION_PART})*")
_FETCHES: Final = {
    HUGGING_FACE: ("hf", "download", "{repo}", "--local-dir", "{name}"),
    MODELSCOPE: ("modelscope", "download", "--model", "{repo}", "--local_dir", "{name}"),
}
# No repo is called so; a file in a folder is.
_FILE_SUFFIXES: Final = (".gguf", ".json", ".safetensors")
# What stands first in the address of something other than ORG/REPO.
_REPO_TYPES = ("models", "datasets", "spaces", "kernels", "buckets")


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A model repo at a branch, tag or commit; None is its main branch.

    Attributes:
        repo_id: ORG/REPO.
        revision: The branch, tag or commit.
        scheme: HUGGING_FACE or MODELSCOPE.
    """

    repo_id: str
    revision: str | None = None
    scheme: str = HUGGING_FACE

    @property
    def address(self) -> str:
        """hf://ORG/REPO[@REVISION], or the same with ms://."""
        return f"{self.scheme}://{self}"

    def __str__(self) -> str:
        """ORG/REPO or ORG/REPO@REVISION."""
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def parse_hub_url(text: str) -> HubRepo | None:
    """Read hf://ORG/REPO[@REVISION] or the same with a slash behind.

    Returns:
        The repo, or None for what does not begin with hf://.

    Raises:
        RefusedError: hub-url-malformed.
    """
    return _parse(text, HUGGING_FACE)


def parse_repo_url(text: str) -> HubRepo | None:
    """Read hf://ORG/REPO[@REVISION] or ms://ORG/REPO[@REVISION].

    Returns:
        The repo, or None for what begins with neither.

    Raises:
        RefusedError: hub-url-malformed.
    """
    return _parse(text, HUGGING_FACE) or _parse(text, MODELSCOPE)


def refuse_repo_name(text: str) -> None:
    """Refuse ORG/REPO where a folder is meant and there is none of that name.

    Args:
        text: What the user typed. A path (./name, /name, name/) is not taken for a repo.

    Raises:
        RefusedError: not-found, with the address to type.
    """
    if is_repo_name(text):
        raise RefusedError(
            "not-found",
            f"{text} does not exist.",
            hint=f"For the repo on the Hub, write {HUGGING_FACE}://{text}; for a folder, check the "
            "path.",
        )


def is_repo_name(text: str) -> bool:
    """Whether a text has the form ORG/REPO, and no file or folder here is called so."""
    is_path = text.startswith(".") or text.endswith(_FILE_SUFFIXES) or os.path.lexists(text)
    return _is_repo_id(text) and not is_path


def fetch_command(repo: HubRepo) -> str:
    """What to paste to have a repo as a folder, whose name is the repo's own."""
    name = repo.repo_id.partition("/")[2]
    words = (word.format(repo=repo.repo_id, name=name) for word in _FETCHES[repo.scheme])
    revision = ("--revision", repo.revision) if repo.revision else ()
    return shell_line(*words, *revision)


def _parse(text: str, scheme: str) -> HubRepo | None:
    prefix = f"{scheme}://"
    if not text.startswith(prefix):
        return None
    repo_id, at, revision = text.removeprefix(prefix).removesuffix("/").partition("@")
    if not _is_repo_id(repo_id) or (at and not _is_revision(revision)):
        raise RefusedError(
            "hub-url-malformed",
            f"{text} is not of the form {prefix}ORG/REPO or {prefix}ORG/REPO@REVISION.",
            hint=f"For example {prefix}moonshotai/Kimi-K2-Instruct",
        )
    return HubRepo(repo_id, revision or None, scheme)


def _is_repo_id(text: str) -> bool:
    named = _REPO_ID.fullmatch(text) is not None and not _NOT_IN_REPO_ID.search(text)
    return named and text.partition("/")[0] not in _REPO_TYPES


def _is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text
