"""Hashing of the files of a plan in several threads, and comparison of the hashes.

Files are independent, so each has one thread, the largest first: with 61 shards of equal size the
last ones end together.
"""

import os
import threading
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final

from k2compat.checkpoint.hashes.findings import findings_of
from k2compat.checkpoint.hashes.hashing import HashResult, hash_file, state_of
from k2compat.checkpoint.hashes.plan import HashJob, HashPlan
from k2compat.checkpoint.hashes.record import FileState
from k2compat.checkpoint.hashes.results import HashCheck, HashedFile, judge, other_size, unreadable
from k2compat.checkpoint.reporting import Progress
from k2compat.hub import Workers

_SECONDS_BETWEEN_LOOKS: Final = 0.2
"""The interval for progress and Ctrl-C while large files are hashed."""


def check_hashes(
    plan: HashPlan,
    *,
    threads: int | None = None,
    progress: Progress = lambda _done, _total: None,
) -> HashCheck:
    """Hash files, and compare them with their known hashes.

    The hashes are in the record, if the plan has one, even if the run is interrupted.

    Args:
        plan: The result of `plan_hashes`.
        threads: How many files are hashed at once; None for one on each core.
        progress: Called regularly with the bytes done and the bytes in all.

    Returns:
        The results. A file that cannot be read is a finding.
    """
    run = _Run(plan)
    run.take_recorded()
    run.hash_rest(threads or core_count(), progress)
    failure = None if plan.record is None else plan.record.save()
    files = tuple(sorted(run.done, key=lambda file: file.relative))
    return HashCheck(files, plan.unknown, findings_of(plan, files, failure))


def core_count() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # pragma: no cover - not on Linux


class _Run:
    """One run over a plan.

    Attributes:
        done: The result of each file so far.
    """

    def __init__(self, plan: HashPlan) -> None:
        self.done: list[HashedFile] = []
        self._plan = plan
        self._rest: list[tuple[HashJob, FileState]] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._bytes = 0

    def take_recorded(self) -> None:
        """Take the hashes of the record; the remaining files are hashed, the largest first."""
        for job in self._plan.jobs:
            try:
                state = state_of(job.path)
            except OSError as error:
                self.done.append(unreadable(job, error))
                continue
            recorded = self._recorded(job, state)
            if recorded:
                self.done.append(judge(job, HashResult(state, recorded, True), from_record=True))
            elif (size := other_size(job, state)) is not None:
                self.done.append(size)
            else:
                self._rest.append((job, state))
        self._rest.sort(key=lambda entry: -entry[1].size)

    def _recorded(self, job: HashJob, state: FileState) -> dict[str, str]:
        """The file's hashes in the record; {} unless it has all that are wanted."""
        if self._plan.record is None:
            return {}
        found: dict[str, str] = {}
        for known in job.known:
            digest = self._plan.record.find(job.relative, state, known.digest.kind)
            if digest is None:
                return {}
            found[known.digest.kind] = digest
        return found

    def hash_rest(self, threads: int, progress: Progress) -> None:
        total = sum(state.size for _, state in self._rest)
        workers = Workers(self._hash, min(threads, len(self._rest) or 1), "k2compat-hash")
        pending = {workers.submit(job) for job, _ in self._rest}
        try:
            while pending:
                ended, pending = wait(pending, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                self.done += map(Future.result, ended)
                progress(self._bytes, total)
                if self._plan.record is not None:
                    self._plan.record.save_at_times()
        except BaseException:
            # Above all for Ctrl-C. A hashed file is in the record before its future is done.
            self._stop.set()
            workers.close()
            if self._plan.record is not None:
                self._plan.record.save()
            raise
        workers.close()

    def _hash(self, job: HashJob) -> HashedFile:
        """Hash one file, in a thread."""
        digests = {known.digest.kind: known.digest for known in job.known}
        try:
            result = hash_file(job.path, digests.values(), self._advance, self._stop)
        except OSError as error:
            return unreadable(job, error)
        if result.is_stable and self._plan.record is not None:
            self._plan.record.add(job.relative, result.state, result.digests)
        return judge(job, result)

    def _advance(self, count: int) -> None:
        with self._lock:
            self._bytes += count
