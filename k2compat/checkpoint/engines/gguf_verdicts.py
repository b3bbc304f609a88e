"""What each engine makes of GGUFs: llama.cpp reads nearly all, the others few or none.

Most people use one engine: `judged_for` makes infos of the verdicts, and errors of those of the
engine that the user named.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from k2compat.checkpoint.engines.ktransformers import ktransformers_verdicts
from k2compat.checkpoint.gguf_files.comparison import ARCHITECTURE_KEY
from k2compat.checkpoint.gguf_files.header import GgufHeader
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.sources.listing import ModelFolder
from k2compat.findings import Codes, Finding, Severity

LLAMA_CPP = "llama.cpp"
KTRANSFORMERS = "ktransformers"

_TABLE = Path(__file__).with_name("gguf_verdicts.toml")
_codes = Codes("checkpoint")


class Verdict(NamedTuple):
    """What an engine makes of the files, with the severity that it has for that engine's users.

    Attributes:
        engine: vllm, sglang, ktransformers, trtllm, transformers or llama.cpp.
        finding: The verdict.
    """

    engine: str
    finding: Finding


def gguf_verdicts(
    headers: Mapping[str, GgufHeader],
    findings: Iterable[Finding],
    folder: ModelFolder | None = None,
) -> Iterator[Verdict]:
    """The verdicts of all engines.

    Args:
        headers: Path → header, of every GGUF.
        findings: Everything that was found: in the headers and by `compare_gguf`.
        folder: The folder they lie in, for KTransformers, which takes all of it; None for a
            single file. Sizes that differ from a config are `compare_gguf`'s to find.
    """
    models = [
        header.path
        for header in headers.values()
        if header.metadata.get(ARCHITECTURE_KEY) == deepseek2().architecture
    ]
    if models:
        for entry in _table()["verdicts"]:
            finding = _codes.finding(entry["code"], models[0], f"{entry['message']}.")
            yield Verdict(entry["engine"], finding)
    yield from _llama_cpp(headers, findings)
    if folder is not None:
        for finding in ktransformers_verdicts(folder, headers, config=None):
            yield Verdict(KTRANSFORMERS, finding)


def judged_for(engine: str | None, verdicts: Iterable[Verdict]) -> Iterator[Finding]:
    """The verdicts as findings: infos, or errors of the one engine that the user named.

    What is an info in the catalogue keeps the engine from nothing, and stays one.
    """
    for verdict in verdicts:
        if engine is None or verdict.finding.severity is Severity.INFO:
            severity = Severity.INFO
        else:
            severity = Severity.ERROR
        if engine in (None, verdict.engine):
            yield replace(verdict.finding, severity=severity)


def _llama_cpp(headers: Mapping[str, GgufHeader], findings: Iterable[Finding]) -> Iterator[Verdict]:
    refused = sorted({finding.code for finding in findings} & set(_table()["llama_cpp"]["refuses"]))
    if refused:
        finding = _codes.finding(
            "llama-cpp-refuses",
            next(iter(headers)),
            f"llama.cpp refuses such a file: {', '.join(refused)}.",
            count=len(refused),
        )
        yield Verdict(LLAMA_CPP, finding)


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
