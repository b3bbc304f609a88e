"""k2compat validate: check that a checkpoint is what its config says."""

from pathlib import Path

import click

from k2compat.checkpoint.engine_verdicts import ENGINES
from k2compat.checkpoint.report import Validation
from k2compat.cli.output import FINE, FOUND_ERRORS, Outcome, Output, printable
from k2compat.cli.paths import PATH
from k2compat.cli.progress import progress_bar
from k2compat.findings import Report, explanation


@click.command("validate", short_help="Check that a checkpoint is what its config says.")
@click.argument("place", metavar="PATH", type=PATH)
@click.option(
    "--config",
    metavar="FILE",
    type=PATH,
    help="Hold the weights against this config, or that of this folder.",
)
@click.option("--engine", type=click.Choice(ENGINES), help="Make this engine's verdict an error.")
@click.option("--select", metavar="CODE,…", help="Report findings with these codes only.")
@click.option("--ignore", metavar="CODE,…", help="Leave out findings with these codes.")
@click.pass_obj
def command(
    output: Output,
    place: Path,
    config: Path | None,
    engine: str | None,
    select: str | None,
    ignore: str | None,
) -> Outcome:
    """Check PATH: a folder of safetensors or GGUFs, or a single file.

    Headers, index, config and the files beside them are read, the weights are not: a terabyte
    takes a second. Every defect is reported in one run.
    """
    from k2compat.checkpoint import validate

    wanted, unwanted = _codes(select), _codes(ignore)
    with progress_bar("validating", output) as advance:
        validation = validate(
            place,
            config=config,
            engine=engine,
            progress=lambda _done, _total: advance(1),
        )
    report = Report(
        tuple(
            finding
            for finding in validation.report
            if (not wanted or finding.code in wanted) and finding.code not in unwanted
        )
    )
    return Outcome(
        _document(validation),
        _answer(validation, report),
        report,
        FOUND_ERRORS if report.has_errors else FINE,
    )


def _codes(listed: str | None) -> frozenset[str]:
    """The codes in a list; one that does not exist is refused, with the nearest that does."""
    codes = frozenset(code.strip() for code in (listed or "").split(",")) - {""}
    for code in sorted(codes):
        explanation(code)
    return codes


def _document(validation: Validation) -> dict[str, object]:
    return {
        "source": validation.source,
        "format": validation.format,
        "variant": validation.variant,
        "tensors": validation.tensors,
        "parameters": validation.parameters,
        "bytes": validation.bytes,
        "files": [
            {"path": file.path, "bytes": file.bytes, "tensors": file.tensors}
            for file in validation.files
        ],
        "not_checked": list(validation.not_checked),
    }


def _answer(validation: Validation, report: Report) -> str:
    counts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for word in ("error", "warning")
        if (count := sum(finding.severity == word for finding in report))
    ]
    count = len(validation.files)
    lines = [
        f"{printable(validation.source)}: {validation.variant}, {validation.format}",
        (
            f"{validation.tensors:,} tensors, {validation.parameters:,} parameters, "
            f"{validation.bytes:,} bytes in {count} file{'' if count == 1 else 's'}."
        ),
        *(f"Not checked: {printable(words)}." for words in validation.not_checked),
        f"Found: {', '.join(counts)}." if counts else "Sound.",
    ]
    return "\n".join(lines)
