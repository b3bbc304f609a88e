"""The results for each file, as values."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from k2compat.checkpoint.hashes.hashing import HashResult
from k2compat.checkpoint.hashes.known import KnownHash
from k2compat.checkpoint.hashes.plan import HashJob
from k2compat.checkpoint.hashes.record import FileState
from k2compat.findings import Finding
from k2compat.printable import counted

MTIME_TOLERANCE: Final = 1.0
"""Seconds, as in huggingface-hub: it notes a time shortly before or after the file's."""

_EDITABLE: Final = (".json", ".jinja", ".md")
"""Endings of files that users and patch-config change on purpose: never code or weights."""


class HashOutcome(StrEnum):
    """The result of the comparison of one file."""

    MATCHES = "matches"
    DIFFERS = "differs"
    EDITED = "edited"
    OTHER_VERSION = "other-version"
    CHANGED = "changed-meanwhile"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file with a known hash.

    Attributes:
        relative: Its path, with "/".
        outcome: The result of the comparison.
        all_known: Its known hashes, the one that it should have first.
        actual: The hash of its bytes; None where it was not hashed.
        size: Bytes; None where it could not be opened.
        from_record: Whether the hash is from an earlier run.
        reason: Why it is unreadable, or why it was not hashed.
        version: Its commit, if that is known and another one.
    """

    relative: str
    outcome: HashOutcome
    all_known: tuple[KnownHash, ...]
    actual: str | None = None
    size: int | None = None
    from_record: bool = False
    reason: str = ""
    version: str | None = None

    @property
    def known(self) -> KnownHash:
        """The hash that it should have."""
        return self.all_known[0]

    @property
    def is_compared(self) -> bool:
        """Whether its bytes were compared with the hash."""
        return self.actual is not None and self.outcome is not HashOutcome.CHANGED


@dataclass(frozen=True, slots=True)
class HashCheck:
    """The results of a run.

    Attributes:
        files: The files with a known hash, by path.
        not_checked: Paths of the files without one.
        findings: Files that differ, or could not be compared.
    """

    files: tuple[HashedFile, ...]
    not_checked: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def matching(self) -> int:
        """How many files have the hash that they should have."""
        return sum(file.outcome is HashOutcome.MATCHES for file in self.files)

    @property
    def hashed_bytes(self) -> int:
        """The bytes of the files that were hashed, in this run or an earlier one of the record."""
        return sum(file.size or 0 for file in self.files if file.actual is not None)


def judge(job: HashJob, result: HashResult, *, from_record: bool = False) -> HashedFile:
    """Compare a file's hashes with the known ones."""
    matching = [
        known for known in job.known if result.digests[known.digest.kind] == known.digest.value
    ]
    if not result.is_stable:
        outcome = HashOutcome.CHANGED
    elif job.known[0] in matching:
        outcome = HashOutcome.MATCHES
    elif matching:
        outcome = HashOutcome.OTHER_VERSION
    else:
        outcome = HashOutcome.EDITED if _is_edited(job, result) else HashOutcome.DIFFERS
    return HashedFile(
        job.relative,
        outcome,
        job.known,
        actual=result.digests[job.known[0].digest.kind],
        size=result.state.size,
        from_record=from_record,
        version=matching[0].commit if matching else None,
    )


def _is_edited(job: HashJob, result: HashResult) -> bool:
    times = [known.time for known in job.known if known.time is not None]
    return (
        PurePosixPath(job.relative).suffix in _EDITABLE
        and bool(times)
        and result.state.mtime_ns / 1e9 > max(times) + MTIME_TOLERANCE
    )


def other_size(job: HashJob, state: FileState) -> HashedFile | None:
    """The result for a file whose size shows that it is not the listed one."""
    known = job.known[0]
    # If a download left a hash, too, it shows whether the file is of another version.
    if known.size is None or known.size == state.size or len(job.known) > 1:
        return None
    reason = f"has {counted(state.size, 'byte')}, {abs(state.size - known.size):,} "
    reason += "more" if state.size > known.size else "fewer"
    return HashedFile(job.relative, HashOutcome.DIFFERS, job.known, size=state.size, reason=reason)


def unreadable(job: HashJob, error: OSError) -> HashedFile:
    """The result for a file that cannot be read."""
    reason = error.strerror or type(error).__name__
    return HashedFile(job.relative, HashOutcome.UNREADABLE, job.known, reason=reason)
