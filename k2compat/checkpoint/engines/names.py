"""The engines that have a table in this folder, and the folding of their verdicts.

This is a module of its own, so that `--help` loads no reader of GGUFs.
"""

from functools import cache
from pathlib import Path

from k2compat.findings import Codes, Finding, Report, Severity

_codes = Codes("checkpoint")
_FOLDER = Path(__file__).parent


@cache
def engine_names() -> tuple[str, ...]:
    """The engines that have verdicts, as `--engine` takes them: the tables' names."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def table_path(engine: str) -> Path:
    """The file that holds the verdicts of one of `engine_names()`."""
    return _FOLDER / f"{engine}.toml"


def fold_verdicts(report: Report) -> Report:
    """The report with the verdicts of single engines as one info that lists their codes.

    Most people use one engine. The verdicts of an engine that the user named are not folded.
    """
    verdicts = [finding for finding in report if _is_verdict(finding)]
    if not verdicts:
        return report
    codes = sorted({finding.code for finding in verdicts})
    message = f"Engines differ: {', '.join(codes)}. Add --engine NAME to judge for one of them."
    folded = _codes.finding("engines-differ", "", message, count=len(codes))
    return Report((*(finding for finding in report if not _is_verdict(finding)), folded))


def _is_verdict(finding: Finding) -> bool:
    prefixes = ("engine-", *(f"{name.replace('.', '-')}-" for name in engine_names()))
    return finding.severity is Severity.INFO and finding.code.startswith(prefixes)
