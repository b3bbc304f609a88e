"""Where engines differ about a checkpoint that is sound, as `verdicts.toml` knows it."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from k2compat.family import WRAPPERS, fingerprint_of
from k2compat.findings import Codes, Finding, Report, Severity

ENGINES: Final = ("vllm", "sglang", "ktransformers", "trtllm", "transformers", "llama.cpp")

_CODES: Final = ("engine-", *(f"{engine.replace('.', '-')}-" for engine in ENGINES))
"""What the codes of verdicts begin with."""

_codes = Codes("checkpoint")


def engine_verdicts(
    where: str,
    format_name: str,
    config: Mapping[str, Any] | None,
    *,
    is_mixed: bool,
    engine: str | None = None,
) -> Iterator[Finding]:
    """What engines have to say about a checkpoint.

    Args:
        where: Names the checkpoint.
        format_name: "safetensors" or "gguf".
        config: The members of its config, if there is one.
        is_mixed: Whether GGUFs and safetensors lie in one folder.
        engine: One of ENGINES: its verdicts are errors, but for those that are always an info,
            and the others' are left out.
    """
    for verdict in _verdicts():
        is_meant = engine is None or engine in verdict["engines"]
        if is_meant and _holds(verdict, format_name, config or {}, is_mixed=is_mixed):
            finding = _codes.finding(verdict["code"], where, verdict["message"])
            is_info = engine is None or verdict.get("always_info", False)
            yield finding if is_info else replace(finding, severity=Severity.ERROR)


def fold_verdicts(report: Report) -> Report:
    """The report with what single engines make of a checkpoint as one info that lists the codes.

    Most people use one engine. The verdict of an engine that the user named is no info.
    """
    verdicts = [finding for finding in report if _is_verdict(finding)]
    if not verdicts:
        return report
    codes = sorted({finding.code for finding in verdicts})
    message = f"Engines differ: {', '.join(codes)}. Add --engine NAME to judge for one of them."
    folded = _codes.finding("engines-differ", "", message, count=len(codes))
    return Report((*(finding for finding in report if not _is_verdict(finding)), folded))


def _is_verdict(finding: Finding) -> bool:
    return finding.severity is Severity.INFO and finding.code.startswith(_CODES)


def _holds(
    verdict: Mapping[str, Any], format_name: str, config: Mapping[str, Any], *, is_mixed: bool
) -> bool:
    model_type = config.get("model_type")
    text = config.get(WRAPPERS.get(model_type, "")) if isinstance(model_type, str) else None
    fingerprint = fingerprint_of(text if isinstance(text, dict) else config)
    return (
        verdict.get("format", format_name) == format_name
        and model_type in verdict.get("model_types", [model_type])
        and verdict.get("fingerprint", fingerprint) == fingerprint
        and verdict.get("mixed", is_mixed) == is_mixed
    )


@cache
def _verdicts() -> tuple[Mapping[str, Any], ...]:
    text = Path(__file__).with_name("verdicts.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["verdict"])
