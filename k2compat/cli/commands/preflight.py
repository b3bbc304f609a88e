"""k2compat preflight: find what would stop a launch, before it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from k2compat.cli.common_options import with_common_options
from k2compat.cli.engine_flags import EngineCommand
from k2compat.cli.launch_options import SECTIONS, launch_options, read_request
from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.cli.values import TEXT
from k2compat.errors import RefusedError
from k2compat.files import explained_reading, read_input
from k2compat.findings import Finding, Report, Severity
from k2compat.launch import (
    Inspection,
    NodeFacts,
    NodeReport,
    Plan,
    compare_reports,
    listen_on,
    plan_launch,
    plan_parts,
    ports_here,
    preflight_plan,
    probe_others,
)
from k2compat.printable import counted, printable

_COMPARE = "--compare"


class _Preflight(EngineCommand):
    """With --compare the arguments are reports, not an engine and a model."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        options = args[: args.index("--")] if "--" in args else args
        if _COMPARE in options:
            return with_common_options(compare).make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    "preflight",
    cls=_Preflight,
    sections=SECTIONS,
)
@launch_options
@click.option(
    "--node-rank",
    metavar="N|NAME",
    type=TEXT,
    help="Also check this node, which is node N of the plan, from 0, or has this name.",
)
@click.option(
    "--listen",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=1, max=3600),
    help="Then listen on this node's ports of the plan for this time, for --probe on the others.",
)
@click.option("--probe", is_flag=True, help="Connect to the plan's ports on the other nodes, too.")
@click.option(
    _COMPARE,
    is_flag=True,
    expose_value=False,
    help="Compare the --json reports of several nodes: preflight --compare FILE…",
)
@click.pass_obj
def command(
    output: Output,
    /,
    node_rank: str | None,
    seconds: float | None,
    probe: bool,
    **options: Any,
) -> Outcome:
    """Find what would stop ENGINE from serving MODEL, on the plan and on this node.

    It takes what launch takes. Without --node-rank only the plan is judged and nothing is
    read; with it, this node's network, ports, memory, devices, packages and files are
    checked, too. No engine is started and nothing is changed. --listen and --probe need
    --node-rank.
    """
    request = read_request(options)
    planned = plan_launch(request)
    found = preflight_plan(
        planned,
        request.model,
        node_rank=node_rank,
        gguf_path=options["gguf_path"],
    )
    plan, inspection = found.plan, found.inspection
    report = Report((*found.findings, *_connected(inspection, seconds, probe, output)))
    document = {
        "engine": plan.engine,
        "engine_version": plan.engine_version,
        "profile": plan.profile,
        "strategy": plan.strategy,
        "plan": plan_parts(planned),
        "node": inspection.node.name if inspection else None,
        "facts": inspection.facts.as_dict() if inspection else None,
    }
    answer = "\n".join(_lines(plan, inspection, report))
    return Outcome(document, answer, report, FOUND_ERRORS if report.has_errors else OK)


def _connected(
    inspection: Inspection | None, seconds: float | None, probe: bool, output: Output
) -> Iterable[Finding]:
    """Listen for the other nodes, or connect to them.

    Raises:
        click.UsageError: It is not known which node this is.
    """
    if not probe and seconds is None:
        return ()
    if inspection is None:
        raise click.UsageError("--listen and --probe need --node-rank: which node is this?")
    if seconds is not None:
        ports = ports_here(inspection)
        words = f"Listening on {', '.join(map(str, ports))} for {seconds:g} s."
        listen_on(ports, seconds, lambda: output.status(words))
    return tuple(probe_others(inspection)) if probe else ()


@click.command("preflight")
@click.argument("reports", metavar="FILE…", nargs=-1, required=True, type=PATH)
@click.option(_COMPARE, is_flag=True, expose_value=False, help="Compare reports.")
def compare(reports: tuple[Path, ...]) -> Outcome:
    """Compare the preflight reports of several nodes.

    Each FILE is what k2compat preflight … --node-rank N --json printed on one node. Plan, GPUs,
    packet sizes, versions, config, other small files, weight files and clocks must be the same on
    all, and no report may hold errors.
    """
    read = [_read_report(path) for path in reports]
    report = Report(tuple(compare_reports(read)))
    nodes = ", ".join(each.node for each in read)
    told = {"report-holds-errors": "hold errors"}
    verdicts = dict.fromkeys(told.get(finding.code, "differ") for finding in report)
    verdict = " and ".join(verdicts) or "agree"
    document = {"nodes": [{"node": each.node, "file": each.file} for each in read]}
    answer = f"The reports of {printable(nodes)} {verdict}."
    return Outcome(document, answer, report, FOUND_ERRORS if report.has_errors else OK)


def _read_report(path: Path) -> NodeReport:
    try:
        with explained_reading(path):
            document = json.loads(read_input(path))
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            "report-malformed",
            f"{path} is no JSON document.",
            hint="Make one on each node: k2compat preflight … --node-rank N --json > FILE",
        ) from error
    return NodeReport.read(document, str(path))


def _lines(plan: Plan, inspection: Inspection | None, report: Report) -> Sequence[str]:
    head = f"{plan.engine} {plan.engine_version}, strategy {plan.strategy}"
    size = f"{counted(len(plan.commands), 'command')} on {counted(len(plan.nodes), 'node')}"
    lines = [f"Plan: {head}, {size}."]
    if inspection is not None:
        lines += _node_lines(inspection)
    counts = [
        f"{count} info" if severity is Severity.INFO else counted(count, severity)
        for severity in Severity
        if (count := sum(finding.severity is severity for finding in report))
    ]
    lines.append(f"Found: {', '.join(counts) or 'nothing'}.")
    return lines


def _node_lines(inspection: Inspection) -> Sequence[str]:
    facts = inspection.facts
    way = inspection.towards_others
    lines = [f"Node: {inspection.node.name} ({inspection.node.address}) is {facts.hostname}."]
    if way is not None:
        lines.append(f"Network: {way.source} on {way.interface} towards {way.address}.")
    lines += [f"Engine: {words}." for words in _packages(facts)]
    if facts.model is not None:
        size = sum(facts.model.weights.values())
        lines.append(
            f"Model: {counted(len(facts.model.weights), 'weight file')}, {size / 1e9:,.1f} GB."
        )
    return [printable(line) for line in lines]


def _packages(facts: NodeFacts) -> Sequence[str]:
    if not facts.packages:
        return []
    listed = ", ".join(f"{name} {version}" for name, version in sorted(facts.packages.items()))
    return [f"{listed} ({facts.python})"]
