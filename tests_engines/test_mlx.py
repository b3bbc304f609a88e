"""Conversions that MLX itself packs are one finding, and every tensor is judged."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import validate
from k2compat.findings import Severity
from k2compat.samples import checkpoint_files, tiny_config
from tests.support.mlx_conversion import OVERRIDES, is_packed, mlx_shapes
from tests_engines.conftest import environment_of, programs_of

ENGINE = "mlx"

# Packs zeros of the shapes in the file that the command line names, and writes model.safetensors.
SCRIPT = """
import json, sys
from pathlib import Path
import mlx.core as mx
folder = Path(sys.argv[1])
made = {}
for name, (shape, settings) in json.loads((folder / "shapes.json").read_text()).items():
    weight = mx.zeros(shape, dtype=mx.bfloat16)
    if settings is None:
        made[name] = weight
        continue
    packed = mx.quantize(weight, **settings)
    for suffix, array in zip(("weight", "scales", "biases"), packed):
        made[name.removesuffix("weight") + suffix] = array
mx.save_safetensors(str(folder / "model.safetensors"), made, metadata={"format": "mlx"})
"""


@pytest.mark.parametrize(
    "settings",
    [
        *({"group_size": size, "bits": 4, "mode": "affine"} for size in (32, 64, 128)),
        *({"group_size": 32, "bits": bits, "mode": "affine"} for bits in (2, 3, 5, 6, 8)),
        {"group_size": 32, "bits": 4, "mode": "mxfp4"},
        {"group_size": 16, "bits": 4, "mode": "nvfp4"},
        {"group_size": 32, "bits": 8, "mode": "mxfp8"},
        {"group_size": 32, "bits": 4, "mode": "affine", **OVERRIDES},
    ],
)
def test_what_mlx_packs_is_judged_whole(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain = {name: each for name, each in settings.items() if name not in OVERRIDES}
    shapes = {}
    for name, shape in mlx_shapes(tiny_config("bf16")).items():
        own = {**plain, **settings.get(name.removesuffix(".weight"), {})}
        fits = is_packed(name, shape) and shape[-1] % own["group_size"] == 0
        shapes[name] = (shape, own if fits else None)
    for name, content in checkpoint_files().items():
        if not name.endswith((".safetensors", ".index.json")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    config = {**tiny_config("bf16"), "quantization": settings, "quantization_config": settings}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "shapes.json").write_text(json.dumps(shapes))
    command = [str(programs_of(ENGINE) / "python"), "-c", SCRIPT, str(tmp_path)]
    subprocess.run(command, env=environment_of(ENGINE), check=True, capture_output=True)
    (tmp_path / "shapes.json").unlink()
    validation = validate(tmp_path)
    found = [each.code for each in validation.report if each.severity is not Severity.INFO]
    assert found == ["foreign-mlx"]
    assert validation.coverage.judged == validation.coverage.all == validation.tensors
