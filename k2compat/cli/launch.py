"""k2compat launch: the right commands for an engine, a model and a cluster."""

from typing import Any

import click

from k2compat.cli.launch_options import launch_options, read_request
from k2compat.cli.output import FINE, FOUND_ERRORS, Outcome
from k2compat.findings import Report
from k2compat.launch.planning import plan_launch
from k2compat.launch.render.document import as_document
from k2compat.launch.render.text import as_text


@click.command("launch", short_help="Print the commands that serve a model, for each node.")
@launch_options
def command(**options: Any) -> Outcome:
    """Print the commands that serve MODEL with ENGINE on a cluster, node by node.

    MODEL is a folder, whose config is read, or a name. Hosts and other values may be
    placeholders ($MASTER_IP, ${PORT}, <IMAGE>): they are carried through.
    """
    plan = plan_launch(read_request(options))
    report = Report(plan.findings)
    code = FOUND_ERRORS if report.has_errors else FINE
    return Outcome(as_document(plan), as_text(plan), report, code)
