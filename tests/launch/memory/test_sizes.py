"""A model's weights and KV cache in bytes, from its config."""

from typing import Any

import pytest

from k2compat.checkpoint import DTYPE_BITS, expected_tensors
from k2compat.findings import Finding
from k2compat.launch.memory.fit import GIB
from k2compat.launch.memory.sizes import (
    ModelDimensions,
    ModelSizes,
    model_dimensions,
    model_sizes,
)
from tests.support.configs import config_values
from tests.support.stand_ins import stand_in

INSTRUCT = "moonshotai/Kimi-K2-Instruct"
THINKING = "moonshotai/Kimi-K2-Thinking"

DTYPE_BYTES = {"BF16": 2, "F8_E4M3": 1, "F32": 4, "I32": 4}


def sizes_of(repo: str) -> ModelSizes:
    return known(config_values(repo))


def known(config: dict[str, Any]) -> ModelSizes:
    sizes = model_sizes(config)
    assert isinstance(sizes, ModelSizes)
    return sizes


def without_quantisation(repo: str) -> dict[str, Any]:
    config = config_values(repo)
    del config["quantization_config"]
    return config


def test_fp8_weights_are_the_real_index_total_to_the_byte() -> None:
    inv_freq = 61 * (7168 // 64 // 2) * 2  # legacy, in the genuine index, loaded by no engine
    assert sizes_of(INSTRUCT).total_bytes == 1_029_173_256_720 - inv_freq


def test_bf16_weights_are_two_bytes_an_element() -> None:
    elements = 1_026_408_232_448
    bias = 60 * 384 * 2  # the router's bias is F32
    assert known(without_quantisation(INSTRUCT)).total_bytes == 2 * elements + bias


@pytest.mark.parametrize(
    ("repo", "gigabytes", "precision"),
    [
        (INSTRUCT, 1029.2, "fp8"),
        ("moonshotai/Kimi-K2-Instruct-0905", 1029.2, "fp8"),
        (THINKING, 594.2, "int4"),
        ("moonshotai/Kimi-K2.5", 594.2, "int4"),
    ],
)
def test_published_sizes(repo: str, gigabytes: float, precision: str) -> None:
    sizes = sizes_of(repo)
    assert round(sizes.total_bytes / 1e9, 1) == gigabytes
    assert sizes.precision == precision


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("nvidia/Kimi-K2.6-NVFP4", "nvfp4"),
        ("amd/Kimi-K2-Thinking-MXFP4", "mxfp4"),
        ("W8A8", "int8"),
    ],
)
def test_sizes_of_other_schemes_are_those_of_their_tensors(name: str, precision: str) -> None:
    config = stand_in(name)
    sizes = known(config)
    prefixes = ("vision_tower", "mm_projector")
    held = (
        one.elements * DTYPE_BITS[one.dtypes[0]] // 8
        for one in expected_tensors(config)
        if one.is_usual and not one.name.startswith(prefixes)
    )
    assert sizes.total_bytes == sum(held)
    assert sizes.precision == precision


def test_kv_cache_of_a_token() -> None:
    sizes = sizes_of(INSTRUCT)
    assert sizes.kv_bytes_per_token() == 70_272
    assert sizes.kv_bytes_per_token(1) == 35_136
    assert round(sizes.context * sizes.kv_bytes_per_token() / GIB, 2) == 8.58


def test_replicated_part() -> None:
    """What DP + EP holds on every GPU: attention, dense and shared MLPs, embeddings."""
    assert round(sizes_of(INSTRUCT).other_bytes / 1e9, 1) == 14.2


def test_the_wrapper_and_its_text_model_say_the_same() -> None:
    wrapper = config_values("moonshotai/Kimi-K2.5")
    assert model_sizes(wrapper) == model_sizes(wrapper["text_config"])


