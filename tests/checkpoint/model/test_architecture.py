"""A config's sizes: typed, bounded, and refused before anything is made of them."""

import time
from typing import Any

import pytest

from k2compat.checkpoint import expected_tensors
from k2compat.checkpoint.model.architecture import demand_architecture, read_architecture
from k2compat.errors import RefusedError
from k2compat.samples import tiny_config
from tests.support.configs import config_values


def codes(config: dict[str, Any]) -> list[str]:
    return [finding.code for finding in read_architecture(config)[1]]


def changed(**members: Any) -> dict[str, Any]:
    return {**tiny_config(), **members}


@pytest.mark.parametrize(
    ("repo", "variant", "findings"),
    [
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2 fp8", []),
        ("moonshotai/Kimi-K2-Base", "kimi_k2 fp8", []),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi_k2 fp8", []),
        ("moonshotai/Kimi-K2-Thinking", "kimi_k2 int4", []),
        ("moonshotai/Kimi-K2.5", "kimi_k25 int4", []),
        ("deepseek-ai/DeepSeek-V3", "deepseek_v3 fp8", []),
        ("deepseek-ai/DeepSeek-R1", "deepseek_v3 fp8", []),
        ("nvidia/Kimi-K2.6-NVFP4", "kimi_k25 nvfp4", []),
        ("nvidia/Kimi-K2.7-Code-NVFP4", "kimi_k25 nvfp4", []),
    ],
)
def test_the_real_configs(repo: str, variant: str, findings: list[str]) -> None:
    architecture, found = read_architecture(config_values(repo))
    assert architecture is not None
    assert architecture.variant == variant
    assert architecture.layers == 61
    assert [finding.code for finding in found] == findings


def test_kimi_k3_is_refused_with_the_reason() -> None:
    with pytest.raises(RefusedError, match="linear attention") as caught:
        expected_tensors(config_values("moonshotai/Kimi-K3"))
    assert caught.value.code == "architecture-other"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (10**12, "architecture-absurd"),
        (-1, "architecture-absurd"),
        (0, "architecture-absurd"),
        (10**4000, "architecture-absurd"),
        (7168.0, "architecture-value"),
        (float("nan"), "architecture-value"),
        (True, "architecture-value"),
        ("7168", "architecture-value"),
        ([7168], "architecture-value"),
        ({}, "architecture-value"),
        (None, "architecture-value"),
    ],
)
def test_a_size_that_is_none(value: object, code: str) -> None:
    assert codes(changed(hidden_size=value)) == [code]


def test_every_wrong_member_is_named_at_once() -> None:
    config = changed(hidden_size="x", vocab_size=-3, tie_word_embeddings="no", attention_bias=1)
    del config["v_head_dim"]
    assert sorted(codes(config)) == [
        "architecture-absurd",
        "architecture-member-missing",
        "architecture-value",
        "architecture-value",
        "architecture-value",
    ]


def test_experts_of_all_layers_are_bounded_too() -> None:
    assert codes(changed(n_routed_experts=16_000, num_hidden_layers=1_000)) == [
        "architecture-absurd"
    ]


def test_experts_need_a_width() -> None:
    config = changed()
    del config["moe_intermediate_size"]
    assert codes(config) == ["architecture-member-missing"]


def test_nothing_is_expanded_for_an_absurd_config() -> None:
    began = time.process_time()
    for member in ("n_routed_experts", "num_hidden_layers", "num_nextn_predict_layers"):
        with pytest.raises(RefusedError):
            next(expected_tensors(changed(**{member: 10**12})))
    assert time.process_time() - began < 5


def test_expectations_are_made_one_by_one() -> None:
    tensors = expected_tensors(changed(n_routed_experts=1_000, num_hidden_layers=1_000))
    assert next(tensors).name == "model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("model_type", "code"),
    [
        ("llama", "architecture-model-type"),
        (None, "architecture-model-type"),
        (3, "architecture-model-type"),
        ("kimi_k3", "architecture-other"),
        ("kimi_linear", "architecture-other"),
    ],
)
def test_a_model_of_another_kind(model_type: object, code: str) -> None:
    assert codes(changed(model_type=model_type)) == [code]
    nested = tiny_config("kimi_k25")
    nested["text_config"] = {**nested["text_config"], "model_type": model_type}
    assert codes(nested) == [code]


