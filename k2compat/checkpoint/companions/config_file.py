"""Reading of a checkpoint's config and other small JSON files, and findings on their text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2compat.checkpoint.sources import FileRefusedError, Source
from k2compat.config import MAXIMUM_BYTES, ConfigText, locate, read_text
from k2compat.errors import RefusedError
from k2compat.family import CONFIG_FILE, WRAPPERS
from k2compat.findings import Codes, Finding
from k2compat.printable import counted

_codes = Codes("checkpoint")
_config_codes = Codes("config")

# Keys that decide about the family; of two with one name, engines use either the first or the last.
_DECIDING = ("model_type", "quantization_config", "num_hidden_layers", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """A config as far as it could be read.

    Attributes:
        members: None where there is none or it is damaged.
        where: Names it in findings.
        findings: Faults of its text.
    """

    members: Mapping[str, Any] | None
    where: str
    findings: tuple[Finding, ...] = ()


def read_config(source: Source, name: str = CONFIG_FILE) -> ReadConfig:
    """Read a config from a checkpoint; an absent one is a finding."""
    where = f"{source.name}/{name}"
    if name not in source.files:
        finding = _config_codes.finding("config-missing", where, f"There is no {name}.")
        return ReadConfig(None, where, (finding,))
    try:
        with source.open(name) as file:
            data = file.read(0, MAXIMUM_BYTES + 1)
            path = file.path if isinstance(file.path, Path) else None  # else it is on the Hub
    except FileRefusedError as refusal:
        return ReadConfig(None, where, (refusal.finding,))
    return parse_config(data, where, path)


def parse_config(data: bytes, where: str, file: Path | None) -> ReadConfig:
    """Read a config's bytes; a config that cannot be read gives a finding.

    Args:
        data: The bytes.
        where: Names the config in findings.
        file: The config on disk, for the fix; None where it is on the Hub.
    """
    try:
        document = read_text(data, where)
    except RefusedError as error:
        finding = _config_codes.finding(error.code, where, error.message, fix=error.hint)
        return ReadConfig(None, where, (finding,))
    return ReadConfig(
        document.members,
        where,
        (
            *document.byte_order_mark_findings(where, file),
            *_oddities(document, where),
        ),
    )


def _oddities(document: ConfigText, where: str) -> Iterator[Finding]:
    if "\r\n" in document.text:
        yield _codes.finding(
            "companion-line-endings",
            where,
            "The lines end as on Windows; JSON allows it.",
        )
    # Locating takes a second for each megabyte, so only keys that may be repeated are located.
    suspects = [key for key in _DECIDING if document.text.count(f'"{key}"') > 1]
    for path in ((), *((nested,) for nested in WRAPPERS.values())):
        for key in suspects:
            members = locate(document.text, (*path, key))
            if len(members) > 1:
                name = ".".join((*path, key))
                yield _config_codes.finding(
                    "config-duplicate-key",
                    where,
                    f"{name} stands {counted(len(members), 'time')}, and readers differ in "
                    "which one they "
                    "take.",
                    count=len(members),
                    actual=", ".join(member.token for member in members)[:200],
                )
