"""k2compat explain: what a code means, why it happens, what to do."""

import shutil
import textwrap

import click

from k2compat.cli.completions import complete_code
from k2compat.cli.output import Outcome, Output
from k2compat.findings import Explanation, catalogue, explanation


@click.command("explain")
@click.argument("code", required=False, shell_complete=complete_code)
@click.pass_obj
def command(output: Output, code: str | None) -> Outcome:
    """Explain the CODE of a finding, error or problem; without CODE, list them all."""
    if code is None:
        entries = list(catalogue().values())
        return Outcome(
            {"codes": [_as_dict(entry) for entry in entries]}, _list(entries, output.width)
        )
    entry = explanation(code)
    return Outcome(_as_dict(entry), _page(entry))


def _as_dict(entry: Explanation) -> dict[str, str]:
    return {
        "code": entry.code,
        "severity": entry.severity.value,
        "summary": entry.summary,
        "cause": entry.cause,
        "cure": entry.cure,
    }


def _list(entries: list[Explanation], columns: int | None) -> str:
    """One line for each code, for grep; on a terminal the summary is indented and wrapped."""
    width = max(len(entry.code) for entry in entries)
    lines = (f"{entry.code:{width}}  {entry.summary}" for entry in entries)
    if columns is not None:
        indent = " " * min(width + 2, columns // 2)
        lines = (textwrap.fill(line, columns, subsequent_indent=indent) for line in lines)
    return "\n".join(lines)


def _page(entry: Explanation) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    parts = (entry.summary, f"Cause: {entry.cause}", f"Cure: {entry.cure}")
    title = f"{entry.code} ({entry.severity})"
    return "\n\n".join([title, *(textwrap.fill(part, width) for part in parts)])
