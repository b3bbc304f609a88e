"""k2compat patch-config: switch model_type between kimi_k2 and deepseek_v3."""

from dataclasses import dataclass
from pathlib import Path

import click

from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import NAMED, PATH
from k2compat.config import (
    Overlay,
    Patch,
    Target,
    find_target,
    notes_on_place,
    owner_findings,
    patch_in_place,
    plan_patch,
    unified_diff,
)
from k2compat.family import SWITCHABLE, WRAPPERS
from k2compat.findings import Finding, Report
from k2compat.printable import printable


@click.command("patch-config")
@click.argument("model", type=NAMED)
@click.option("--to", type=click.Choice(SWITCHABLE), required=True, help="The model_type to set.")
@click.option(
    "--at",
    type=click.Choice(sorted(set(WRAPPERS.values()))),
    help="Change the model_type nested here (Kimi-K2.5) instead of the one at the top.",
)
@click.option(
    "--overlay",
    "overlay_folder",
    metavar="DIR",
    type=PATH,
    help="Do not change MODEL; make DIR with the patched config and links to the rest.",
)
@click.option("--backup", is_flag=True, help="Keep the old file as config.json.bak.")
@click.option("--force", is_flag=True, help="Change to kimi_k2 without Kimi-K2's fingerprint.")
@click.option("--dry-run", is_flag=True, help="Print the change as a unified diff; write nothing.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if there is a change.")
@click.pass_obj
def command(
    output: Output,
    model: str,
    to: str,
    at: str | None,
    overlay_folder: Path | None,
    backup: bool,
    force: bool,
    dry_run: bool,
    check: bool,
) -> Outcome:
    """Change a config's model_type and no other byte.

    MODEL is a model's folder or its config.json.
    """
    if overlay_folder is not None and backup:
        raise click.UsageError("--backup has nothing to keep with --overlay: MODEL is not changed.")
    target = find_target(model)
    write = not (dry_run or check)

    def plan(data: bytes, result: Path | None = None) -> Patch:
        return plan_patch(
            data, to=to, at=at, where=str(target.path), result=str(result or ""), force=force
        )

    if overlay_folder is not None:
        overlay = Overlay(target, overlay_folder)
        patch = plan(target.read(), overlay.config)
        result = _as_overlay(output, overlay, patch, write=write)
    elif write:
        patch = patch_in_place(target, plan, backup=backup, waiting=output.waiting)
        result = _in_place(target, patch, written=patch.changes)
    else:
        patch = plan(target.read())
        if patch.changes:
            target.refuse_write()
        result = _in_place(target, patch)
    return _outcome(result, dry_run=not write, check=check, with_diff=dry_run or output.as_json)


@dataclass(frozen=True, slots=True)
class _Result:
    """A patch that was written at `path`, or would be."""

    patch: Patch
    path: Path
    changed: bool
    findings: tuple[Finding, ...]


def _in_place(target: Target, patch: Patch, *, written: bool = False) -> _Result:
    findings = patch.findings
    if patch.changes:
        findings += notes_on_place(target)
    if written:
        findings += owner_findings(target)
    return _Result(patch, target.path, patch.changes, findings)


def _as_overlay(output: Output, overlay: Overlay, patch: Patch, *, write: bool) -> _Result:
    missing = not overlay.exists(patch.new)
    if missing and write:
        missing = overlay.build(patch.new, output.waiting)
    return _Result(patch, overlay.config, missing, patch.findings + overlay.findings())


def _outcome(result: _Result, *, dry_run: bool, check: bool, with_diff: bool) -> Outcome:
    patch = result.patch
    # A user who changes the file sees the costs; a script that only checks does not.
    costs = patch.costs if result.changed and not check else ()
    report = Report((*costs, *result.findings))
    diff = unified_diff(patch, str(result.path)) if with_diff and patch.changes else None
    document = {
        "path": str(result.path),
        "at": patch.at,
        "from": patch.source,
        "to": patch.target,
        "changed": result.changed,
        "dry_run": dry_run,
        "diff": diff,
    }
    shows_diff = dry_run and not check and diff is not None
    answer = diff if shows_diff and diff else _sentence(result, dry_run=dry_run)
    exit_code = FOUND_ERRORS if report.has_errors or (check and result.changed) else OK
    return Outcome(document, answer, report, exit_code, verbatim=shows_diff)


def _sentence(result: _Result, *, dry_run: bool) -> str:
    path = printable(str(result.path))
    patch = result.patch
    name = f"{patch.at}.model_type" if patch.at else "model_type"
    if not result.changed:
        return f"{path}: nothing to do, {name} is {patch.target} already."
    if not patch.changes:
        verb = "would link" if dry_run else "linked"
        return f"{path}: {verb}, {name} is {patch.target} already."
    verb = "would change" if dry_run else "changed"
    return f"{path}: {verb} {name} from {patch.source} to {patch.target}."
