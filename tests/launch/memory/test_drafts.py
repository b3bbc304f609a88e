"""What a draft takes: its weights and its part of the KV cache."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.launch.memory.alternatives import alternatives
from k2compat.launch.memory.drafts import DraftSizes, eagle3_sizes, mtp_sizes
from k2compat.launch.memory.fit import estimate_fit, explain_fit
from k2compat.launch.memory.layout import Layout
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.request.model import read_model
from tests.support.configs import config_values
from tests.support.draft_folders import LLAMA, MLA

BF16 = 2


def sizes(name: str = "moonshotai/Kimi-K2-Thinking") -> ModelSizes:
    model = read_model(name)
    found = model_sizes(model.config, model.loaded_bytes)
    assert isinstance(found, ModelSizes)
    return found


def of_config(config: dict[str, Any]) -> DraftSizes:
    found = eagle3_sizes(config)
    assert found is not None
    return found


def test_the_published_parameters() -> None:
    """NVIDIA's card of Kimi-K2.5-Thinking-Eagle3: 1.8e9 parameters."""
    draft = of_config(MLA)
    parameters = (draft.divided_bytes + draft.whole_bytes) / BF16
    assert parameters == pytest.approx(1.8e9, rel=0.03)


def test_a_latent_cache_is_whole_on_every_rank() -> None:
    """As the model's: 512 + 64 elements a layer."""
    draft = of_config(MLA)
    assert (draft.cache_elements, draft.cache_parts) == (576, 1)


def test_a_cache_of_heads_is_cut() -> None:
    draft = of_config(LLAMA)
    assert (draft.cache_elements, draft.cache_parts) == (2 * 8 * 128, 8)


def test_without_its_own_members_a_head_is_the_model_s_part() -> None:
    config = {key: value for key, value in LLAMA.items() if key != "head_dim"}
    assert of_config(config) == of_config(LLAMA)
    del config["num_key_value_heads"]
    assert of_config(config).cache_parts == 56


def test_files_tell_more_than_the_config() -> None:
    stored = {"fc.weight": 100, "lm_head.weight": 10, "d2t": 7, "t2d": 7, "embed_tokens.weight": 9}
    found = eagle3_sizes(LLAMA, stored)
    assert found is not None
    assert (found.divided_bytes, found.whole_bytes) == (10, 100)


@pytest.mark.parametrize(
    "config",
    [{}, {"kv_lora_rank": 512}, {**LLAMA, "num_attention_heads": 0}, {**MLA, "hidden_size": "x"}],
)
def test_a_config_that_lacks_a_dimension_gives_none(config: dict[str, Any]) -> None:
    assert eagle3_sizes({key: value for key, value in config.items() if key != "head_dim"}) is None


def test_the_own_layer_is_a_layer_with_experts() -> None:
    """DeepSeek-V3's card: 671e9 parameters, and 14e9 of the layer, 11.5e9 of them its own."""
    config = {**config_values("deepseek-ai/DeepSeek-V3"), "num_nextn_predict_layers": 1}
    model = model_sizes(config)
    assert isinstance(model, ModelSizes)
    draft = mtp_sizes(model, config)
    parameters = draft.routed_bytes + draft.divided_bytes + draft.whole_bytes / BF16
    assert parameters == pytest.approx(11.5e9, rel=0.05)
    assert draft.cache_elements == model.kv_elements
    config["first_k_dense_replace"] = None
    assert mtp_sizes(model, config).routed_bytes < draft.routed_bytes


LAYOUTS = [
    Layout(8),
    Layout(4, 2),
    Layout(1, data_parallel=8, expert_parallel=8),
    Layout(8, decode_context_parallel=8),
]


@given(st.sampled_from(LAYOUTS), st.sampled_from([MLA, LLAMA]), st.sampled_from([1, 2]))
def test_a_draft_leaves_less_room(layout: Layout, config: dict[str, Any], kv_bytes: int) -> None:
    draft = of_config(config)
    alone = estimate_fit(sizes(), layout, 140.4, kv_cache_bytes=kv_bytes)
    both = estimate_fit(sizes(), layout, 140.4, kv_cache_bytes=kv_bytes, draft=draft)
    assert both.tokens < alone.tokens
    least = (draft.divided_bytes / layout.tensor_parallel + draft.whole_bytes) / 2**30
    assert both.weights_gib - alone.weights_gib == pytest.approx(least)
    assert both.draft_gib == pytest.approx(least)
    assert any("the draft's" in line for line in explain_fit(both))
    assert not any("draft" in line for line in explain_fit(alone))


def test_what_is_proposed_counts_the_draft() -> None:
    draft = of_config(MLA)
    refused = estimate_fit(sizes(), Layout(8), 95.6, draft=draft)
    found = alternatives(sizes(), refused, nodes=1, gpus_per_node=8)
    assert found
    assert all(each.fit.draft == draft for each in found)
