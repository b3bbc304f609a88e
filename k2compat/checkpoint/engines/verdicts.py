"""The verdicts of each engine on a checkpoint: one table for each engine in this folder.

An engine without a table has no verdicts. A verdict applies if all of its conditions are true.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal

import msgspec

from k2compat.checkpoint.engines.ktransformers import ktransformers_verdicts
from k2compat.checkpoint.engines.names import engine_names, table_path
from k2compat.checkpoint.gguf_files import ARCHITECTURE_KEY, GgufHeader
from k2compat.checkpoint.sources import ModelFolder
from k2compat.family import fingerprint_of, text_config
from k2compat.findings import Codes, Finding, Severity
from k2compat.typed_toml import read_toml

_codes = Codes("checkpoint")


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdict of an engine on some checkpoints.

    Attributes:
        code: A key of `codes.toml`. Its severity is that for the engine's own users.
        message: One sentence.
        format: The checkpoint's format; None for any.
        architecture: The general.architecture of one of its GGUFs; None for any.
        model_types: The config's model_type is one of them; empty for any.
        fingerprint: The fingerprint that the config must have, a key of `family.FINGERPRINTS`.
        mixed: Whether GGUFs and safetensors are in one folder; None for either.
        replaces: Codes of the engine's folder checks that report the same.
        source: The source of the fact.
    """

    code: str
    message: str
    format: Literal["safetensors", "gguf"] | None = None
    architecture: str | None = None
    model_types: tuple[str, ...] = ()
    fingerprint: Literal["kimi_k2", "deepseek_v3"] | None = None
    mixed: bool | None = None
    replaces: tuple[str, ...] = ()
    source: str = ""


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings with which an engine refuses a GGUF, and the finding that summarises them."""

    code: str
    message: str
    findings: frozenset[str]


class EngineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table of one engine.

    Attributes:
        verdict: Its verdicts.
        refuses: Codes of findings with which it refuses a GGUF.
        folder_checks: The checks of a GGUF folder that need code.
    """

    verdict: tuple[Verdict, ...] = ()
    refuses: Refusal | None = None
    folder_checks: Literal["ktransformers"] | None = None


_FOLDER_CHECKS: Final[
    Mapping[str, Callable[[ModelFolder, Mapping[str, GgufHeader], None], Iterator[Finding]]]
] = {"ktransformers": ktransformers_verdicts}


@dataclass(frozen=True, slots=True)
class Judged:
    """The checkpoint on which engines give their verdicts.

    Attributes:
        where: Names it.
        format: "safetensors" or "gguf".
        config: The members of its config, if there is one.
        is_mixed: Whether GGUFs and safetensors are in one folder.
        headers: Path → header, of every GGUF; empty for safetensors.
        found: Codes of all findings about the GGUFs.
        folder: The folder of the GGUFs; None for a single file and for safetensors.
    """

    where: str
    format: str
    config: Mapping[str, Any] | None = None
    is_mixed: bool = False
    headers: Mapping[str, GgufHeader] = field(default_factory=dict)
    found: frozenset[str] = frozenset()
    folder: ModelFolder | None = None


@cache
def engine_table(engine: str) -> EngineTable:
    """The table of an engine.

    Raises:
        ValueError: The table is wrong; the message names the file and the place.
    """
    return read_toml(table_path(engine), EngineTable)


def engine_verdicts(judged: Judged, engine: str | None = None) -> Iterator[Finding]:
    """The engines' verdicts on a checkpoint, as infos.

    Args:
        judged: The checkpoint.
        engine: One of `engine_names()`: the verdicts of the others are left out, and its own are
            errors, except those that are infos in the catalogue.
    """
    for name in engine_names() if engine is None else (engine,):
        for finding in verdicts_of(engine_table(name), judged):
            is_info = engine is None or finding.severity is Severity.INFO
            yield replace(finding, severity=Severity.INFO if is_info else Severity.ERROR)


def verdicts_of(table: EngineTable, judged: Judged) -> Iterator[Finding]:
    """One engine's verdicts, with the catalogue's severities."""
    held = [(verdict, where) for verdict in table.verdict if (where := _holds_at(verdict, judged))]
    for verdict, where in held:
        yield _codes.finding(verdict.code, where, verdict.message)
    yield from _refusals(table.refuses, judged)
    if table.folder_checks is not None and judged.folder is not None:
        replaced = {code for verdict, _ in held for code in verdict.replaces}
        # The validation compares sizes with the config itself, for every engine.
        for finding in _FOLDER_CHECKS[table.folder_checks](judged.folder, judged.headers, None):
            if finding.code not in replaced:
                yield finding


def _holds_at(verdict: Verdict, judged: Judged) -> str | None:
    """The place to which a verdict applies; None where a condition fails."""
    config = judged.config or {}
    where: str | None = judged.where
    if verdict.architecture is not None:
        where = _first_of(verdict.architecture, judged.headers)
    holds = (
        verdict.format in (None, judged.format)
        and (not verdict.model_types or config.get("model_type") in verdict.model_types)
        and verdict.fingerprint in (None, fingerprint_of(text_config(config)))
        and verdict.mixed in (None, judged.is_mixed)
    )
    return where if holds else None


def _first_of(architecture: str, headers: Mapping[str, GgufHeader]) -> str | None:
    return next(
        (
            header.path
            for header in headers.values()
            if header.metadata.get(ARCHITECTURE_KEY) == architecture
        ),
        None,
    )


def _refusals(refuses: Refusal | None, judged: Judged) -> Iterator[Finding]:
    codes = sorted(judged.found & refuses.findings) if refuses is not None else []
    if refuses is not None and codes:
        yield _codes.finding(
            refuses.code,
            next(iter(judged.headers)),
            f"{refuses.message}: {', '.join(codes)}.",
            count=len(codes),
        )
