"""k2compat validate: check that a checkpoint matches its config."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from k2compat.checkpoint import Coverage, Validation, engine_names, fold_verdicts
from k2compat.cli.completions import complete_codes
from k2compat.cli.output import FOUND_ERRORS, OK, Outcome, Output
from k2compat.cli.paths import NAMED, PATH
from k2compat.cli.progress import counting_bar
from k2compat.cli.validate_hashes import HashOptions, hash_options
from k2compat.findings import Report, explanation
from k2compat.hub import parse_repo_url
from k2compat.printable import counted, printable

_WEIGHTY = ("error", "warning")

_FOLD = "engines-differ"


@click.command("validate")
@click.argument("place", metavar="PATH|hf://ORG/REPO[@REVISION]|ms://…", type=NAMED)
@click.option(
    "--config",
    metavar="FILE",
    type=PATH,
    help="Compare the weights with this config, or that of this folder.",
)
@click.option(
    "--engine", type=click.Choice(engine_names()), help="Make this engine's verdict an error."
)
@click.option(
    "--like",
    metavar="PATH|hf://ORG/REPO",
    type=NAMED,
    help="Compare names, shapes and dtypes of the tensors with those of another checkpoint.",
)
@click.option("--deep", is_flag=True, help="Sample the data, too: zeros, NaN, wrong scales.")
@hash_options
@click.option(
    "--select",
    metavar="CODE,…",
    shell_complete=complete_codes,
    help="Report only findings with these codes.",
)
@click.option(
    "--ignore",
    metavar="CODE,…",
    shell_complete=complete_codes,
    help="Leave out findings with these codes.",
)
@click.pass_obj
def command(
    output: Output,
    /,
    place: str,
    config: Path | None,
    engine: str | None,
    like: str | None,
    deep: bool,
    select: str | None,
    ignore: str | None,
    **hash_values: object,
) -> Outcome:
    """Check PATH: a folder of safetensors or GGUFs, a single file, or a repo on the Hub.

    Headers, index, config and other small files are read, the weights are not: a terabyte takes a
    second. Only these parts of a repo are fetched, and nothing is kept. Every defect is reported in
    one run. --hash reads every byte, and compares it with the published bytes.
    """
    from k2compat.checkpoint import validate

    hashes = HashOptions.of(hash_values)
    wanted, unwanted = _codes(select), _codes(ignore)
    hashes.plan(place if parse_repo_url(place) else Path(place))
    with counting_bar("validating", "files", output) as progress:
        validation = validate(
            place, config=config, engine=engine, deep=deep, like=like, progress=progress
        )
    validation = hashes.check(validation, output)
    report = _selected(validation.report, wanted, unwanted)
    shown = report
    if not (output.as_json or engine) and (not wanted or _FOLD in wanted):
        # The folded verdicts are one finding, which has a code of its own.
        folded = fold_verdicts(_selected(validation.report, frozenset(), unwanted))
        shown = _selected(folded, wanted, unwanted)
    return Outcome(
        {**_document(validation), **hashes.document()},
        _answer(validation, report, hashes.lines()),
        shown,
        FOUND_ERRORS if report.has_errors else OK,
        prose=True,
    )


def _selected(report: Report, wanted: frozenset[str], unwanted: frozenset[str]) -> Report:
    """The findings that --select names (all without it), except those that --ignore names."""
    return Report(
        tuple(
            finding
            for finding in report
            if (not wanted or finding.code in wanted) and finding.code not in unwanted
        )
    )


def _verdict(counts: Mapping[str, int], left_out: int, coverage: Coverage) -> str:
    """The last line.

    A checkpoint is not called sound because of findings that --select and --ignore leave out, or
    of tensors that were not judged.
    """
    found = ", ".join(counted(count, word) for word, count in counts.items() if count)
    if left_out:
        return f"Found: {found or 'nothing'}, and {left_out} left out by --select or --ignore."
    if found:
        return f"Found: {found}."
    if not coverage.reasons:
        return "OK: no problems in what was checked."
    return (
        f"OK as far as it was checked: {coverage.judged:,} of {counted(coverage.all, 'tensor')}; "
        + "; ".join(map(printable, coverage.reasons))
    )


def _count(report: Report, *severities: str) -> int:
    return sum(finding.severity in severities for finding in report)


def _codes(listed: str | None) -> frozenset[str]:
    """The codes in a list; an unknown one is refused, and the nearest code is named."""
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
        "model_parameters": validation.model_parameters,
        "bytes": validation.bytes,
        "files": [
            {"path": file.path, "bytes": file.bytes, "tensors": file.tensors}
            for file in validation.files
        ],
        "checked_tensors": validation.coverage.judged,
        "stored": [
            {"scheme": part.name, "tensors": part.tensors, "bytes": part.bytes}
            for part in validation.coverage.parts
        ],
        "not_checked": list(validation.not_checked),
    }


def _answer(validation: Validation, report: Report, of_hashes: Sequence[str]) -> str:
    counts = {word: _count(report, word) for word in _WEIGHTY}
    lines = [
        f"{printable(validation.source)}: {validation.variant}, {validation.format}",
        (
            f"{counted(validation.tensors, 'tensor')}, "
            f"{counted(validation.parameters, 'stored parameter')} "
            f"({validation.model_parameters:,} of the model), "
            f"{counted(validation.bytes, 'byte')} in {counted(len(validation.files), 'file')}."
        ),
        *(
            f"Stored as {printable(part.name)}: {counted(part.tensors, 'tensor')}, "
            f"{counted(part.bytes, 'byte')}."
            for part in validation.coverage.parts
            if len(validation.coverage.parts) > 1
        ),
        *of_hashes,
        *(f"Not checked: {printable(words)}." for words in validation.not_checked),
        _verdict(
            counts, _count(validation.report, *_WEIGHTY) - sum(counts.values()), validation.coverage
        ),
    ]
    return "\n".join(lines)
