"""The family's real configs, and small ones to bend."""

import json
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[2] / "fixtures" / "configs"

# Just enough of a Kimi-K2: the type and the fingerprint.
KIMI = (
    b'{\n  "model_type": "kimi_k2",\n  "routed_scaling_factor": 2.827,\n'
    b'  "n_group": 1,\n  "topk_group": 1\n}\n'
)
PATCHED = KIMI.replace(b"kimi_k2", b"deepseek_v3")


def config_bytes(repo: str) -> bytes:
    """The config of `ORG/NAME`."""
    return (CONFIGS / f"{repo.replace('/', '--')}.json").read_bytes()


def config_values(repo: str) -> dict[str, Any]:
    """The same, parsed."""
    values: dict[str, Any] = json.loads(config_bytes(repo))
    return values
