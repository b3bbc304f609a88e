"""config.json and the JSON files beside it: read, completed, and judged by themselves.

hf_quant_config.json, quant_model_description.json ──▶ the config's quantization_config
router and rope settings ──▶ findings: a model loads without them and writes nonsense
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeGuard

import msgspec

from k2compat.checkpoint.model import differences, read_quantization
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, Source, open_folder_source
from k2compat.config import MAXIMUM_BYTES, ConfigText, locate, read_text
from k2compat.errors import RefusedError
from k2compat.family import (
    CONFIG_FILE,
    KIMI_K2,
    MODELOPT_FILE,
    MODELSLIM_FILE,
    WRAPPERS,
    fingerprint_of,
    text_config,
)
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


_SCALING: Final = "rope_scaling"
_PARAMETERS: Final = "rope_parameters"
_ORIGINAL: Final = "original_max_position_embeddings"
_THETA: Final = {KIMI_K2: 50_000, "deepseek_v3": 10_000}
"""rope_theta by fingerprint."""

_SHARED: Final = ("factor", _ORIGINAL, "beta_fast", "beta_slow", "mscale", "mscale_all_dim")


def check_settings(where: str, config: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Find settings of rope and router that contradict each other, or are missing.

    Args:
        where: Names the config.
        config: The members of a config.json.
    """
    found = FileFindings(where)
    text = text_config(config)
    _check_rope(text, found)
    _check_theta(text, found)
    _check_router(text, found)
    return found.findings()


def _check_rope(text: Mapping[str, Any], found: FileFindings) -> None:
    scaling, parameters = _object(text, _SCALING), _object(text, _PARAMETERS)
    context = text.get("max_position_embeddings")
    if not scaling and not _is_scaled(parameters):
        if fingerprint_of(text) is not None and _is_number(context) and context > 4096:
            found.add(
                "rope-lost",
                "neither rope_scaling nor rope_parameters scales the positions, though the model "
                f"was trained to read {counted(int(context), 'token')} that way: engines then "
                "scale nothing",
                at=_SCALING,
                expected="yarn over 4096 positions",
                actual="nothing",
            )
        return
    for name in _SHARED if scaling and _is_scaled(parameters) else ():
        if scaling.get(name) != parameters.get(name):
            found.add(
                "rope-conflict",
                f"rope_scaling and rope_parameters differ in {name}: Transformers 5 reads "
                "rope_parameters, vLLM and SGLang releases of its time read rope_scaling",
                at=name,
                expected=scaling.get(name),
                actual=parameters.get(name),
            )
    if not scaling:
        found.add(
            "rope-parameters-only",
            "only rope_parameters scales the positions: code that reads rope_scaling scales "
            "nothing (SGLang issue 14745, slime issue 1734, DeepSpeed issue 8341)",
            at=_PARAMETERS,
        )
    used = scaling or parameters
    factor, original = used.get("factor"), used.get(_ORIGINAL)
    if (
        _is_number(factor)
        and _is_number(original)
        and _is_number(context)
        and factor * original != context
    ):
        found.add(
            "rope-length",
            f"{factor:g} × {original:,} positions are not max_position_embeddings",
            at=_SCALING if scaling else _PARAMETERS,
            expected=f"{factor * original:g}",
            actual=context,
        )


def _check_theta(text: Mapping[str, Any], found: FileFindings) -> None:
    fingerprint = fingerprint_of(text)
    values = {
        member: value
        for member, value in (
            ("rope_theta", text.get("rope_theta")),
            (f"{_PARAMETERS}.rope_theta", _object(text, _PARAMETERS).get("rope_theta")),
        )
        if value is not None
    }
    expected = _THETA.get(fingerprint or "")
    if expected is None:
        return
    if not values:
        found.add(
            "rope-theta",
            "rope_theta is missing: engines then take 10000",
            at="rope_theta",
            expected=expected,
            actual="nothing",
        )
    for member, value in values.items():
        if value != expected:
            found.add(
                "rope-theta",
                f"{member} is not the one that the model was trained with",
                at=member,
                expected=expected,
                actual=value,
            )


def _check_router(text: Mapping[str, Any], found: FileFindings) -> None:
    numbers = {
        name: text.get(name)
        for name in ("n_routed_experts", "num_experts_per_tok", "n_group", "topk_group")
    }
    experts, chosen, groups, kept = (
        value if type(value) is int and value > 0 else None for value in numbers.values()
    )
    for name, message in _router_problems(experts, chosen, groups, kept):
        found.add(
            "router-setting",
            message,
            at=name,
            actual=", ".join(f"{member} {value}" for member, value in numbers.items()),
        )


