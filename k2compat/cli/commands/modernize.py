"""k2compat modernize: translate an old command line into today's."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from k2compat.cli.completions import complete_gpu
from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import PATH
from k2compat.cli.values import TEXT
from k2compat.errors import RefusedError
from k2compat.files import explained_reading, read_input
from k2compat.findings import Finding, Report
from k2compat.launch import (
    GPUS_MAX,
    GPUS_PER_NODE,
    ModernCommand,
    Modernized,
    check_read_command,
    modernize_text,
)
from k2compat.shell_line import shell_line

_CHUNK_BYTES = 64 * 1024


@click.command("modernize")
@click.argument("file", type=PATH, default="-")
@click.option(
    "--engine-version",
    "versions",
    multiple=True,
    metavar="[ENGINE=]VERSION",
    help="The version to write for; may be repeated. [default: the newest known]",
)
@click.option(
    "--gpus-per-node",
    type=click.IntRange(1, GPUS_MAX),
    default=GPUS_PER_NODE,
    show_default=True,
    help="GPUs of the node on which the commands run.",
)
@click.option(
    "--check-plan",
    is_flag=True,
    help="Check whether the model can be divided in this way, and with --gpu whether it fits.",
)
@click.option(
    "--gpu",
    metavar="NAME|GiB",
    type=TEXT,
    shell_complete=complete_gpu,
    help="h200, h20, … or GiB per GPU; implies --check-plan.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if the text would change.")
@click.pass_obj
def command(
    output: Output,
    file: Path,
    versions: tuple[str, ...],
    gpus_per_node: int,
    check_plan: bool,
    gpu: str | None,
    check: bool,
) -> Outcome:
    """Write the commands in FILE, or on stdin, in the form that their engines accept today.

    The engines are vLLM, SGLang, KTransformers and TensorRT-LLM. FILE is a shell script, a systemd
    unit, a Compose file, a Kubernetes manifest, a config file of `vllm serve --config`, or a
    Markdown page with any of them. The answer is the same text with those words changed. The
    changes, their reasons and what could not be translated or read are printed on stderr. Nothing
    is run.
    """
    text = _read(file)
    modernized = modernize_text(text, dict(_versions(versions)), gpus_per_node)
    if not output.as_json:
        for command_now in modernized.commands:
            for words in _explained(command_now):
                output.status(words)
    of_plans: list[Finding] = []
    if check_plan or gpu is not None:
        for modern in modernized.commands:
            found = check_read_command(modern, gpu, gpus_per_node)
            of_plans += [_at_line(modern, finding) for finding in found]
    report = Report(tuple(sorted((*_findings(modernized), *of_plans), key=_line)))
    changed = modernized.text != text
    failed = report.has_errors or (check and changed)
    return Outcome(
        {
            "changed": changed,
            "form": modernized.form,
            "text": modernized.text,
            "commands": _documents(modernized),
        },
        modernized.text,
        report,
        FOUND_ERRORS if failed else OK,
        verbatim=True,
    )


def _read(file: Path) -> str:
    if str(file) == "-":
        with explained_reading(file):
            content = b"".join(iter(lambda: os.read(0, _CHUNK_BYTES), b""))
    elif " " in str(file) and not os.path.lexists(file):
        raise RefusedError(
            "not-found",
            f"{file} is no file; FILE names one.",
            hint=f"To translate one command: echo {shell_line(file)} | k2compat modernize -",
        )
    else:
        with explained_reading(file):
            content = read_input(file)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(
            "text-not-utf8",
            f"{file} is not UTF-8 text: byte {error.start} is none of it.",
            hint="Convert it: iconv -f GB18030 -t UTF-8 FILE",
        ) from error


def _versions(versions: Iterable[str]) -> Iterator[tuple[str, str]]:
    for version in versions:
        engine, equals, number = version.partition("=")
        yield (engine, number) if equals else ("", engine)


def _findings(modernized: Modernized) -> Iterator[Finding]:
    yield from modernized.findings
    for modern in modernized.commands:
        yield from (_at_line(modern, finding) for finding in modern.findings)


def _line(finding: Finding) -> int:
    """The line of the text to which a finding belongs; 0: none."""
    number = finding.where.removeprefix("line ").partition(":")[0]
    return int(number) if number.isdecimal() else 0


def _at_line(modern: ModernCommand, finding: Finding) -> Finding:
    return replace(finding, where=f"line {modern.line}: {finding.where}")


def _documents(modernized: Modernized) -> list[dict[str, Any]]:
    documents = [asdict(modern) for modern in modernized.commands]
    for document in documents:
        del document["findings"]  # the document has a list of all findings
    return documents


def _explained(modern: ModernCommand) -> Iterator[str]:
    yield f"line {modern.line}: {modern.entry} of {modern.engine} {modern.engine_version}"
    if not modern.changes:
        yield "  nothing to change"
    for change in modern.changes:
        then = change.before or "(nothing)"
        now = change.after or "(nothing)"
        since = f", since {change.since}" if change.since else ""
        yield f"  {then} → {now}{since}"
        yield f"    {change.reason}"
        if change.source:
            yield f"    source: {change.source}"
