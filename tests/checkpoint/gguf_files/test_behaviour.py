"""Metadata of Kimi-K2's own size, written by the gguf package and damaged in single places."""

from pathlib import Path

import gguf
import pytest

from k2compat.checkpoint.companions import FAMILY_IDS, VOCABULARY
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.findings import Finding
from tests.checkpoint.gguf_files.gguf_cases import TOKENS, TYPES, with_token
from tests.checkpoint.gguf_files.gguf_models import ARCH, Model, tiny

SHIFTED = 163_800


def found(model: Model) -> list[Finding]:
    return list(compare_gguf({"model.gguf": model.header()}).findings)


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The tokens of Kimi-K2, as the converter writes those that nothing names."""
    tokens = [f"t{number}" for number in range(163_584)]
    tokens += [f"[PAD{number}]" for number in range(163_584, VOCABULARY)]
    for marker, number in FAMILY_IDS.items():
        tokens[number] = marker
    return tokens


def of_full_size(path: Path, names: list[str], **ids: int) -> list[Finding]:
    """Findings in the vocabulary of a file with Kimi-K2's tokens and the sample's other values."""
    writer = gguf.GGUFWriter(path, "deepseek2")
    for key, (value_type, value) in tiny().metadata.items():
        if value_type != "array" and key not in ("general.architecture", *ids):
            writer.add_key_value(key, value, gguf.GGUFValueType[value_type.upper()])
    types = [1] * 163_584 + [5] * (VOCABULARY - 163_584)
    for number in FAMILY_IDS.values():
        types[number] = 3
    writer.add_token_list(names)
    writer.add_token_types(types)
    writer.add_token_merges([])
    for key, number in ids.items():
        writer.add_uint32(key, number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    findings = compare_gguf({"model.gguf": read_gguf(path)}).findings
    return [finding for finding in findings if "tokenizer.ggml" in finding.where]


BOS, EOS = "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"


def test_the_family_s_own_tokens_are_sound(tmp_path: Path, names: list[str]) -> None:
    assert of_full_size(tmp_path / "k2.gguf", names, **{BOS: 163_584, EOS: 163_586}) == []


def test_a_shifted_marker_is_named_with_both_ids(tmp_path: Path, names: list[str]) -> None:
    shifted = list(names)
    number = FAMILY_IDS["<|tool_call_end|>"]
    shifted[number], shifted[SHIFTED] = shifted[SHIFTED], shifted[number]
    moved, ordinary = of_full_size(tmp_path / "k2.gguf", shifted, **{BOS: 163_584, EOS: 163_586})
    assert (moved.code, moved.expected, moved.actual) == (
        "gguf-special-token",
        str(number),
        str(SHIFTED),
    )
    assert ordinary.code == "gguf-special-token-type"


def test_an_end_that_is_a_comma_says_where_generation_stops(
    tmp_path: Path, names: list[str]
) -> None:
    (finding,) = of_full_size(tmp_path / "k2.gguf", names, **{BOS: 163_584, EOS: 999_999})
    assert "llama.cpp takes 't11', and stops there" in finding.message
    assert finding.expected == "[EOS] or <|im_end|> or [EOT]"


def test_a_marker_is_found_wherever_a_small_vocabulary_has_it() -> None:
    assert found(with_token(300, "<|another|>")) == []


def test_the_other_member_of_the_family_has_its_own_tokens() -> None:
    deepseek = (
        tiny()
        .set(f"{ARCH}expert_weights_scale", 2.5, "float32")
        .set(f"{ARCH}expert_group_count", 2)
        .set(f"{ARCH}expert_group_used_count", 1)
        .set(f"{ARCH}rope.freq_base", 10_000.0, "float32")
        .set("tokenizer.ggml.pre", "deepseek-v3", "string")
        .set("tokenizer.ggml.merges", ("string", ["a b"]), "array")
        .set("tokenizer.chat_template", "{{ messages }}", "string")
        .set(EOS, 7)
    )
    assert [finding.code for finding in found(deepseek)] == []
    (beyond,) = found(deepseek.set(EOS, 320))
    assert (beyond.code, beyond.expected) == ("gguf-end-token", "below 320")
    small = deepseek.set(TOKENS, ("string", ["a", "b"]), "array").set(
        TYPES, ("int32", [1, 1]), "array"
    )
    beyond = next(finding for finding in found(small) if finding.code == "gguf-end-token")
    assert "llama.cpp takes" not in beyond.message


def test_a_short_context_needs_no_scaling() -> None:
    short = tiny().set(f"{ARCH}context_length", 4096).without(f"{ARCH}rope.scaling.type")
    assert found(short) == []
    unknown = tiny().without(f"{ARCH}context_length")
    assert [finding.code for finding in found(unknown)] == ["gguf-key-missing"]


def test_a_model_without_a_router_bias_may_take_softmax() -> None:
    softmax = tiny().without("blk.1.exp_probs_b.bias", f"{ARCH}expert_gating_func")
    assert found(softmax) == []


def test_ids_of_another_type_are_for_llama_cpp_to_refuse() -> None:
    assert found(tiny().set(EOS, "end", "string")) == []


def test_types_of_another_kind_are_no_types() -> None:
    codes = [finding.code for finding in found(tiny().set(TYPES, ("float32", [1.0]), "array"))]
    assert "gguf-special-token-type" in codes


def test_factors_that_are_not_there_are_not_multiplied() -> None:
    model = tiny().without(f"{ARCH}rope.scaling.factor")
    assert [finding.code for finding in found(model)] == []
