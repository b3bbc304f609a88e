"""Checkpoints that compressed-tensors' own classes write are sound, and every tensor is judged."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.model import expected_blocks, read_architecture
from k2compat.findings import Severity
from k2compat.samples import checkpoint_files, tiny_config
from tests_engines.conftest import environment_of, programs_of

ENGINE = "compressed-tensors"
WRITER = Path(__file__).with_name("compressed_tensors_writer.py")
SCHEMES = (
    *("W8A16", "W4A16", "W4A16_ASYM", "W8A8", "INT8"),
    *("FP8", "FP8_DYNAMIC", "FP8_BLOCK"),
    *("NVFP4A16", "NVFP4", "MXFP4A16", "MXFP4"),
)
"""Of the package's presets, those whose formats are in docs/schemes.md."""

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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_the_package_writes_is_sound(tmp_path: Path, scheme: str) -> None:
    config = tiny_config("bf16")
    for name, content in checkpoint_files().items():
        if not name.endswith((".safetensors", ".index.json")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.json").write_text(json.dumps(model_of(config)))
    command = [str(programs_of(ENGINE) / "python"), str(WRITER), str(tmp_path), scheme]
    subprocess.run(command, env=environment_of(ENGINE), check=True, capture_output=True)
    (tmp_path / "model.json").unlink()
    validation = validate(tmp_path)
    # The writer stores e_score_correction_bias in BF16.
    found = [
        (finding.code, finding.message)
        for finding in validation.report
        if finding.severity is not Severity.INFO and finding.code != "tensor-precision"
    ]
    assert found == []
    assert validation.coverage.judged == validation.coverage.all == validation.tensors
    assert validation.variant != "kimi_k2 bf16"
