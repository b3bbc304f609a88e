"""Quantise a small model with compressed-tensors' own classes. Runs in that package's environment.

    python compressed_tensors_writer.py FOLDER

FOLDER holds config.json; model.json with the shapes of Linear modules and other tensors; and
configs.json, quantization_configs by name. Writes FOLDER/NAME/model.safetensors for each of these
and for each preset of the package, with a config.json that the package completes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from compressed_tensors.compressors import ModelCompressor  # type: ignore[import-not-found]
from compressed_tensors.quantization import (  # type: ignore[import-not-found]
    QuantizationConfig,
    apply_quantization_config,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.quant_scheme import (  # type: ignore[import-not-found]
    PRESET_SCHEMES,
)
from safetensors.torch import save_file

IGNORED = ["lm_head", "re:.*self_attn.*"]


def build(linear: dict[str, list[int]]) -> torch.nn.Module:
    """A module with a Linear at each name."""
    root = torch.nn.Module()
    for name, (rows, columns) in linear.items():
        parent = root
        *parts, last = name.split(".")
        for part in parts:
            if part not in dict(parent.named_children()):
                parent.add_module(part, torch.nn.Module())
            parent = parent.get_submodule(part)
        made = torch.nn.Linear(columns, rows, bias=False, dtype=torch.bfloat16)
        parent.add_module(last, made)
    return root


def quantise(folder: Path, described: dict[str, Any], config: QuantizationConfig) -> None:
    """Write a folder's model.safetensors, and complete its config.json."""
    model = build(described["linear"])
    apply_quantization_config(model, config)
    for name, parameter in model.named_parameters():
        if name.endswith("scale"):
            parameter.data = torch.ones_like(parameter.data)
        elif name.endswith(("zero_point", "g_idx")):
            parameter.data = torch.zeros_like(parameter.data)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    for name, shape in described["plain"].items():
        tensors[name] = torch.zeros(shape, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    compressor.update_config(folder)


def main(folder: Path) -> None:
    """Quantise in every way, and print the names of the presets."""
    described, configs = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("model.json", "configs.json")
    )
    made = {name: QuantizationConfig.model_validate(config) for name, config in configs.items()}
    for name in PRESET_SCHEMES:
        groups = {"group_0": preset_name_to_scheme(name, ["Linear"])}
        made[name] = QuantizationConfig(config_groups=groups, ignore=IGNORED)
    for name, config in made.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_bytes((folder / "config.json").read_bytes())
        quantise(folder / name, described, config)
    sys.stdout.write(json.dumps(list(PRESET_SCHEMES)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
