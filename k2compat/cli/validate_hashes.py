"""The options of validate --hash, and its parts of the answer and the document."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from k2compat.checkpoint import Validation
from k2compat.cli.output import Output
from k2compat.cli.paths import PATH
from k2compat.cli.progress import byte_bar
from k2compat.errors import RefusedError
from k2compat.findings import Report
from k2compat.hub import HubRepo, parse_repo_url
from k2compat.printable import counted

if TYPE_CHECKING:
    from k2compat.checkpoint import HashCheck, HashPlan

_THREADS_MAX = 256


def hash_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; their values come by name."""
    options = (
        click.option(
            "--hash",
            "wants_hashes",
            is_flag=True,
            help="Read every byte, and compare it with the hash that the Hub's cache, the "
            "download's metadata or the repo has of each file.",
        ),
        click.option(
            "--hash-repo",
            metavar="hf://ORG/REPO[@REVISION]",
            help="Hash, and use this repo's hashes first.",
        ),
        click.option(
            "--hash-record",
            metavar="FILE",
            type=PATH,
            help="Hash, and keep the hashes in FILE, so that the same command continues.",
        ),
        click.option(
            "--hash-threads",
            metavar="N",
            type=click.IntRange(1, _THREADS_MAX),
            help="Hash so many files at once. [default: one on each core]",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(slots=True)
class HashOptions:
    """The options' values, and later their results."""

    wanted: bool
    repo: HubRepo | None
    record: Path | None
    threads: int | None
    _plan: "HashPlan | None" = field(default=None, init=False)
    _check: "HashCheck | None" = field(default=None, init=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Take the values as click gives them.

        Raises:
            RefusedError: hub-url-malformed.
        """
        repo, record = values["hash_repo"], values["hash_record"]
        wanted = bool(values["wants_hashes"] or repo or record or values["hash_threads"])
        return cls(wanted, None if repo is None else _repo(repo), record, values["hash_threads"])

    def plan(self, place: Path | str) -> None:
        """Find the files to hash. Nothing is read yet, but all refusals are raised here."""
        if self.repo is not None and isinstance(place, str):
            raise click.UsageError("--hash-repo goes with a folder: a repo has its own hashes.")
        if self.wanted:
            from k2compat.checkpoint import plan_hashes

            self._plan = plan_hashes(place, repo=self.repo, record=self.record)

    def check(self, validation: Validation, output: Output) -> Validation:
        """Hash the files; returns the validation with the findings."""
        if self._plan is None:
            return validation
        from k2compat.checkpoint import check_hashes

        with byte_bar("hashing", output) as progress:
            check = check_hashes(self._plan, threads=self.threads, progress=progress)
        self._check = check
        return replace(
            validation,
            report=Report((*validation.report, *check.findings)),
            not_checked=tuple(_not_checked(validation, check)),
        )

    def lines(self) -> list[str]:
        """The lines of the answer for a person."""
        check = self._check
        if check is None or not check.files:  # `not_checked` reports that no hash is known
            return []
        recorded = sum(file.from_record for file in check.files)
        of_record = f" ({recorded:,} of them from the record)" if recorded else ""
        count = sum(file.actual is not None for file in check.files)
        read = f"Hashed {counted(count, 'file')}{of_record}, {counted(check.hashed_bytes, 'byte')}"
        return [f"{read}: {check.matching:,} as known."]

    def document(self) -> dict[str, object]:
        """The document's member `hashes`, only with --hash."""
        check = self._check
        if check is None:
            return {}
        return {
            "hashes": {
                "bytes": check.hashed_bytes,
                "matching": check.matching,
                "files": [
                    {
                        "path": file.relative,
                        "bytes": file.size,
                        "result": str(file.outcome),
                        "kind": file.known.digest.kind,
                        "expected": file.known.digest.value,
                        "actual": file.actual,
                        "known_from": file.known.origin,
                        "from_record": file.from_record,
                    }
                    for file in check.files
                ],
                "not_checked": list(check.not_checked),
            }
        }


def _repo(text: str) -> HubRepo:
    repo = parse_repo_url(text)
    if repo is None:
        raise RefusedError(
            "hub-url-malformed",
            f"{text} is not of the form hf://ORG/REPO or hf://ORG/REPO@REVISION.",
            hint="For example --hash-repo hf://moonshotai/Kimi-K2-Instruct",
        )
    return repo


def _not_checked(validation: Validation, check: "HashCheck") -> Iterator[str]:
    """The sentences of the validation, without the one that is wrong after hashing."""
    from k2compat.checkpoint import UNREAD

    compared = {file.relative for file in check.files if file.is_compared}
    are_read = all(file.path in compared for file in validation.files)
    for words in validation.not_checked:
        if not (are_read and words.endswith(UNREAD)):
            yield words
    if check.not_checked:
        yield f"the bytes of {counted(len(check.not_checked), 'file')}: no hash is known"