def _router_problems(
    experts: int | None, chosen: int | None, groups: int | None, kept: int | None
) -> Iterator[tuple[str, str]]:
    if experts is None:
        return
    if chosen is None or chosen > experts:
        yield (
            "num_experts_per_tok",
            f"a token cannot use {chosen or 'no number of'} of {counted(experts, 'expert')}",
        )
    if groups is None or kept is None:
        return
    if experts % groups:
        yield (
            "n_group",
            f"{counted(experts, 'expert')} cannot be divided into {counted(groups, 'group')}",
        )
    elif kept > groups:
        yield "topk_group", f"{kept} of {counted(groups, 'group')} cannot be kept"
    elif chosen is not None and chosen > experts // groups * kept:
        yield (
            "topk_group",
            f"{counted(kept, 'group')} cannot hold the {counted(chosen, 'expert')} of a token",
        )


def _object(text: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = text.get(name)
    return value if isinstance(value, dict) else {}


def _is_scaled(parameters: Mapping[str, Any]) -> bool:
    # Without scaling Transformers 5 writes {"rope_theta": …, "rope_type": "default"}.
    return "factor" in parameters


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


MODELSLIM_BYTES_MAX: Final = 256 << 20
"""One line for each of 208,215 tensors takes about 20 MB."""


def with_quantization_files(source: Source, config: ReadConfig) -> ReadConfig:
    """The config, with the quantisation that a separate file describes.

    A file that disagrees with the config is a finding; the config is then used.

    Args:
        source: The model's files.
        config: The checkpoint's config.
    """
    for name, read in ((MODELOPT_FILE, _modelopt), (MODELSLIM_FILE, _modelslim)):
        if config.members is not None and name in source.files:
            described, findings = read(source)
            config = replace(config, findings=(*config.findings, *findings))
            if described is not None:
                config = _joined(config, f"{source.name}/{name}", described)
    return config


def described_quantization(folder: Path, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config's members, with the quantisation that a separate file describes.

    Args:
        folder: The folder of the config.
        members: The members of the config.
    """
    with closing(open_folder_source(folder)) as source:
        read = with_quantization_files(source, ReadConfig(members, str(folder)))
    return members if read.members is None else read.members


def _modelopt(source: Source) -> tuple[Mapping[str, Any] | None, tuple[Finding, ...]]:
    read = read_config(source, MODELOPT_FILE)
    described = (read.members or {}).get("quantization")
    if not isinstance(described, dict):
        return None, read.findings
    # A file that gives only the KV cache's precision has no algorithm: the weights are plain.
    if not described.get("quant_algo"):
        return None, read.findings
    return {"quant_method": "modelopt", **described}, read.findings


def _modelslim(source: Source) -> tuple[Mapping[str, Any] | None, tuple[Finding, ...]]:
    where = f"{source.name}/{MODELSLIM_FILE}"
    try:
        with source.open(MODELSLIM_FILE) as file:
            data = file.read(0, MODELSLIM_BYTES_MAX)
        members = msgspec.json.decode(data, type=dict[str, Any])
    except FileRefusedError as refusal:
        return None, (refusal.finding,)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"{MODELSLIM_FILE} is not a JSON object: {error}."
        return None, (_codes.finding("companion-damaged", where, message),)
    return {"quant_method": "ascend", **members}, ()


def _joined(config: ReadConfig, where: str, described: Mapping[str, Any]) -> ReadConfig:
    members = config.members or {}
    own = text_config(members).get("quantization_config") or members.get("quantization_config")
    if not isinstance(own, dict) or not own:
        return replace(config, members={**members, "quantization_config": described})
    return replace(config, findings=(*config.findings, *_conflicts(config, where, own, described)))


def _conflicts(
    config: ReadConfig, where: str, own: Mapping[str, Any], described: Mapping[str, Any]
) -> Iterator[Finding]:
    unused = FileFindings(where)
    first, second = (read_quantization(each, unused) for each in (own, described))
    found = FileFindings(where)
    for what, expected, actual in differences(first, second):
        found.add(
            "quantization-conflict",
            f"it and {config.where} differ in {what}",
            expected=expected,
            actual=actual,
        )
    yield from found.findings()
