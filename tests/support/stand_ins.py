"""Configs of published quantisations at full scale, with their lists of modules written out.

The lists are those that NVIDIA, AMD and llm-compressor publish, by the rule each follows. No
header of these repos was at hand: tensors and bytes follow from the rules of the schemes.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from k2compat.samples.configs import QUANTIZATIONS
from tests.support.configs import config_values

_K25: Final = "moonshotai/Kimi-K2.5"
_THINKING: Final = "moonshotai/Kimi-K2-Thinking"
_LAYERS: Final = range(61)


def stand_in(name: str) -> dict[str, Any]:
    """The config of one of STAND_INS."""
    repo, quantization = STAND_INS[name]
    config: dict[str, Any] = json.loads(json.dumps(config_values(repo)))
    config.get("text_config", config).pop("quantization_config", None)
    if name == "nvidia/Kimi-K2.5-NVFP4":
        # The published total of 589,987,503,448 bytes is that of one layer of vision.
        config["vision_config"]["vt_num_hidden_layers"] = 1
    return {**config, "quantization_config": quantization}


def _with(sample: str, **members: Any) -> dict[str, Any]:
    return {**QUANTIZATIONS[sample], **members}


def _wrapped(*patterns: str) -> list[str]:
    return [
        "language_model.lm_head",
        *(
            f"language_model.model.layers.{layer}.{pattern}"
            for layer in _LAYERS
            for pattern in patterns
        ),
        "mm_projector*",
        "vision_tower*",
    ]


def _every_projection() -> list[str]:
    """1,940 exact names: attention and shared experts, and experts of two layers."""
    attention = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    mlp = ("gate_proj", "up_proj", "down_proj")
    names = [
        "lm_head",
        *(f"model.layers.{i}.self_attn.{each}" for i in _LAYERS for each in attention),
    ]
    names += [f"model.layers.{i}.mlp.shared_experts.{each}" for i in range(1, 61) for each in mlp]
    names += [f"model.layers.0.mlp.{each}" for each in mlp]
    experts = (
        f"model.layers.{i}.mlp.experts.{expert}.{each}"
        for i in (1, 60)
        for expert in range(384)
        for each in mlp
    )
    return [*names, *experts][:1940]


STAND_INS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "nvidia/Kimi-K2.5-NVFP4": (_K25, _with("nvfp4", ignore=_wrapped("self_attn*"))),
    "nvidia/Kimi-K2.6-NVFP4": (
        _K25,
        _with(
            "nvfp4",
            ignore=[
                *_wrapped("self_attn*", "mlp.shared_experts*"),
                "language_model.model.layers.0*",
            ],
        ),
    ),
    "amd/Kimi-K2-Thinking-MXFP4": (_THINKING, _with("quark-mxfp4")),
    "int4 asymmetric, 1,940 names": (
        _THINKING,
        _with("int4-asymmetric", ignore=_every_projection()),
    ),
    "W8A8": (_THINKING, _with("ct-int8")),
}
"""Name → the repo of the original, and the quantization_config."""
