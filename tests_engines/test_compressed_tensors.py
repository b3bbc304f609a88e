"""Checkpoints that compressed-tensors' own classes write are sound, and every tensor is judged."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from k2compat.checkpoint import expected_tensors, open_checkpoint, validate
from k2compat.checkpoint.model import expected_blocks, read_architecture
from k2compat.findings import Severity
from k2compat.samples import checkpoint_files, tiny_config
from k2compat.samples.configs import QUANTIZATIONS
from tests_engines.conftest import environment_of, programs_of

ENGINE = "compressed-tensors"
WRITER = Path(__file__).with_name("compressed_tensors_writer.py")
PRESETS = (
    *("UNQUANTIZED", "W8A8", "INT8", "W4A4", "W4A8", "W4AFP8"),
    *("W2A4", "W2A8", "W2A16", "W3A4", "W3A8", "W3A16", "W4A16", "W4A16_ASYM"),
    *("W5A8", "W5A16", "W6A8", "W6A16", "W7A8", "W7A16", "W8A16"),
    *("FP8", "FP8_DYNAMIC", "FP8_BLOCK", "NVFP4A16", "NVFP4"),
    *("MXFP4A16", "MXFP4", "MXFP4XFP8", "MXFP6A16", "MXFP6A8", "MXFP8A16", "MXFP8"),
)
"""All of the package's release in install.py."""

CONFIGS = {
    name: config
    for name, config in QUANTIZATIONS.items()
    if config["quant_method"] == "compressed-tensors" and name != "int4-act-order"
}
"""Configs of our samples. The package no longer writes g_idx: it refuses actorder "group"."""

_WEIGHT = ".weight"


def model_of(config: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
    """The Linear modules and the other tensors that a config describes."""
    architecture, findings = read_architecture(config)
    assert architecture is not None, findings
    linear: dict[str, list[int]] = {}
    plain: dict[str, list[int]] = {}
    for block in expected_blocks(architecture):
        for rest, kind in block.kinds.items():
            assert kind.shape is not None
            name = block.prefix + rest
            if kind.module is not None and kind.module.kind in ("projection", "linear"):
                linear[name.removesuffix(_WEIGHT)] = list(kind.shape)
            elif kind.necessity == "required":
                plain[name] = list(kind.shape)
    return {"linear": linear, "plain": plain}


class Written(NamedTuple):
    """A folder of each name, and the package's presets."""

    folder: Path
    presets: list[str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("written")
    config = tiny_config("bf16")
    for name, document in (
        ("config.json", config),
        ("model.json", model_of(config)),
        ("configs.json", CONFIGS),
    ):
        (folder / name).write_text(json.dumps(document))
    command = [str(programs_of(ENGINE) / "python"), str(WRITER), str(folder)]
    done = subprocess.run(command, env=environment_of(ENGINE), check=True, capture_output=True)
    return Written(folder, json.loads(done.stdout.splitlines()[-1]))


def test_no_preset_of_the_package_is_left_out(written: Written) -> None:
    assert sorted(written.presets) == sorted(PRESETS)


@pytest.mark.parametrize("name", [*PRESETS, *CONFIGS])
def test_what_the_package_writes_is_sound_and_judged_whole(written: Written, name: str) -> None:
    folder = written.folder / name
    for beside, content in checkpoint_files().items():
        if beside != "config.json" and not beside.endswith((".safetensors", ".index.json")):
            (folder / beside).parent.mkdir(parents=True, exist_ok=True)
            (folder / beside).write_bytes(content)
    validation = validate(folder)
    # The writer stores e_score_correction_bias in BF16.
    found = [
        (finding.code, finding.message)
        for finding in validation.report
        if finding.severity is not Severity.INFO and finding.code != "tensor-precision"
    ]
    assert found == []
    assert validation.coverage.judged == validation.coverage.all == validation.tensors
    assert (validation.variant == "kimi_k2 bf16") == (name == "UNQUANTIZED")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_package_stores_the_tensors_of_our_samples(written: Written, name: str) -> None:
    shard = written.folder / name / "model.safetensors"
    with open_checkpoint(shard) as opened:
        theirs = {tensor.name for tensor in opened.tensors()}
    ours = {tensor.name for tensor in expected_tensors(tiny_config(name)) if tensor.is_usual}
    assert theirs == ours
