"""The result of a check, in the forms in which it is printed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k2compat.endpoint.checks import checks
from k2compat.endpoint.figures import Figures, Share
from k2compat.endpoint.target import Run
from k2compat.endpoint.verdicts.judge import Judgement
from k2compat.findings import Finding, Report, Severity
from k2compat.printable import counted

READING = "reading"


@dataclass(frozen=True, slots=True)
class Repairs:
    """What the gateway repairs: the findings without it and with it.

    Attributes:
        before: of the endpoint itself.
        after: of the same requests through the gateway.
    """

    before: Report
    after: Report

    @property
    def repaired(self) -> dict[str, str]:
        """The causes that are gone, each with the gateway's step; "" where none is named."""
        left = _causes(self.after)
        return {
            code: checks()[code].repaired_by for code in _causes(self.before) if code not in left
        }

    @property
    def left(self) -> list[str]:
        """The causes that are still there."""
        before = _causes(self.before)
        return [code for code in _causes(self.after) if code in before]

    @property
    def added(self) -> list[str]:
        """The causes that appear only through the gateway."""
        before = _causes(self.before)
        return [code for code in _causes(self.after) if code not in before]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON document."""
        findings = [finding.as_dict() for finding in self.after]
        return {
            "repaired": self.repaired,
            "left": self.left,
            "added": self.added,
            "findings": findings,
        }


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """A whole check.

    Attributes:
        base: the endpoint's base URL.
        engine: the dialect that its list of models names.
        run: the recorded answers.
        judgement: their findings.
        repairs: what the gateway repairs, where that was asked for.
        figures: Moonshot's figures, where samples were sent.
        schemas: how many forced calls fit their schemas, where they were asked for.
    """

    base: str
    engine: str
    run: Run
    judgement: Judgement
    repairs: Repairs | None = None
    figures: Figures | None = None
    schemas: Share | None = None

    @property
    def report(self) -> Report:
        """The findings of the endpoint itself."""
        return self.judgement.report

    def as_dict(self) -> dict[str, Any]:
        """The members of a JSON document, without the findings, which the caller adds."""
        judgement = self.judgement
        return {
            "endpoint": self.base,
            "model": self.run.model,
            "engine": self.engine,
            "requests": self.run.sent,
            "skipped": list(self.run.skipped),
            "prompt_tokens": judgement.prompt_tokens,
            "completion_tokens": judgement.completion_tokens,
            "seconds": round(self.run.seconds, 1),
            "calls_asked": judgement.calls_asked,
            "calls_as_asked": judgement.calls_as_asked,
            "through_gateway": self.repairs and self.repairs.as_dict(),
            "figures": self.figures and self.figures.as_dict(),
            "schema_cases": self.schemas and self.schemas._asdict(),
        }


def as_text(report: EndpointReport) -> str:
    """The summary for a person, without the findings, which are printed by themselves."""
    return "\n".join(
        [*_head(report), *_figures(report), *_repairs(report.repairs), verdict(report)]
    )


def as_markdown(report: EndpointReport) -> str:
    """The whole report as a table that can be pasted into an issue."""
    head, *lines = _head(report)
    table = [
        "| severity | code | requests | what was found | because |",
        "| --- | --- | --- | --- | --- |",
        *map(_row, report.report),
    ]
    return "\n".join(
        [
            f"### {_cell(head)}",
            "",
            *(f"- {_cell(line)}" for line in [*lines, *_figures(report)]),
            "",
            *([*table, ""] if report.report.findings else []),
            *(f"- {_cell(line)}" for line in _repairs(report.repairs)),
            *([""] if report.repairs else []),
            verdict(report),
        ]
    )


def verdict(report: EndpointReport) -> str:
    """The last line: the number of findings, with consequences counted apart."""
    counts = {
        word: sum(finding.severity == word for finding in report.report)
        for word in (Severity.ERROR, Severity.WARNING)
    }
    found = ", ".join(counted(count, word) for word, count in counts.items() if count)
    consequences = sum(finding.because is not None for finding in report.report)
    if found:
        more = f", with {counted(consequences, 'consequence')}" if consequences else ""
        return f"Found: {found}{more}."
    if report.run.skipped:
        return "Right as far as it was asked: the budget left requests out."
    return "Right: every check passed."


def _head(report: EndpointReport) -> list[str]:
    judgement, run = report.judgement, report.run
    lines = [
        f"{report.base}: {run.model}",
        (
            f"{counted(run.sent, 'request')}, {counted(judgement.prompt_tokens, 'prompt token')}, "
            f"{judgement.completion_tokens:,} written, {run.seconds:.1f} seconds."
        ),
        (
            f"Calls: {judgement.calls_as_asked} of {counted(judgement.calls_asked, 'answer')} "
            "as asked."
        ),
    ]
    if run.skipped:
        lines.append(f"Not asked, for the budget: {', '.join(run.skipped)}.")
    return lines


def _figures(report: EndpointReport) -> Iterator[str]:
    if report.schemas is not None:
        yield f"Forced calls that fit their schemas: {_percent(report.schemas)}."
    if report.figures is None:
        return
    yield f"Samples answered: {report.figures.answered}."
    for name, share in (
        ("Trigger similarity", report.figures.trigger_similarity),
        ("Schema accuracy", report.figures.schema_accuracy),
    ):
        yield f"{name}: {'no calls' if share is None else _percent(share)}."
    yield (
        "Two endpoints differ for certain only where their intervals do not overlap; "
        "more samples make them narrower."
    )


def _percent(share: Share) -> str:
    return f"{share.value:.1%} (95 % interval {share.low:.1%} to {share.high:.1%})"


def _repairs(repairs: Repairs | None) -> Iterator[str]:
    if repairs is None:
        return
    for code, step in repairs.repaired.items():
        yield f"Through k2compat serve: {code} is gone{_step(step)}."
    for code in repairs.left:
        yield f"Through k2compat serve: {code} stays."
    for code in repairs.added:
        yield f"Through k2compat serve: {code} is new."
    if not (repairs.repaired or repairs.left or repairs.added):
        yield "Through k2compat serve: nothing to repair, and nothing new."


def _step(name: str) -> str:
    """The step that repairs it; any step may help a server that fails on a request."""
    if not name:
        return ""
    return " (it reads the answers)" if name == READING else f" (step {name})"


def _causes(report: Report) -> list[str]:
    """The codes of errors and warnings that follow from no other."""
    return [
        finding.code
        for finding in report
        if finding.because is None and finding.severity is not Severity.INFO
    ]


def _row(finding: Finding) -> str:
    what = finding.message
    if finding.actual:
        what += f" Found: {finding.actual}"
    cells = (finding.severity, f"`{finding.code}`", finding.where, what, finding.because or "")
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text from the wire as one cell, without line breaks and markup."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    for character in ("\\", "|", "<"):
        plain = plain.replace(character, f"\\{character}")
    return plain.replace("@", "@\u200b")