def test_layers_are_moe_from_the_first_on_and_every_nth() -> None:
    """Sixty layers with a router in K2; half as many where every second one is dense."""
    config = without_quantisation(INSTRUCT)
    expert = 384 * 3 * 7168 * 2048 * 2
    assert known(config).routed_bytes == 60 * expert
    assert known(config | {"moe_layer_freq": 2}).routed_bytes == 30 * expert
    assert known(config | {"first_k_dense_replace": 0}).routed_bytes == 61 * expert
    assert known(config | {"first_k_dense_replace": 61}).routed_bytes == 0


def test_what_a_config_can_leave_out_is_smaller_by_just_that() -> None:
    config = without_quantisation(INSTRUCT)
    whole = known(config).other_bytes
    tied = known(config | {"tie_word_embeddings": True}).other_bytes
    assert whole - tied == 2 * 163840 * 7168
    unshared = known(config | {"n_shared_experts": None}).other_bytes
    assert whole - unshared == 60 * 3 * 2048 * 7168 * 2
    unbiased = known(config | {"topk_method": "greedy"}).other_bytes
    assert whole - unbiased == 60 * 384 * 4
    direct = known(config | {"q_lora_rank": None}).other_bytes
    through_latent = 1536 * 7168 + 64 * 192 * 1536 + 1536
    assert whole - direct == 61 * 2 * (through_latent - 64 * 192 * 7168)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kv_lora_rank": None}, "no usable kv_lora_rank"),
        ({"hidden_size": "7168", "vocab_size": 0}, "no usable hidden_size, vocab_size"),
        ({"n_routed_experts": 10**12}, "no usable n_routed_experts"),
        ({"n_routed_experts": True}, "no usable n_routed_experts"),
        ({"quantization_config": "fp8"}, "quantisation"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantisation"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantisation"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "quantisation"),
        (
            {"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8_NEXT"}},
            "quantisation",
        ),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": None}},
                }
            },
            "quantisation",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {}}},
            "quantisation",
        ),
    ],
)
def test_unknown_sizes_are_a_finding_with_the_reason(
    changes: dict[str, object], reason: str
) -> None:
    finding = model_sizes(config_values(INSTRUCT) | changes)
    assert isinstance(finding, Finding)
    assert finding.code == "sizes-unknown"
    assert reason in finding.message


def test_dimensions_are_known_where_the_bytes_are_not() -> None:
    config = config_values(INSTRUCT) | {"first_k_dense_replace": -1}
    assert isinstance(model_dimensions(config), ModelDimensions)
    finding = model_sizes(config)
    assert isinstance(finding, Finding)
    assert (finding.code, "first_k_dense_replace" in finding.message) == ("sizes-unknown", True)


def test_settings_that_contradict_each_other_give_no_dimensions() -> None:
    """Launch reads a quantisation from the same table as validate."""
    weights = {"num_bits": 4, "type": "int", "group_size": 32}
    settings = {
        "quant_method": "compressed-tensors",
        "format": "float-quantized",
        "config_groups": {"group_0": {"weights": weights}},
    }
    finding = model_dimensions(config_values(INSTRUCT) | {"quantization_config": settings})
    assert isinstance(finding, Finding)
    assert "quantisation" in finding.message


def test_another_architecture_is_unknown() -> None:
    finding = model_sizes(config_values("moonshotai/Kimi-K3"))
    assert isinstance(finding, Finding)


@pytest.mark.parametrize(
    ("repo", "quantised"),
    [
        (INSTRUCT, True),
        (INSTRUCT, False),
        (THINKING, True),
        ("moonshotai/Kimi-K2-Instruct-0905", True),
        ("deepseek-ai/DeepSeek-V3", True),
    ],
)
def test_the_sums_are_those_of_every_single_tensor(repo: str, quantised: bool) -> None:
    """What `expected_tensors` lists, without what no engine loads."""
    config = config_values(repo) if quantised else without_quantisation(repo)
    total = routed = 0
    for tensor in expected_tensors(config):
        if tensor.kind in ("required", "optional"):
            size = tensor.elements * DTYPE_BYTES[tensor.dtypes[0]]
            total += size
            routed += size if ".mlp.experts." in tensor.name else 0
    sizes = known(config)
    assert (sizes.total_bytes, sizes.routed_bytes) == (total, routed)
