"""GGUFs of deepseek2 held against their own metadata and the original config."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint.gguf_files.comparison import GgufComparison, compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufHeader
from k2compat.checkpoint.gguf_files.rules import GgufLayout, config_sizes, expected_gguf_tensors
from k2compat.findings import Finding, Severity
from k2compat.samples import tiny_config
from tests.checkpoint.gguf_files.gguf_cases import BROKEN, SOUND, Case, fused, tokens, with_mtp
from tests.checkpoint.gguf_files.gguf_models import ARCH, Model, tiny

CONFIGS = Path(__file__).parents[3] / "k2compat" / "samples"


def compare(
    *models: Model, config: dict[str, Any] | None = None, names: tuple[str, ...] = ()
) -> GgufComparison:
    names = names or tuple(f"model{number or ''}.gguf" for number in range(len(models)))
    headers = {name: model.header(name) for name, model in zip(names, models, strict=True)}
    assert not any(header.findings for header in headers.values())
    return compare_gguf(headers, config)


def codes(comparison: GgufComparison) -> list[str]:
    return [finding.code for finding in comparison.findings]


def only(comparison: GgufComparison) -> Finding:
    (finding,) = comparison.findings
    return finding


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.what)
def test_sound_models_have_no_findings(case: Case) -> None:
    assert compare(case.make()).findings == ()


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.code} {case.what}")
def test_each_defect_has_its_code_and_its_place(case: Case) -> None:
    found = {finding.code: finding for finding in compare(case.make()).findings}
    assert case.code in found
    assert re.match(r"model\.gguf: (key|tensor|tensors|layers) ", found[case.code].where)


# The real model.


def real_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CONFIGS / "kimi-k2-instruct.json").read_text())
    return config


def real_sizes() -> dict[str, int]:
    sizes = {**config_sizes(real_config()), "vocabulary": 163_840}
    return {**sizes, "head_nope": 128}


def test_kimi_k2_has_1096_tensors() -> None:
    tensors = {
        tensor.name: tensor for tensor in expected_gguf_tensors(real_sizes(), GgufLayout(True))
    }
    assert len(tensors) == 1096
    shapes = {name: tensor.dimensions for name, tensor in tensors.items()}
    assert shapes["token_embd.weight"] == (7168, 163_840)
    assert shapes["blk.0.ffn_gate.weight"] == (7168, 18_432)
    assert shapes["blk.60.attn_k_b.weight"] == (128, 512, 64)
    assert shapes["blk.60.attn_v_b.weight"] == (512, 128, 64)
    assert shapes["blk.60.attn_kv_a_mqa.weight"] == (7168, 576)
    assert shapes["blk.60.attn_q_b.weight"] == (1536, 12_288)
    assert shapes["blk.60.attn_output.weight"] == (8192, 7168)
    assert shapes["blk.60.ffn_down_exps.weight"] == (2048, 7168, 384)
    assert "blk.0.ffn_gate_inp.weight" not in tensors
    assert tensors["blk.5.attn_q_a.weight"].original == "model.layers.5.self_attn.q_a_proj"
    assert tensors["output.weight"].original == "lm_head"


def test_older_files_of_kimi_k2_have_one_tensor_less_in_each_layer() -> None:
    tensors = {
        tensor.name: tensor for tensor in expected_gguf_tensors(real_sizes(), GgufLayout(False))
    }
    assert len(tensors) == 1096 - 61
    assert tensors["blk.60.attn_kv_b.weight"].dimensions == (512, 16_384)


# What is said.


def test_tensors_and_parameters_are_those_of_all_files() -> None:
    comparison = compare(tiny())
    assert comparison.tensors == len(tiny().tensors)
    assert comparison.parameters == sum(tensor.elements for tensor in tiny().header().tensors)
    assert comparison.variant == "kimi_k2 F32, split MLA"
    assert compare(tiny(joint_mla=True)).variant == "kimi_k2 F32, joint MLA"


def test_the_member_of_the_family_is_told_by_its_router() -> None:
    assert (
        compare(
            tiny()
            .set(f"{ARCH}expert_weights_scale", 2.5, "float32")
            .set(f"{ARCH}expert_group_count", 8)
            .set(f"{ARCH}expert_group_used_count", 4)
        ).variant
        == "deepseek_v3 F32, split MLA"
    )
    old = tiny().without(f"{ARCH}expert_group_count", f"{ARCH}expert_group_used_count")
    assert compare(old).variant == "kimi_k2 F32, split MLA"
    unknown = tiny().set(f"{ARCH}expert_weights_scale", 1.0, "float32")
    assert compare(unknown).variant == "deepseek2 F32, split MLA"
    assert compare(tiny().without(f"{ARCH}expert_weights_scale")).variant is not None


def test_tensors_missing_in_several_layers_are_one_finding() -> None:
    model = tiny().without("blk.0.attn_norm.weight", "blk.1.attn_norm.weight")
    finding = only(compare(model))
    assert finding.where == "model.gguf: tensors blk.{0-1}.attn_norm.weight"
    assert finding.count == 2
    assert finding.items == ("blk.0.attn_norm.weight", "blk.1.attn_norm.weight")
    assert "model.layers.N.input_layernorm" in finding.message


def test_a_layer_without_any_tensor_is_one_finding() -> None:
    finding = only(compare(tiny().set(f"{ARCH}block_count", 40)))
    assert finding.code == "gguf-layer-missing"
    assert finding.where == "model.gguf: layers 2-39"
    assert finding.count == 38 * 17


def test_many_ranges_of_layers_are_cut() -> None:
    model = tiny().set(f"{ARCH}block_count", 100).set(f"{ARCH}leading_dense_block_count", 100)
    for layer in range(2, 100, 2):
        model.add(f"blk.{layer}.attn_norm.weight", 256)
    layers = next(f for f in compare(model).findings if f.code == "gguf-layer-missing")
    assert layers.where.endswith("3,5,7,9,11,13,15,17,19,21,23,25,…")


def test_the_incident_of_two_tokens_too_many() -> None:
    finding = next(each for each in compare(tokens(322)).findings if each.severity == "error")
    assert finding.code == "gguf-vocabulary-rows"
    assert (finding.expected, finding.actual) == ("320", "322")


def test_an_expert_count_that_no_tensor_shares_is_one_finding() -> None:
    finding = only(compare(tiny().set(f"{ARCH}expert_count", 8)))
    assert (finding.code, finding.count) == ("gguf-expert-count", 5)
    assert (finding.expected, finding.actual) == ("8", "4")


def test_an_original_name_is_translated() -> None:
    model = tiny().rename("blk.0.attn_q_a.weight", "model.layers.0.self_attn.q_a_proj.weight")
    found = {finding.code: finding for finding in compare(model).findings}
    assert found["gguf-tensor-original-name"].expected == "blk.0.attn_q_a.weight"
    strange = tiny().add("model.layers.0.self_attn.odd.weight", 32)
    assert only(compare(strange)).expected == "a name of GGUF's own"


def test_shapes_are_checked_as_far_as_the_sizes_are_known() -> None:
    model = tiny().without(f"{ARCH}attention.kv_lora_rank").shape("blk.0.attn_q_a.weight", 256, 32)
    assert codes(compare(model)) == ["gguf-key-missing", "gguf-tensor-shape"]
    finding = compare(tiny().without(f"{ARCH}attention.kv_lora_rank", "blk.0.attn_k_b.weight"))
    assert next(f for f in finding.findings if f.code == "gguf-tensor-missing").expected == (
        "[32, ?, 4]"
    )


def test_without_a_layer_count_tensors_are_not_checked() -> None:
    model = tiny().set(f"{ARCH}block_count", 4_000_000_000).without("blk.0.attn_norm.weight")
    assert codes(compare(model)) == ["gguf-key-bounds"]


@pytest.mark.parametrize("layers", [26, 27, 48])
def test_models_without_query_compression_are_known_by_their_layers(layers: int) -> None:
    model = tiny().without(f"{ARCH}attention.q_lora_rank").set(f"{ARCH}block_count", layers)
    assert "gguf-key-missing" not in codes(compare(model))


def test_a_model_without_vocabulary_and_embedding_is_still_compared() -> None:
    model = tiny().without("tokenizer.ggml.tokens", "token_embd.weight")
    assert codes(compare(model)) == ["gguf-key-missing", "gguf-tensor-missing"]
    unknown = tiny().without(f"{ARCH}block_count")
    assert codes(compare(unknown, config=tiny_config())) == ["gguf-key-missing"]


def test_an_array_for_a_file_of_no_layers_is_no_size() -> None:
    model = tiny().set(f"{ARCH}block_count", 0)
    model.set(f"{ARCH}attention.head_count", ("uint32", []), "array")
    assert codes(compare(model)) == ["gguf-key-bounds"]


# Several files.


def split_names(count: int = 2) -> tuple[str, ...]:
    return tuple(f"K2-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


def test_a_split_set_is_one_model() -> None:
    comparison = compare(*tiny().split(), names=split_names())
    assert comparison.findings == ()
    assert comparison.tensors == len(tiny().tensors)


def test_of_an_incomplete_set_only_the_missing_file_is_reported() -> None:
    comparison = compare(*tiny().split()[:1], names=split_names()[:1])
    assert codes(comparison) == ["gguf-split-missing"]
    assert codes(compare(*tiny().split()[1:], names=split_names()[1:])) == ["gguf-split-missing"]


def test_a_misshapen_tensor_is_found_in_its_file() -> None:
    members = tiny().split()
    last = list(members[1].tensors)[-1]
    members[1].shape(last, 2, 3)
    finding = only(compare(*members, names=split_names()))
    assert finding.where == f"{split_names()[1]}: tensor {last}"


def test_two_quantisations_in_one_folder_are_compared_each_for_itself() -> None:
    comparison = compare(tiny(), tiny().without("blk.0.attn_norm.weight"))
    assert codes(comparison) == ["gguf-split-mixed", "gguf-tensor-missing"]
    assert comparison.findings[1].where.startswith("model1.gguf")


def other(architecture: str) -> Model:
    return Model().set("general.architecture", architecture, "string").add("v.weight", 32)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("clip", "a vision projector"),
        ("kimi-linear", "Kimi-Linear"),
        ("llama", "of the architecture llama"),
        ("a\x1b[31m", r"of the architecture a\x1b[31m"),
    ],
)
def test_another_architecture_is_named_and_not_checked(architecture: str, words: str) -> None:
    comparison = compare(other(architecture))
    finding = only(comparison)
    assert finding.severity is Severity.INFO
    assert words in finding.message
    assert comparison.variant is None


def test_a_projector_beside_the_model_is_as_it_should_be() -> None:
    names = ("model.gguf", "mmproj-F16.gguf")
    assert compare(tiny(), other("clip"), names=names).findings == ()


def test_the_variant_is_the_type_of_most_bytes() -> None:
    """A quantised file holds more tensors in F32, its norms, than in any other type."""
    model = tiny()
    largest = max(model.header().tensors, key=lambda tensor: tensor.elements)
    rest = sum(tensor.elements for tensor in model.header().tensors) - largest.elements
    columns = largest.dimensions[0]
    grown = model.shape(largest.name, columns, 8 * rest // columns).type(largest.name, 8)
    types = [tensor.type_name for tensor in grown.header().tensors]
    assert types.count("Q8_0") == 1
    assert compare_gguf({"m.gguf": grown.header()}).variant == "kimi_k2 Q8_0, split MLA"


def test_a_file_that_could_not_be_read_has_its_findings_in_its_header() -> None:
    headers = {"gone.gguf": GgufHeader("gone.gguf")}
    assert compare_gguf(headers, None) == GgufComparison((), None, 0, 0, 0)
    assert compare_gguf({}, None) == GgufComparison((), None, 0, 0, 0)


def test_a_damaged_tensor_list_is_not_taken_for_missing_tensors() -> None:
    header = tiny().header()
    cut = GgufHeader(
        "model.gguf",
        version=3,
        metadata=header.metadata,
        value_types=header.value_types,
        tensor_count=header.tensor_count,
    )
    assert codes(compare_gguf({"model.gguf": cut}, None)) == []
    assert compare_gguf({"model.gguf": cut}, None).variant == "kimi_k2, split MLA"


# Against the original's config.


def test_the_sample_is_what_its_config_says() -> None:
    for model in (tiny(), tiny(joint_mla=True), fused(), with_mtp()):
        assert compare(model, config=tiny_config()).findings == ()


def test_a_config_that_wraps_the_text_model_is_looked_into() -> None:
    wrapped = {"model_type": "kimi_k25", "text_config": tiny_config()}
    assert compare(tiny(), config=wrapped).findings == ()
    wrapped["text_config"] = {**tiny_config(), "hidden_size": 7168}
    assert codes(compare(tiny(), config=wrapped)) == ["gguf-config-size"]
    assert compare(tiny(), config={"model_type": "kimi_k25"}).findings == ()


@pytest.mark.parametrize(
    ("member", "value", "place"),
    [
        ("num_hidden_layers", 61, "key deepseek2.block_count"),
        ("hidden_size", 7168, "key deepseek2.embedding_length"),
        ("intermediate_size", 18_432, "key deepseek2.feed_forward_length"),
        ("n_routed_experts", 384, "key deepseek2.expert_count"),
        ("n_shared_experts", 2, "key deepseek2.expert_shared_count"),
        ("n_shared_experts", None, "key deepseek2.expert_shared_count"),
        ("qk_nope_head_dim", 128, "key deepseek2.attention.key_length"),
        ("vocab_size", 163_840, "tensor token_embd.weight"),
        ("n_group", 8, "key deepseek2.expert_group_count"),
    ],
)
def test_each_size_that_differs_is_a_finding(member: str, value: object, place: str) -> None:
    found = compare(tiny(), config={**tiny_config(), member: value}).findings
    sizes = [finding for finding in found if finding.code == "gguf-config-size"]
    assert [finding.where for finding in sizes] == [f"model.gguf: {place}"]


@pytest.mark.parametrize(
    ("member", "value", "place"),
    [
        ("rope_theta", 10_000.0, "rope.freq_base"),
        ("max_position_embeddings", 262_144, "context_length"),
        ("routed_scaling_factor", 2.5, "expert_weights_scale"),
        ("scoring_func", "softmax", "expert_gating_func"),
        ("norm_topk_prob", False, "expert_weights_norm"),
        ("num_experts_per_tok", 8, "expert_used_count"),
        ("rope_scaling", {"type": "linear"}, "rope.scaling.type"),
        ("rope_scaling", {"factor": 64.0}, "rope.scaling.factor"),
        ("rope_scaling", {"mscale_all_dim": 0.707}, "rope.scaling.yarn_log_multiplier"),
        ("rope_scaling", {"beta_fast": 32}, "rope.scaling.yarn_beta_fast"),
    ],
)
def test_each_value_that_differs_is_a_finding(member: str, value: object, place: str) -> None:
    finding = only(compare(tiny(), config={**tiny_config(), member: value}))
    assert finding.code == "gguf-config-value"
    assert finding.where == f"model.gguf: key {ARCH}{place}"


def test_what_the_config_does_not_say_is_not_compared() -> None:
    for change in ({"scoring_func": "entmax"}, {"hidden_size": "7168"}, {"rope_scaling": None}):
        assert compare(tiny(), config={**tiny_config(), **change}).findings == ()
    assert compare(tiny(), config={}).findings == ()


def test_an_absent_gating_function_is_softmax_to_llama_cpp() -> None:
    finding = only(compare(tiny().without(f"{ARCH}expert_gating_func"), config=tiny_config()))
    assert (finding.expected, finding.actual) == ("2", "absent, which is 1")


@pytest.mark.parametrize(
    ("key", "expected", "actual"),
    [
        ("rope.scaling.type", "yarn", "absent, which is linear"),
        ("rope.scaling.yarn_log_multiplier", "0.1", "absent, which is 0.0"),
        ("rope.freq_base", "50000.0", "absent, which is 10000.0"),
    ],
)
def test_with_the_config_a_lost_rope_setting_is_one_finding(
    key: str, expected: str, actual: str
) -> None:
    finding = only(compare(tiny().without(f"{ARCH}{key}"), config=tiny_config()))
    assert (finding.expected, finding.actual) == (expected, actual)


@pytest.mark.parametrize("make", [lambda: tiny().without(f"{ARCH}expert_group_count")])
def test_groups_are_not_asked_of_older_files(make: Callable[[], Model]) -> None:
    assert compare(make(), config=tiny_config()).findings == ()
