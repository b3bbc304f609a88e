"""Transformers itself: what it refuses, and what it loads after a patch.

In a process of its own: Transformers sets up logging and much else on import.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from k2compat.config import plan_patch
from tests.support.command import ENVIRONMENT
from tests.support.configs import config_bytes, config_values

pytest.importorskip("transformers")

# Loads each folder without remote code; answers with the class and values, or the refusal.
SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from transformers import AutoConfig
results = []
for folder in sys.argv[1:]:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        results.append([type(config).__name__, config.to_dict()])
    except Exception as error:
        results.append([type(error).__name__, str(error)])
print(json.dumps(results, default=str))
"""

# Those that decide which model is built.
ARCHITECTURE = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "moe_intermediate_size",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "first_k_dense_replace",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "n_group",
    "topk_group",
    "norm_topk_prob",
    "routed_scaling_factor",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "architectures",
    "auto_map",
]
REPOS = ["moonshotai/Kimi-K2-Instruct", "moonshotai/Kimi-K2-Thinking"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Transformers makes of each config; loaded in one process, for it starts slowly."""
    configs = {"byte order mark": b"\xef\xbb\xbf" + config_bytes("deepseek-ai/DeepSeek-V3")}
    for repo in REPOS:
        configs[f"{repo} unpatched"] = config_bytes(repo)
        configs[repo] = plan_patch(config_bytes(repo), to="deepseek_v3", where="").new
    folder = tmp_path_factory.mktemp("configs")
    for number, data in enumerate(configs.values()):
        (folder / str(number)).mkdir()
        (folder / str(number) / "config.json").write_bytes(data)
    folders = [str(folder / str(number)) for number in range(len(configs))]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *folders],
        env={**ENVIRONMENT, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")},
        capture_output=True,
        check=True,
    )
    return dict(zip(configs, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("repo", REPOS)
def test_an_unpatched_config_is_refused_without_remote_code(
    loaded: dict[str, Any], repo: str
) -> None:
    name, words = loaded[f"{repo} unpatched"]
    assert name == "ValueError"
    assert "trust_remote_code" in words or "kimi_k2" in words


@pytest.mark.parametrize("repo", REPOS)
def test_a_patched_config_loads_with_every_value_intact(loaded: dict[str, Any], repo: str) -> None:
    name, values = loaded[repo]
    assert name == "DeepseekV3Config"
    wanted = config_values(repo)
    assert {key: values[key] for key in ARCHITECTURE} == {key: wanted[key] for key in ARCHITECTURE}
    rope = {**wanted["rope_scaling"], "rope_theta": wanted["rope_theta"]}
    assert {key: values["rope_parameters"].get(key) for key in rope} == rope
    assert values["quantization_config"] == wanted["quantization_config"]


def test_a_byte_order_mark_is_refused(loaded: dict[str, Any]) -> None:
    name, words = loaded["byte order mark"]
    assert name == "OSError"
    assert "not a valid JSON file" in words
