"""k2compat check-endpoint: whether a server's tool calls are right, and if not why."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from k2compat.cli.endpoint_check import BUDGET, outcome_of, run_check
from k2compat.cli.output import Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.endpoint import (
    EndpointReport,
    Request,
    Target,
    base_url,
    figures_of,
    plan,
    read_baseline,
    read_key,
    read_prompt_folder,
    read_samples,
    refuse_without_extra,
    schemas_of,
)
from k2compat.gateway import Settings
from k2compat.printable import counted

if TYPE_CHECKING:
    from k2compat.endpoint.check import Work

_SAMPLE_BUDGET = 1 << 40


@click.command("check-endpoint")
@click.argument("url", metavar="URL")
@click.option("--model", metavar="NAME", help="The model's name; needed if the server has several.")
@click.option("--key-file", metavar="FILE", type=PATH, help="A file with the key for URL.")
@click.option(
    "--folder",
    metavar="MODEL",
    type=PATH,
    help="The model's folder, to count prompt tokens exactly.",
)
@click.option("--deep", is_flag=True, help="More cases: 30 requests more.")
@click.option("--schemas", is_flag=True, help="A forced call for 60 schemas, whole and streamed.")
@click.option("--samples", metavar="FILE", type=PATH, help="Chat requests, as JSON Lines.")
@click.option("--baseline", metavar="FILE", type=PATH, help="Another API's answers to --samples.")
@click.option(
    "--through-gateway",
    is_flag=True,
    help="Ask again through k2compat serve, and show what it repairs.",
)
@click.option(
    "--budget",
    metavar="TOKENS",
    type=click.IntRange(min=1),
    help=f"Stop before more tokens are used. [default: {BUDGET:,}; none with --samples]",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=180.0,
    show_default=True,
    help="Time limit for one answer.",
)
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Requests that are open at the same time.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="Text for a terminal, or a table to paste into an issue.",
)
@click.option("--dry-run", is_flag=True, help="List the requests and send none.")
@click.pass_obj
def command(
    output: Output,
    /,
    url: str,
    output_format: str,
    dry_run: bool,
    **options: Any,
) -> Outcome:
    """Check the OpenAI-compatible server at URL, such as http://127.0.0.1:8000/v1.

    About 40 small requests at temperature 0 show whether tool calls, ids, streams, thoughts,
    token counts and tool_choice are right. Each finding names its cause and its cure. The
    key is sent only to URL.
    """
    base = base_url(url)
    if (options["samples"] is None) != (options["baseline"] is None):
        raise click.UsageError("--samples and --baseline go together.")
    requests, baseline = _asked(options)
    if dry_run:
        is_text = output_format == "text"
        lines = _text_lines(requests, output.width) if is_text else _markdown_lines(requests)
        return _listed(base, requests, lines)
    refuse_without_extra()
    report = run_check(output, *_target_and_work(base, requests, options))
    form = "text" if output.as_json else output_format  # in a document findings are members
    return outcome_of(_with_figures(report, baseline), form)


def _asked(options: dict[str, Any]) -> tuple[Sequence[Request], dict[str, str]]:
    requests = plan(deep=options["deep"], schemas=options["schemas"])
    if options["samples"] is None:
        return requests, {}
    return (*requests, *read_samples(options["samples"])), read_baseline(options["baseline"])


def _target_and_work(
    base: str, requests: Sequence[Request], options: dict[str, Any]
) -> tuple[Target, "Work"]:
    from k2compat.endpoint.check import Work

    key_file, folder = options["key_file"], options["folder"]
    default_budget = BUDGET if options["samples"] is None else _SAMPLE_BUDGET
    target = Target(
        base=base,
        model=options["model"],
        key=None if key_file is None else read_key(key_file),
        timeout=options["timeout"],
        parallel=options["parallel"],
        budget=options["budget"] or default_budget,
    )
    in_use = Settings(upstream=base, folder=None if folder is None else str(folder))
    work = Work(
        requests=requests,
        counter=None if folder is None else read_prompt_folder(folder),
        gateway=in_use if options["through_gateway"] else None,
    )
    return target, work


def _with_figures(report: EndpointReport, baseline: dict[str, str]) -> EndpointReport:
    answers = report.judgement.answers
    figures = figures_of(answers, baseline) if baseline else None
    return replace(report, figures=figures, schemas=schemas_of(answers))


def _listed(base: str, requests: Sequence[Request], lines: list[str]) -> Outcome:
    """The requests that would be sent."""
    tokens = sum(request.estimated_tokens for request in requests)
    # The list of models is a request, too, without tokens.
    sent = counted(len(requests) + 1, "request")
    total = f"{sent} to {base}, about {counted(tokens, 'token')}; none was sent."
    document = {
        "endpoint": base,
        "requests": [
            {
                "name": request.name,
                "purpose": request.purpose,
                "tokens": request.estimated_tokens,
                "body": dict(request.body),
            }
            for request in requests
        ],
        "tokens": tokens,
    }
    return Outcome(document, "\n".join([*lines, total]))


def _text_lines(requests: Sequence[Request], columns: int | None) -> list[str]:
    """One line for each request, for grep; on a terminal the purpose is indented and wrapped."""
    width = max(len(request.name) for request in requests)
    lines = [
        f"{request.name:{width}} {request.estimated_tokens:6,} tokens  {request.purpose}"
        for request in requests
    ]
    if columns is None:
        return lines
    indent = " " * min(width + len(" 99,999 tokens  "), columns // 2)
    return [textwrap.fill(line, columns, subsequent_indent=indent) for line in lines]


def _markdown_lines(requests: Sequence[Request]) -> list[str]:
    rows = [
        f"| `{request.name}` | {request.estimated_tokens:,} | {request.purpose} |"
        for request in requests
    ]
    return ["| request | tokens | purpose |", "| --- | ---: | --- |", *rows, ""]
