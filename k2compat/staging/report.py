"""The findings on a plan."""

from collections.abc import Iterator

from k2compat.family import CONFIG_FILE
from k2compat.findings import Codes, Finding
from k2compat.printable import counted
from k2compat.shell_line import shell_line
from k2compat.staging.plan import PlannedFile, StagingAction, StagingPlan
from k2compat.staging.source import ModelFiles, naming

_codes = Codes("staging")


def plan_findings(plan: StagingPlan, source: ModelFiles) -> Iterator[Finding]:
    """Findings on conflicts and left-out files."""
    conflicts = plan.having(StagingAction.CONFLICT)
    differing = [file for file in conflicts if file.obstacle is None]
    if differing:
        yield _differing(plan, differing)
    for file in conflicts:
        if file.obstacle is not None:
            yield _codes.finding(
                "target-blocked",
                plan.target / file.relative,
                f"{file.relative} cannot be put there: {file.obstacle}.",
            )
    yield from _left_out(source)


def _differing(plan: StagingPlan, files: list[PlannedFile]) -> Finding:
    names = [file.relative for file in files]
    words = counted(len(names), "file differs", "files differ")
    return _codes.finding(
        "target-differs",
        plan.target,
        f"{words} from the model's and stayed untouched: {', '.join(names)}.",
        count=len(names),
        fix=_way_out(names),
    )


def _way_out(names: list[str]) -> str:
    if names == [CONFIG_FILE]:
        return (
            "Look at the difference first; --force takes the model's, --exclude config.json keeps "
            "yours. If yours was patched, add --patch-to deepseek_v3."
        )
    keep = shell_line(*(word for name in names for word in ("--exclude", name)))
    return f"To keep yours: {keep}. To take the model's: --force."


def _left_out(source: ModelFiles) -> Iterator[Finding]:
    by_reason: dict[tuple[str, str], list[str]] = {}
    for file in source.skipped:
        by_reason.setdefault((file.reason.code, file.reason.what), []).append(file.relative)
    for (code, what), names in by_reason.items():
        yield _codes.finding(
            code, source.name, f"Left out, {what}: {naming(names, 3)}.", count=len(names)
        )
