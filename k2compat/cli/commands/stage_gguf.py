"""k2compat stage-gguf: put every file of a model except its weights into its GGUFs' folder."""

from pathlib import Path

import click

from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import NAMED, PATH
from k2compat.cli.progress import progress_bar
from k2compat.family import DEEPSEEK_V3
from k2compat.findings import Finding, Report
from k2compat.hub import RemoteRepo, find_companions, parse_repo_url
from k2compat.printable import printable
from k2compat.staging import DOWNLOAD_NOT, LinkMode, Staging, StagingAction, StagingRequest, stage

# For a model with more files than usual, the rest is shown as a number.
_SHOWN_FILES = 40


@click.command("stage-gguf")
@click.argument("model", type=NAMED)
@click.argument("gguf_folder", metavar="GGUF_DIR", type=PATH)
@click.option(
    "--into",
    metavar="DIR",
    type=PATH,
    help="Do not change GGUF_DIR; put the files and links to its GGUFs into DIR.",
)
@click.option(
    "--link",
    type=click.Choice([mode.value for mode in LinkMode]),
    default=LinkMode.AUTO.value,
    show_default=True,
    help="How files get there; auto clones if the file system can, else copies.",
)
@click.option(
    "--patch-to",
    type=click.Choice([DEEPSEEK_V3]),
    help="Give the staged config this model_type.",
)
@click.option(
    "--exclude",
    metavar="PATTERN",
    multiple=True,
    help="Leave out files that match, by path or name; may be repeated.",
)
@click.option("--follow-links", is_flag=True, help="Accept links that lead out of MODEL.")
@click.option("--force", is_flag=True, help="Replace files that differ.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if there is a change.")
@click.pass_obj
def command(
    output: Output,
    model: str,
    gguf_folder: Path,
    into: Path | None,
    link: str,
    patch_to: str | None,
    exclude: tuple[str, ...],
    follow_links: bool,
    force: bool,
    dry_run: bool,
    check: bool,
) -> Outcome:
    """Put every file of MODEL except its weights into GGUF_DIR, the folder of its GGUFs.

    MODEL is a folder, hf://ORG/REPO[@REVISION] or ms://ORG/REPO[@REVISION] (ModelScope). An
    existing file that differs is never replaced without --force. The same command again continues
    a run that was cut off.
    """
    found, known = _find(model)
    request = StagingRequest(
        model=found,
        gguf_folder=gguf_folder,
        into=into,
        mode=LinkMode(link),
        patch_to=patch_to,
        follow_links=follow_links,
        exclude=exclude,
        force=force,
    )
    write = not (dry_run or check)
    with progress_bar("staging", output) as advance:
        staging = stage(request, write=write, waiting=output.waiting, progress=advance)
    report = Report((*known, *staging.report))
    return _outcome(staging, report, model, dry_run=not write, check=check)


def _find(model: str) -> tuple[str | RemoteRepo | Path, tuple[Finding, ...]]:
    """The model's folder or repo, and findings on it."""
    repo = parse_repo_url(model)
    if repo is None:
        return model, ()
    return find_companions(repo, DOWNLOAD_NOT)


def _outcome(
    staging: Staging, report: Report, model: str, *, dry_run: bool, check: bool
) -> Outcome:
    plan = staging.plan
    files = [
        {"path": file.relative, "action": file.action.value, "bytes": file.size}
        for file in plan.files
    ]
    skipped = [
        {"path": file.relative, "action": StagingAction.SKIPPED.value, "bytes": file.size}
        for file in staging.source.skipped
    ]
    document = {
        "source": model,
        "target": str(plan.target),
        "dry_run": dry_run,
        "files": files + skipped,
    }
    failed = report.has_errors or (check and plan.changes)
    answer = "\n".join(_lines(staging, dry_run=dry_run))
    return Outcome(document, answer, report, FOUND_ERRORS if failed else OK)


def _lines(staging: Staging, *, dry_run: bool) -> list[str]:
    plan = staging.plan
    counts = ", ".join(
        f"{len(files)} {action}" for action in StagingAction if (files := plan.having(action))
    )
    shown = [file for file in plan.files if file.action is not StagingAction.SAME]
    lines = [
        f"{file.action:8}  {printable(file.relative)}  ({_size(file.size)})"
        for file in shown[:_SHOWN_FILES]
    ]
    if len(shown) > _SHOWN_FILES:
        lines.append(f"… and {len(shown) - _SHOWN_FILES} more")
    verb = "would be " if dry_run else ""
    done = "Nothing to do" if not plan.changes else f"Files {verb}staged"
    left_out = len(staging.source.skipped)
    lines.append(
        f"{done} in {printable(str(plan.target))}: {counts or 'no files'}"
        + (f"; {left_out} left out." if left_out else ".")
    )
    return lines


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
