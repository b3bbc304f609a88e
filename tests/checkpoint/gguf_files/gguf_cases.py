"""Models for whose GGUF llama.cpp and `compare_gguf` have to say the same: sound, or why not."""

from collections.abc import Callable
from typing import NamedTuple

from tests.checkpoint.gguf_files.gguf_models import ARCH, Model, tiny

F16, BF16, F64, I8, I32 = 1, 30, 28, 24, 26
Q8_0, Q8_1, Q8_K, IQ2_XXS, MXFP4, NVFP4 = 8, 9, 15, 16, 39, 40

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
ARRAYS = (TOKENS, TYPES)


REQUIRED = (
    "<|im_end|>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


class Case(NamedTuple):
    """A model.

    Attributes:
        code: What is wrong with it; "" for a sound one.
        what: Tells cases apart.
        make: Makes it.
        runs: Whether llama.cpp loads it and writes a token all the same.
    """

    code: str
    what: str
    make: Callable[[], Model]
    runs: bool = False


def key(name: str, value: object, value_type: str = "uint32") -> Model:
    return tiny().set(ARCH + name, value, value_type)


def array(name: str, element_type: str, elements: list[object]) -> Model:
    return tiny().set(name, (element_type, elements), "array")


def tokens(count: int) -> Model:
    model = tiny().set(TOKENS, ("string", [f"t{number}" for number in range(count)]), "array")
    return model.set(TYPES, ("int32", [1] * count), "array")


def lacking(name: str) -> Callable[[], Model]:
    return lambda: tiny().without(ARCH + name)


MARKERS = 256
"""The id of the sample's first special token, [BOS]."""


def with_token(number: int, text: str) -> Model:
    """The sample with another text for one token."""
    model = tiny()
    _, (_, names) = model.metadata[TOKENS]
    names[number] = text
    return model


def with_type(number: int, token_type: int) -> Model:
    model = tiny()
    _, (_, types) = model.metadata[TYPES]
    types[number] = token_type
    return model


def id_of(token: str) -> int:
    _, (_, names) = tiny().metadata[TOKENS]
    return int(names.index(token))


def eos(token: str) -> Model:
    return tiny().set("tokenizer.ggml.eos_token_id", id_of(token))


def template(text: str) -> Model:
    return tiny().set("tokenizer.chat_template", text, "string")


def typed(name: str, type_id: int) -> Callable[[], Model]:
    return lambda: tiny().type(name, type_id)


def dense() -> Model:
    model = key("leading_dense_block_count", 2)
    for name in list(model.tensors):
        if name.startswith("blk.1.") and ("exp" in name or "gate_inp" in name):
            model.without(name)
    for name, shape in [("gate", (256, 512)), ("up", (256, 512)), ("down", (512, 256))]:
        model.add(f"blk.1.ffn_{name}.weight", *shape)
    experts = ("expert_count", "expert_used_count")
    groups = ("expert_group_count", "expert_group_used_count")
    return model.without(*(ARCH + name for name in experts + groups))


def with_mtp() -> Model:
    model = key("block_count", 3).set(f"{ARCH}nextn_predict_layers", 1)
    for name, (dimensions, type_id) in list(model.tensors.items()):
        if name.startswith("blk.1."):
            model.add(name.replace("blk.1.", "blk.2."), *dimensions, type_id=type_id)
    model.add("blk.2.nextn.eh_proj.weight", 512, 256)
    return model.add("blk.2.nextn.enorm.weight", 256).add("blk.2.nextn.hnorm.weight", 256)


def fused() -> Model:
    model = tiny().without("blk.1.ffn_gate_exps.weight", "blk.1.ffn_up_exps.weight")
    return model.add("blk.1.ffn_gate_up_exps.weight", 256, 256, 4)


def of_three_experts() -> Model:
    return key("expert_count", 3).resize(4, 3, "exps", "exp_probs", "gate_inp")


def odd_rope() -> Model:
    model = key("rope.dimension_count", 15).set(f"{ARCH}attention.key_length", 47)
    for layer in (0, 1):
        model.shape(f"blk.{layer}.attn_kv_a_mqa.weight", 256, 47)
        model.shape(f"blk.{layer}.attn_k_b.weight", 33, 32, 4)
    return model


SOUND = [
    Case("", "split MLA", tiny, runs=True),
    Case("", "joint MLA", lambda: tiny(joint_mla=True), runs=True),
    Case(
        "", "heads by layer", lambda: array(f"{ARCH}attention.head_count", "uint32", [4, 4]), True
    ),
    Case(
        "",
        "heads by layer, signed",
        lambda: array(f"{ARCH}attention.head_count", "int32", [4, 4]),
        True,
    ),
    Case("", "no vocab_size", lacking("vocab_size"), True),
    *(
        Case(
            "",
            f"a damaged {name} template beside it",
            lambda name=name: tiny().set(  # type: ignore[misc]
                f"tokenizer.chat_template.{name}", "{% for message in mess", "string"
            ),
            True,
        )
        for name in ("rag", "tool_use")
    ),
    Case("", "eos is the end of turn", lambda: eos("<|im_end|>"), True),
    Case("", "tied output", lambda: tiny().without("output.weight"), True),
    Case("", "no router bias", lambda: tiny().without("blk.1.exp_probs_b.bias"), True),
    Case("", "a dimension of one", lambda: tiny().shape("blk.0.attn_norm.weight", 256, 1), True),
    Case("", "router in F16", lambda: tiny().type("blk.1.ffn_gate_inp.weight", F16), True),
    Case("", "Q8_0", lambda: tiny().type("blk.0.attn_q_a.weight", Q8_0), True),
    Case("", "IQ2_XXS", lambda: tiny().type("blk.0.attn_q_a.weight", IQ2_XXS), True),
    Case("", "MXFP4", lambda: tiny().type("blk.1.ffn_up_exps.weight", MXFP4), True),
    Case("", "NVFP4", lambda: tiny().type("blk.0.attn_q_a.weight", NVFP4), True),
    Case("", "BF16", lambda: tiny().type("blk.0.attn_k_b.weight", BF16), True),
    Case("", "three experts, said so", of_three_experts, True),
    Case("", "gate and up in one", fused, True),
    Case("", "all layers dense", dense, True),
    Case("", "with MTP", with_mtp, True),
    Case(
        "",
        "MTP named, not there",
        lambda: key("block_count", 3).set(f"{ARCH}nextn_predict_layers", 1),
        True,
    ),
    Case(
        "",
        "no expert groups",
        lambda: tiny().without(f"{ARCH}expert_group_count", f"{ARCH}expert_group_used_count"),
        True,
    ),
    Case("", "two groups, one used", lambda: key("expert_group_count", 2), True),
    Case(
        "",
        "no value length beside the MLA one",
        lambda: tiny().without(f"{ARCH}attention.value_length"),
        True,
    ),
]

BROKEN = [
    Case("gguf-architecture-missing", "no key", lambda: tiny().without("general.architecture")),
    Case("gguf-architecture-missing", "a number", lambda: tiny().set("general.architecture", 1)),
    *(
        Case("gguf-key-missing", name, lacking(name))
        for name in (
            "attention.head_count",
            "attention.key_length_mla",
            "attention.kv_lora_rank",
            "attention.layer_norm_rms_epsilon",
            "attention.q_lora_rank",
            "attention.value_length_mla",
            "block_count",
            "context_length",
            "embedding_length",
            "expert_feed_forward_length",
            "expert_shared_count",
            "expert_used_count",
            "feed_forward_length",
            "rope.dimension_count",
        )
    ),
    Case("gguf-key-missing", "tokens", lambda: tiny().without(TOKENS)),
    Case(
        "gguf-key-missing",
        "merges",
        lambda: tiny().set("tokenizer.ggml.pre", "deepseek-v3", "string"),
    ),
    Case(
        "gguf-key-missing",
        "joint, key length",
        lambda: tiny(joint_mla=True).without(f"{ARCH}attention.key_length"),
    ),
    Case(
        "gguf-key-missing",
        "both MLA lengths",
        lambda: tiny().without(
            f"{ARCH}attention.key_length_mla", f"{ARCH}attention.value_length_mla"
        ),
    ),
    Case("gguf-key-type", "uint64", lambda: key("block_count", 2, "uint64")),
    Case("gguf-key-type", "int32", lambda: key("context_length", 1024, "int32")),
    Case(
        "gguf-key-type", "float64", lambda: key("attention.layer_norm_rms_epsilon", 1e-6, "float64")
    ),
    Case("gguf-key-type", "a whole number", lambda: key("rope.freq_base", 50_000)),
    Case("gguf-key-type", "uint8 for bool", lambda: key("expert_weights_norm", 1, "uint8")),
    Case(
        "gguf-key-type",
        "too few layers",
        lambda: array(f"{ARCH}attention.head_count", "uint32", [4]),
    ),
    Case("gguf-key-type", "tokens in a text", lambda: tiny().set(TOKENS, "a", "string")),
    Case("gguf-key-type", "numbers for tokens", lambda: array(TOKENS, "uint32", [1] * 320)),
    Case("gguf-key-type", "unsigned token types", lambda: array(TYPES, "uint32", [1] * 320)),
    Case("gguf-key-bounds", "layers", lambda: key("block_count", 600)),
    Case("gguf-key-bounds", "hostile layers", lambda: key("block_count", 4_000_000_000)),
    Case("gguf-key-bounds", "gating function", lambda: key("expert_gating_func", 9)),
    Case("gguf-key-bounds", "rope scaling", lambda: key("rope.scaling.type", "magic", "string")),
    Case(
        "gguf-key-bounds",
        "NaN",
        lambda: key("attention.layer_norm_rms_epsilon", float("nan"), "float32"),
    ),
    Case("gguf-key-bounds", "q_lora_rank 0", lambda: key("attention.q_lora_rank", 0)),
    Case("gguf-key-conflict", "heads of keys, split", lambda: key("attention.head_count_kv", 4)),
    Case("gguf-key-conflict", "no heads of keys", lacking("attention.head_count_kv")),
    Case(
        "gguf-key-conflict",
        "heads of keys, joint",
        lambda: tiny(joint_mla=True).set(f"{ARCH}attention.head_count_kv", 1),
    ),
    Case("gguf-key-conflict", "absorbed key length", lambda: key("attention.key_length", 7)),
    Case("gguf-key-conflict", "no absorbed key length", lacking("attention.key_length")),
    Case("gguf-key-conflict", "more used than there", lambda: key("expert_used_count", 5)),
    Case("gguf-key-conflict", "none used", lambda: key("expert_used_count", 0)),
    Case("gguf-key-conflict", "as many groups as experts", lambda: key("expert_group_count", 4)),
    Case("gguf-key-conflict", "three groups of four experts", lambda: key("expert_group_count", 3)),
    Case(
        "gguf-key-conflict",
        "all groups used",
        lambda: key("expert_group_count", 2).set(f"{ARCH}expert_group_used_count", 2),
    ),
    Case(
        "gguf-key-conflict",
        "groups without experts",
        lambda: dense().set(f"{ARCH}expert_group_count", 1),
    ),
    Case("gguf-key-conflict", "no context", lambda: key("context_length", 0)),
    Case("gguf-key-conflict", "all of the head is rope", lambda: key("rope.dimension_count", 48)),
    Case("gguf-key-conflict", "odd rope", odd_rope),
    Case("gguf-tokenizer-missing", "no key", lambda: tiny().without("tokenizer.ggml.model")),
    Case("gguf-tokenizer-missing", "a number", lambda: tiny().set("tokenizer.ggml.model", 1)),
    Case(
        "gguf-tokenizer-other",
        "unknown",
        lambda: tiny().set("tokenizer.ggml.model", "abacus", "string"),
    ),
    Case(
        "gguf-tokenizer-other",
        "of Llama",
        lambda: tiny().set("tokenizer.ggml.model", "llama", "string"),
    ),
    Case(
        "gguf-tokenizer-other",
        "unknown pre-tokenizer",
        lambda: tiny().set("tokenizer.ggml.pre", "scissors", "string"),
    ),
    Case("gguf-end-token", "eos is a comma", lambda: eos(","), True),
    *(
        Case(
            "gguf-end-token",
            f"{name} beyond the vocabulary",
            lambda name=name: tiny().set(f"tokenizer.ggml.{name}_token_id", 320),  # type: ignore[misc]
            True,
        )
        for name in ("bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask")
    ),
    Case("gguf-end-token", "eot", lambda: tiny().set("tokenizer.ggml.eot_token_id", 65), True),
    Case(
        "gguf-end-token",
        "bos",
        lambda: tiny().set("tokenizer.ggml.bos_token_id", id_of("[EOS]")),
        True,
    ),
    *(
        Case(
            "gguf-special-token",
            f"no {token}",
            lambda token=token: with_token(id_of(token), "<|gone|>"),  # type: ignore[misc]
            True,
        )
        for token in REQUIRED
    ),
    Case(
        "gguf-special-token-type",
        "ordinary",
        lambda: with_type(id_of("<|tool_call_begin|>"), 1),
        True,
    ),
    Case("gguf-special-token-type", "unused", lambda: with_type(id_of("<|im_middle|>"), 5), True),
    Case("gguf-special-token-type", "no types at all", lambda: tiny().without(TYPES), True),
    Case(
        "chat-template-missing",
        "none",
        lambda: tiny().without("tokenizer.chat_template"),
        True,
    ),
    Case("chat-template-damaged", "cut", lambda: template("{% for message in mess")),
    Case("gguf-chat-template", "ChatML", lambda: template(CHATML), True),
    Case(
        "chat-template-old",
        "strings alone",
        lambda: template("<|im_user|>user<|im_middle|>{{ messages[0].content }}<|im_end|>"),
        True,
    ),
    Case("gguf-router-gating", "absent", lacking("expert_gating_func"), True),
    Case("gguf-router-gating", "softmax", lambda: key("expert_gating_func", 1), True),
    Case("gguf-rope", "no scaling", lacking("rope.scaling.type"), True),
    Case("gguf-rope", "linear", lambda: key("rope.scaling.type", "linear", "string"), True),
    Case("gguf-rope", "no base", lacking("rope.freq_base"), True),
    Case("gguf-rope", "another base", lambda: key("rope.freq_base", 10_000.0, "float32"), True),
    Case("gguf-rope", "factor", lambda: key("rope.scaling.factor", 40.0, "float32"), True),
    Case("gguf-rope", "context", lambda: key("context_length", 262_144), True),
    Case("gguf-rope", "no multiplier", lacking("rope.scaling.yarn_log_multiplier"), True),
    Case("gguf-vocabulary-rows", "two more", lambda: tokens(322)),
    Case("gguf-vocabulary-rows", "two fewer", lambda: tokens(318)),
    Case(
        "gguf-token-duplicate",
        "twice",
        lambda: array(TOKENS, "string", ["t", *(f"t{number}" for number in range(318)), "t"]),
    ),
    Case("gguf-token-types", "too few", lambda: array(TYPES, "int32", [1] * 100)),
    Case("gguf-layer-missing", "one", lambda: key("block_count", 3)),
    Case("gguf-layer-extra", "one", lambda: key("block_count", 1)),
    Case("gguf-tensor-missing", "norm", lambda: tiny().without("blk.0.attn_norm.weight")),
    Case("gguf-tensor-missing", "embedding", lambda: tiny().without("token_embd.weight")),
    Case(
        "gguf-tensor-missing",
        "shared experts",
        lambda: key("expert_shared_count", 0).without(
            *(f"blk.1.ffn_{part}_shexp.weight" for part in ("gate", "up", "down"))
        ),
    ),
    Case("gguf-tensor-missing", "of a dense layer", lambda: key("leading_dense_block_count", 2)),
    Case("gguf-tensor-extra", "unknown", lambda: tiny().add("blk.0.bonus.weight", 32)),
    Case("gguf-tensor-extra", "rope factors", lambda: tiny().add("rope_freqs.weight", 8)),
    Case(
        "gguf-tensor-extra",
        "fused and not",
        lambda: tiny().add("blk.1.ffn_gate_up_exps.weight", 256, 256, 4),
    ),
    Case(
        "gguf-tensor-original-name",
        "a projection",
        lambda: tiny().rename("blk.0.attn_q_a.weight", "model.layers.0.self_attn.q_a_proj.weight"),
    ),
    Case("gguf-mla-both", "split", lambda: tiny().add("blk.0.attn_kv_b.weight", 32, 256)),
    Case(
        "gguf-mla-both",
        "joint",
        lambda: tiny(joint_mla=True).add("blk.0.attn_k_b.weight", 32, 32, 4),
    ),
    Case("gguf-tensor-shape", "half", lambda: tiny().shape("blk.0.attn_q_a.weight", 256, 32)),
    Case("gguf-tensor-shape", "transposed", lambda: tiny().shape("blk.0.attn_q_a.weight", 64, 256)),
    Case(
        "gguf-tensor-shape",
        "transposed norm",
        lambda: tiny().shape("blk.0.attn_norm.weight", 1, 256),
    ),
    Case("gguf-tensor-shape", "no dimensions", lambda: tiny().shape("blk.0.attn_norm.weight")),
    Case("gguf-expert-count", "more", lambda: key("expert_count", 8)),
    Case("gguf-expert-count", "absent", lacking("expert_count")),
    *(
        Case("gguf-tensor-not-f32", f"{name} {type_id}", typed(name, type_id))
        for name in (
            "blk.0.attn_norm.weight",
            "blk.0.attn_q_a_norm.weight",
            "blk.1.exp_probs_b.bias",
        )
        for type_id in (F16, BF16)
    ),
    Case("gguf-tensor-not-f32", "Q8_0", lambda: tiny().type("blk.0.attn_norm.weight", Q8_0)),
    *(
        Case("gguf-tensor-unusable-type", f"{name} {type_id}", typed(name, type_id))
        for name in ("blk.0.attn_q_a.weight", "token_embd.weight")
        for type_id in (I8, I32, F64, Q8_1, Q8_K)
    ),
    Case(
        "gguf-router-quantised",
        "Q8_0",
        lambda: tiny().type("blk.1.ffn_gate_inp.weight", Q8_0),
        True,
    ),
]
