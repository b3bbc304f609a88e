"""k2compat launch: the right commands for an engine, a model and a cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from k2compat.cli.launch_options import launch_options, read_request
from k2compat.cli.output import FINE, FOUND_ERRORS, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.files import NewFile, write_bundle
from k2compat.findings import Finding, Report
from k2compat.launch.fit import explain_fit
from k2compat.launch.formats import for_format
from k2compat.launch.plan import Plan
from k2compat.launch.plan_checks import check_plan, fits_of, refusal_of
from k2compat.launch.planning import plan_launch
from k2compat.launch.render import FORMATS, Script, render
from k2compat.launch.render.document import as_document
from k2compat.launch.sizes import model_sizes


@click.command("launch", short_help="Print the commands that serve a model, for each node.")
@launch_options
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="For a person, or files for a shell or a cluster.",
)
@click.option("--out", "folder", metavar="DIR", type=PATH, help="Write the files into DIR.")
@click.option(
    "--explain-fit", "explain", is_flag=True, help="Print the sum of the memory; needs --gpu."
)
@click.option("--force", is_flag=True, help="Replace files that differ; render what cannot fit.")
@click.pass_obj
def command(
    output: Output,
    /,
    output_format: str,
    folder: Path | None,
    explain: bool,
    force: bool,
    **options: Any,
) -> Outcome:
    """Print the commands that serve MODEL with ENGINE on a cluster, node by node.

    MODEL is a folder, whose config is read, or a name. Hosts and other values may be
    placeholders ($MASTER_IP, ${PORT}, <IMAGE>): they are carried through.
    """
    request = for_format(read_request(options), output_format)
    plan = plan_launch(request)
    report = Report((*plan.findings, *check_plan(plan, request.model.config)))
    refusal = refusal_of(report.findings)
    if explain:
        return _explained(plan, request.model.config, report)
    if refusal is not None and not force:
        raise refusal
    files = render(plan, output_format)
    document = as_document(plan)
    if folder is None:
        answer = _only(files, output_format)
    else:
        answer = _write(folder, files, force, output)
        document["written"] = [str(folder / name) for name in files]
    code = FOUND_ERRORS if report.has_errors else FINE
    return Outcome(document, answer, report, code, verbatim=folder is None)


def _explained(plan: Plan, config: Mapping[str, Any], report: Report) -> Outcome:
    """The sum of each group's memory, in place of the commands."""
    sizes = model_sizes(config)
    fits = {} if isinstance(sizes, Finding) else fits_of(plan, sizes)
    lines = {group: explain_fit(fit) for group, fit in fits.items()}
    answer = "\n\n".join(
        "\n".join([*([f"{group}:"] if group else []), *explained])
        for group, explained in lines.items()
    )
    document = {"engine": plan.engine, "strategy": plan.strategy, "fit": lines}
    return Outcome(document, answer, report, FOUND_ERRORS if report.has_errors else FINE)


def _only(files: Mapping[str, Script], output_format: str) -> str:
    """The one file that can go to stdout."""
    if len(files) > 1:
        raise click.UsageError(
            f"--format {output_format} makes {len(files)} files here; say where: --out DIR"
        )
    return next(iter(files.values())).text


def _write(folder: Path, files: Mapping[str, Script], force: bool, output: Output) -> str:
    new = {name: NewFile(script.text.encode(), script.executable) for name, script in files.items()}
    written = write_bundle(folder, new, replace=force, waiting=output.waiting)
    return "\n".join(f"{'new ' if name in written else 'same'}  {folder / name}" for name in files)
