"""k2compat launch: the right commands for an engine, a model and a cluster."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from k2compat.cli.engine_flags import EngineCommand
from k2compat.cli.launch_options import SECTIONS, launch_options, read_request
from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.cli.values import TEXT
from k2compat.findings import Finding, Report
from k2compat.launch import (
    FORMATS,
    Plan,
    Request,
    Script,
    as_document,
    check_plan,
    explain_fit,
    fits_of,
    for_format,
    model_sizes,
    plan_launch,
    refusal_of,
    render_plan,
    unused_options,
)
from k2compat.printable import counted

_SECTIONS = {
    **SECTIONS,
    "Output": ("output_format", "folder", "explain", "force"),
    "Run on this node": ("run", "node_rank", "skip_preflight"),
}


@click.command(
    "launch",
    cls=EngineCommand,
    sections=_SECTIONS,
)
@launch_options
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="Text for a person, or files for a shell or a cluster.",
)
@click.option("--out", "folder", metavar="DIR", type=PATH, help="Write the files into DIR.")
@click.option(
    "--explain-fit", "explain", is_flag=True, help="Print the memory estimate; needs --gpu."
)
@click.option(
    "--check-installed",
    "ask",
    is_flag=True,
    help="Check the commands with the installed engine's parser.",
)
@click.option("--run", is_flag=True, help="Run this node's commands, after the preflight.")
@click.option(
    "--node-rank", metavar="N|NAME", type=TEXT, help="For --run: the node of the plan that this is."
)
@click.option("--skip-preflight", is_flag=True, help="For --run: skip the preflight checks.")
@click.option(
    "--force", is_flag=True, help="Replace files that differ; render a plan that cannot fit."
)
@click.pass_obj
def command(
    output: Output,
    /,
    output_format: str,
    folder: Path | None,
    explain: bool,
    ask: bool,
    run: bool,
    node_rank: str | None,
    skip_preflight: bool,
    force: bool,
    **options: Any,
) -> Outcome:
    """Print the commands that serve MODEL with ENGINE on a cluster, node by node.

    MODEL is a folder, whose config is read, or a name. Hosts and other values may be
    placeholders ($MASTER_IP, ${PORT}, <IMAGE>), which are kept.
    """
    if explain:
        _demand_sum_alone(run=run, written=folder is not None or output_format != FORMATS[0])
    # The processes that --run starts end with this process, as in a script.
    request = for_format(read_request(options), "sh" if run else output_format)
    plan = plan_launch(request)
    given = [name for name, value in options.items() if value not in (None, False)]
    unused = unused_options(request, plan, output_format, given)
    checked = check_plan(plan, request.model.config, request.model.loaded_bytes)
    report = Report((*plan.findings, *unused, *checked, *_asked(plan, ask)))
    refusal = refusal_of(report.findings)
    if explain:
        return _explained(plan, request.model.config, report)
    if refusal is not None and not force:
        raise refusal
    if run or node_rank is not None or skip_preflight:
        if node_rank is None and len(plan.nodes) == 1:
            node_rank = "0"
        _demand_run(run, node_rank, output_format, folder)
        return _run(request, plan, str(node_rank), skip_preflight, output)
    document = as_document(plan)
    if folder is not None:
        files = render_plan(plan, output_format)
        answer = _write(folder, files, force, output)
        document["written"] = [str(folder / name) for name in files]
    elif output.as_json and output_format == FORMATS[0]:
        answer = ""  # the text for a person, which the document replaces
    else:
        answer = _only(render_plan(plan, output_format), output_format)
    code = FOUND_ERRORS if report.has_errors else OK
    return Outcome(document, answer, report, code, verbatim=folder is None)


def _asked(plan: Plan, ask: bool) -> Iterable[Finding]:
    if not ask:
        return ()
    from k2compat.launch import check_plan_installed

    return check_plan_installed(plan)


def _explained(plan: Plan, config: Mapping[str, Any], report: Report) -> Outcome:
    """The sum of each group's memory, in place of the commands.

    Raises:
        click.UsageError: No GPU was named.
    """
    if plan.cluster.gpu is None:
        raise click.UsageError("--explain-fit needs --gpu: how much memory has one?")
    report = Report(tuple(each for each in report if each.code != "placeholder-open"))
    sizes = model_sizes(config)
    fits = {} if isinstance(sizes, Finding) else fits_of(plan, sizes)
    lines = {group: explain_fit(fit) for group, fit in fits.items()}
    answer = "\n\n".join(
        "\n".join([*([f"{group}:"] if group else []), *explained])
        for group, explained in lines.items()
    )
    document = {"engine": plan.engine, "strategy": plan.strategy, "fit": lines}
    return Outcome(document, answer, report, FOUND_ERRORS if report.has_errors else OK)


def _demand_sum_alone(*, run: bool, written: bool) -> None:
    if run or written:
        raise click.UsageError("--explain-fit prints the sum alone; leave --run, --format, --out.")


def _demand_run(run: bool, node_rank: str | None, output_format: str, folder: Path | None) -> None:
    if not run:
        raise click.UsageError("--node-rank and --skip-preflight go with --run.")
    if node_rank is None:
        raise click.UsageError("--run needs --node-rank: which node of the plan is this?")
    if folder is not None or output_format not in ("text", "sh"):
        raise click.UsageError("--run prints and writes nothing; leave --format and --out out.")


def _run(
    request: Request, plan: Plan, node_rank: str, skip_preflight: bool, output: Output
) -> Outcome:
    """Run the node's commands in this process; returns only if its preflight found errors."""
    from k2compat.launch import become_node, node_of, preflight_plan, resolve_plan

    if not skip_preflight:
        found = preflight_plan(
            plan, request.model, node_rank=node_rank, gguf_path=_gguf_path(request)
        )
        report = Report(found.findings)
        if report.has_errors:
            words = "Nothing was started: see the errors. --skip-preflight starts all the same."
            document = {**as_document(plan), "started": False}
            return Outcome(document, words, report, FOUND_ERRORS)
        output.print_findings(report)
    resolved = resolve_plan(plan, os.environ)
    return become_node(resolved, node_of(resolved, node_rank), os.environ)


def _gguf_path(request: Request) -> str | None:
    word = request.values.get("gguf_path")
    return None if word is None else str(word)


def _only(files: Mapping[str, Script], output_format: str) -> str:
    """The only file, which can be written to stdout."""
    if len(files) > 1:
        raise click.UsageError(
            f"--format {output_format} makes {counted(len(files), 'file')} here; say where: "
            "--out DIR"
        )
    return next(iter(files.values())).text


def _write(folder: Path, files: Mapping[str, Script], force: bool, output: Output) -> str:
    from k2compat.files import NewFile, write_bundle

    new = {name: NewFile(script.text.encode(), script.executable) for name, script in files.items()}
    written = write_bundle(folder, new, replace=force, waiting=output.waiting)
    return "\n".join(f"{'new ' if name in written else 'same'}  {folder / name}" for name in files)
