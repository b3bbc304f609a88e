"""The fingerprint tells Kimi-K2 and DeepSeek-V3 apart, and nothing else looks like either."""

import pytest

from k2compat.family import FINGERPRINTS, fingerprint_of
from tests.support.configs import config_values


@pytest.mark.parametrize(
    ("repo", "found"),
    [
        ("moonshotai/Kimi-K2-Base", "kimi_k2"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi_k2"),
        ("moonshotai/Kimi-K2-Thinking", "kimi_k2"),
        ("deepseek-ai/DeepSeek-V3", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1", "deepseek_v3"),
        ("nvidia/DeepSeek-V3.1-NVFP4", "deepseek_v3"),
        ("moonshotai/Kimi-K2.5", None),
        ("moonshotai/Kimi-K3", None),
    ],
)
def test_fingerprint_of_the_published_configs(repo: str, found: str | None) -> None:
    assert fingerprint_of(config_values(repo)) == found


@pytest.mark.parametrize(
    "repo",
    ["moonshotai/Kimi-K2.5", "nvidia/Kimi-K2.6-NVFP4", "nvidia/Kimi-K2.7-Code-NVFP4"],
)
def test_the_nested_text_model_carries_it(repo: str) -> None:
    assert fingerprint_of(config_values(repo)["text_config"]) == "kimi_k2"


def test_true_is_no_group_count() -> None:
    kimi = FINGERPRINTS["kimi_k2"]
    assert fingerprint_of(kimi) == "kimi_k2"
    assert fingerprint_of({**kimi, "n_group": True}) is None
    assert fingerprint_of({**kimi, "n_group": "1"}) is None
