"""Quantise a small model with compressed-tensors' own classes. Runs in that package's environment.

    python compressed_tensors_writer.py FOLDER SCHEME

FOLDER holds config.json, and model.json with the shapes of Linear modules and other tensors.
Writes model.safetensors, and the package's quantization_config into config.json.
"""

import json
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]
from compressed_tensors.compressors import ModelCompressor  # type: ignore[import-not-found]
from compressed_tensors.quantization import (  # type: ignore[import-not-found]
    QuantizationConfig,
    apply_quantization_config,
    preset_name_to_scheme,
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


def main(folder: Path, scheme: str) -> None:
    """Quantise and write."""
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    model = build(described["linear"])
    group = preset_name_to_scheme(scheme, ["Linear"])
    config = QuantizationConfig(config_groups={"group_0": group}, ignore=IGNORED)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
