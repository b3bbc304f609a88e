"""A check of an endpoint, for the commands that run and print it."""

from typing import TYPE_CHECKING

from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.progress import counting_bar
from k2compat.endpoint import EndpointReport, Request, Target, as_markdown, as_text
from k2compat.findings import Report

if TYPE_CHECKING:
    from k2compat.endpoint.check import Work

BUDGET = 100_000
"""Tokens, where the user gives no other number."""


def run_check(output: Output, target: Target, work: "Work") -> EndpointReport:
    """Run a check, with a progress bar."""
    import asyncio

    from k2compat.endpoint.check import check

    total = len(work.requests) * (1 if work.gateway is None else 2)
    done = 0
    with counting_bar("checking", "answers", output) as progress:

        def show(_request: Request) -> None:
            nonlocal done
            done += 1
            progress(done, total)

        return asyncio.run(check(target, work, show))


def outcome_of(report: EndpointReport, output_format: str = "text") -> Outcome:
    """The outcome of a check; in markdown the findings are part of the answer."""
    code = FOUND_ERRORS if report.report.has_errors else OK
    if output_format == "markdown":
        return Outcome(report.as_dict(), as_markdown(report), Report(), code)
    return Outcome(report.as_dict(), as_text(report), report.report, code)
