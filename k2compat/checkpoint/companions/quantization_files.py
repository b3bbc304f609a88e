"""The files in which quantisers describe the weights, in place of config.json or in addition.

config.json                     quantization_config of most programs
hf_quant_config.json            NVIDIA's Model Optimizer, some exports with nothing in config.json
quant_model_description.json    Ascend's ModelSlim, the type of each tensor
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from k2compat.checkpoint.companions.config_file import ReadConfig, read_config
from k2compat.checkpoint.model import differences, read_quantization
from k2compat.checkpoint.reporting import FileFindings
from k2compat.checkpoint.sources import FileRefusedError, Source, open_folder_source
from k2compat.family import MODELOPT_FILE, MODELSLIM_FILE, text_config
from k2compat.findings import Codes, Finding

MODELSLIM_BYTES_MAX: Final = 256 << 20
"""One line for each of 208,215 tensors takes about 20 MB."""

_codes = Codes("checkpoint")


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
