"""Configs of small models, one for each way the family's weights are stored."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import tomli

# The config of moonshotai/Kimi-K2-Instruct on the Hub, all values.
_REAL_CONFIG = Path(__file__).with_name("kimi-k2-instruct.json")

QUANTIZATIONS: Final[Mapping[str, Mapping[str, Any]]] = tomli.loads(
    Path(__file__).with_name("quantizations.toml").read_text(encoding="utf-8")
)
"""A quantization_config for each way of storing weights, by the name of its variant."""

# Sizes and ids in place of the real ones; the fingerprint and all other values stay.
TINY: Final[Mapping[str, int]] = {
    "bos_token_id": 256,
    "eos_token_id": 257,
    "hidden_size": 256,
    "intermediate_size": 512,
    "kv_lora_rank": 32,
    "moe_intermediate_size": 128,
    "n_routed_experts": 4,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "q_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "vocab_size": 320,
}

# As moonshotai/Kimi-K2-Thinking has it.
_INT4: Final[Mapping[str, Any]] = {
    "config_groups": {
        "group_0": {
            "input_activations": None,
            "output_activations": None,
            "targets": ["Linear"],
            "weights": {
                "actorder": None,
                "dynamic": False,
                "group_size": 32,
                "num_bits": 4,
                "observer": "minmax",
                "strategy": "group",
                "symmetric": True,
                "type": "int",
            },
        }
    },
    "format": "pack-quantized",
    "ignore": [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
    ],
    "quant_method": "compressed-tensors",
    "quantization_status": "compressed",
}

# As moonshotai/Kimi-K2.5 has it, with small sizes.
_VISION: Final[Mapping[str, Any]] = {
    "init_pos_emb_height": 8,
    "init_pos_emb_time": 4,
    "init_pos_emb_width": 8,
    "merge_kernel_size": [2, 2],
    "merge_type": "sd2_tpool",
    "mm_hidden_size": 32,
    "mm_projector_type": "patchmerger",
    "patch_size": 14,
    "text_hidden_size": 256,
    "vt_hidden_size": 32,
    "vt_intermediate_size": 64,
    "vt_num_attention_heads": 2,
    "vt_num_hidden_layers": 2,
}


def tiny_config(variant: str = "fp8") -> dict[str, Any]:
    """The config of a model of the family with small sizes, members in the real order.

    Args:
        variant: A key of VARIANTS.
    """
    config: dict[str, Any] = json.loads(_REAL_CONFIG.read_text(encoding="utf-8"))
    return VARIANTS[variant]({**config, **TINY})


def _bf16(config: dict[str, Any]) -> dict[str, Any]:
    del config["quantization_config"]
    return config


def _int4(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "quantization_config": _INT4}


def _quantized(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "quantization_config": json.loads(json.dumps(QUANTIZATIONS[name]))}


def _kimi_k25(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["KimiK25ForConditionalGeneration"],
        "model_type": "kimi_k25",
        "text_config": _int4(config),
        "tie_word_embeddings": False,
        "vision_config": _VISION,
    }


def _deepseek_v3(config: dict[str, Any]) -> dict[str, Any]:
    return {
        **config,
        "model_type": "deepseek_v3",
        "n_group": 8,
        "n_routed_experts": 8,
        "num_nextn_predict_layers": 1,
        "rope_theta": 10000,
        "routed_scaling_factor": 2.5,
        "topk_group": 4,
    }


VARIANTS: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "fp8": dict,
    "bf16": _bf16,
    "int4": _int4,
    "kimi_k25": _kimi_k25,
    "deepseek_v3": _deepseek_v3,
    **{name: partial(_quantized, name) for name in QUANTIZATIONS},
}
"""Kimi-K2-Instruct, its BF16 export, Kimi-K2-Thinking, Kimi-K2.5, DeepSeek-V3 with MTP, and
Kimi-K2 in every way of QUANTIZATIONS."""
