"""Findings of the comparison of hashes, with the command that downloads a file again."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from k2compat.checkpoint.hashes.known import CACHE, LISTING, KnownHash
from k2compat.checkpoint.hashes.plan import HashPlan
from k2compat.checkpoint.hashes.results import HashedFile, HashOutcome
from k2compat.checkpoint.reporting import FileFindings, fold_equal
from k2compat.errors import K2CompatError
from k2compat.findings import Finding
from k2compat.printable import counted
from k2compat.shell_line import shell_line

_MODELSCOPE: Final = "ms://"
_SOME_REPO: Final = "ORG/REPO"

_CODES: Final = {
    HashOutcome.DIFFERS: "hash-differs",
    HashOutcome.EDITED: "hash-edited",
    HashOutcome.OTHER_VERSION: "hash-other-version",
    HashOutcome.CHANGED: "hash-changed-meanwhile",
    HashOutcome.UNREADABLE: "file-unreadable",
}


def findings_of(
    plan: HashPlan, files: Iterable[HashedFile], failure: K2CompatError | None
) -> tuple[Finding, ...]:
    """The findings of a whole run.

    Args:
        plan: The plan of the run.
        files: The result of each file.
        failure: The reason why the record could not be written.
    """
    each = [finding for file in files for finding in _of_file(plan, file)]
    return (*fold_equal(plan.root, each), *_of_all(plan, failure))


def _of_file(plan: HashPlan, file: HashedFile) -> Iterator[Finding]:
    if file.outcome is HashOutcome.MATCHES:
        return
    found = FileFindings(f"{plan.root}/{file.relative}")
    is_compared = file.is_compared
    found.add(
        _CODES[file.outcome],
        _message(file),
        expected=f"{file.known.digest.kind} {file.known.digest.value}" if is_compared else None,
        actual=f"{file.known.digest.kind} {file.actual}" if is_compared else None,
        fix=_fix(plan, file),
    )
    yield from found.findings()


def _message(file: HashedFile) -> str:
    match file.outcome:
        case HashOutcome.EDITED:
            return "was changed after it was downloaded: its bytes are not the repo's"
        case HashOutcome.OTHER_VERSION:
            return f"is whole, and of another version than {file.known.place}"
        case HashOutcome.CHANGED:
            return "was changed while it was read: its hash is of no version of it"
        case HashOutcome.UNREADABLE:
            return f"cannot be read: {file.reason}"
        case _ if file.reason:
            return f"{file.reason} than {file.known.place} lists"
        case _:
            return f"has other bytes than the repo's: {_source(file.known)} another hash"


def _source(known: KnownHash) -> str:
    if known.origin == LISTING:
        return f"{known.place} lists"
    if known.origin == CACHE:
        return "the Hub's cache names it by"
    return "its download noted"


def _fix(plan: HashPlan, file: HashedFile) -> str | None:
    match file.outcome:
        case HashOutcome.UNREADABLE:
            return None
        case HashOutcome.CHANGED:
            return "Wait until the program that writes it has ended, and run the command again."
        case HashOutcome.OTHER_VERSION if file.version is not None:
            repo = f"hf://{file.known.repo}@{file.version}"
            return shell_line("k2compat", "validate", Path(plan.name), "--hash-repo", repo)
    return download_command(file.all_known, file.relative)


def download_command(known: Sequence[KnownHash], relative: str) -> str:
    """A command to paste that downloads one file again, in place of the present one.

    Args:
        known: All known hashes of the file, the one that it should have first.
        relative: Its path below the folder.
    """
    first = known[0]
    # A listing knows the repo, and the metadata of a download know the folder.
    repo = next(filter(None, (each.repo for each in known)), None)
    at = next((each for each in known if each.origin != LISTING), first)
    if repo is not None and repo.startswith(_MODELSCOPE):
        repo = repo.removeprefix(_MODELSCOPE)
        where = ("--local_dir", at.folder) if at.folder else ()
        return shell_line("modelscope", "download", "--model", repo, first.path or relative, *where)
    revision = ("--revision", first.commit) if first.commit else ()
    option = "--cache-dir" if at.origin == CACHE else "--local-dir"
    where = (option, at.folder) if at.folder else ()
    words = ("hf", "download", repo or _SOME_REPO, first.path or relative, *revision, *where)
    line = shell_line(*words, "--force-download")
    return line if repo else f"Put the repo's name for {_SOME_REPO} in: {line}"


def _of_all(plan: HashPlan, failure: K2CompatError | None) -> Iterator[Finding]:
    found = FileFindings(plan.root)
    if plan.unknown and not plan.jobs:
        found.add(
            "hash-none-known",
            f"no hash is known of {counted(len(plan.unknown), 'file')}: nothing was compared",
            count=len(plan.unknown),
            items=plan.unknown,
        )
    elif plan.unknown:
        found.add_named(
            "hash-unknown",
            f"no hash is known of {counted(len(plan.unknown), 'file')}",
            plan.unknown,
        )
    if plan.absent:
        found.add_named(
            "hash-file-absent",
            f"the repo's listing has {counted(len(plan.absent), 'more file')}, not here",
            plan.absent,
        )
    if failure is not None:
        found.add("hash-record-failed", f"the record was not written: {failure.message}")
    yield from found.findings()