def test_transformers_fills_in_the_vision_config() -> None:
    """The defaults are those of Transformers itself, which saves under names of its own."""
    from transformers.models.kimi_k25.configuration_kimi_k25 import Kimi_K25VisionConfig

    whole = tiny_config("kimi_k25")
    saved = Kimi_K25VisionConfig().to_dict()
    lacking = {name: value for name, value in whole.items() if name != "vision_config"}
    filled = [{**whole, "vision_config": vision} for vision in (None, {}, saved)] + [lacking]
    expected = demand_architecture(filled[2]).sizes
    for config in filled:
        assert codes(config) == []
        assert demand_architecture(config).sizes == expected
    assert expected["vt_hidden_size"] == Kimi_K25VisionConfig().hidden_size


@pytest.mark.parametrize(
    "name",
    [
        *("n_shared_experts", "num_nextn_predict_layers", "first_k_dense_replace"),
        *("moe_layer_freq", "topk_method", "tie_word_embeddings", "attention_bias"),
    ],
)
def test_a_member_that_may_be_null_stops_nothing(name: str) -> None:
    assert codes(changed(**{name: None})) == []
    assert codes({**tiny_config("kimi_k25"), "vision_config": {"merge_kernel_size": None}}) == []


def test_a_wrapper_without_its_parts() -> None:
    assert codes({"model_type": "kimi_k25"}) == ["architecture-value"]
    whole = tiny_config("kimi_k25")
    assert codes({**whole, "vision_config": []}) == ["architecture-value"]
    assert codes({**whole, "vision_config": {**whole["vision_config"], "patch_size": 0}}) == [
        "architecture-absurd"
    ]
    for kernel in ([2], [2, 0], "2", [2, True]):
        vision = {**whole["vision_config"], "merge_kernel_size": kernel}
        assert codes({**whole, "vision_config": vision}) == ["architecture-value"]


def names(config: dict[str, Any]) -> set[str]:
    return {tensor.name for tensor in expected_tensors(config)}


def test_traits_decide_over_tensors() -> None:
    usual = names(changed())
    no_query_rank = names(changed(q_lora_rank=None))
    assert "model.layers.0.self_attn.q_proj.weight" in no_query_rank - usual
    assert "model.layers.0.self_attn.q_b_proj.weight" in usual - no_query_rank
    assert usual - names(changed(n_shared_experts=None)) == {
        f"model.layers.1.mlp.shared_experts.{projection}_proj.{suffix}"
        for projection in ("gate", "up", "down")
        for suffix in ("weight", "weight_scale_inv")
    }
    assert names(changed(attention_bias=True)) - usual == {
        f"model.layers.{layer}.self_attn.{module}.bias"
        for layer in (0, 1)
        for module in ("q_a_proj", "kv_a_proj_with_mqa", "o_proj")
    }
    assert usual - names(changed(topk_method="greedy")) == {
        "model.layers.1.mlp.gate.e_score_correction_bias"
    }
    assert not any("experts" in name for name in names(changed(n_routed_experts=None)))


def test_layers_are_moe_by_place_and_frequency() -> None:
    architecture = demand_architecture(
        changed(num_hidden_layers=8, first_k_dense_replace=3, moe_layer_freq=2)
    )
    assert [layer for layer in range(8) if architecture.is_moe(layer)] == [4, 6]


def test_tied_embeddings_need_no_head() -> None:
    kinds = {
        tensor.name: tensor.kind for tensor in expected_tensors(changed(tie_word_embeddings=True))
    }
    assert kinds["lm_head.weight"] == "optional"


def test_a_scale_for_each_block_begun() -> None:
    shapes = {
        tensor.name: tensor.shape
        for tensor in expected_tensors(config_values("moonshotai/Kimi-K2-Instruct"))
        if ".layers.0." in tensor.name
    }
    projection = "model.layers.0.self_attn.kv_a_proj_with_mqa"
    assert shapes[f"{projection}.weight"] == (576, 7168)
    assert shapes[f"{projection}.weight_scale_inv"] == (5, 56)
