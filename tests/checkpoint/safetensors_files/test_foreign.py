"""Folders that hold something else are named in one finding, and what can be judged is judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import ExpectedTensor, Validation, expected_tensors, validate
from k2compat.samples import tiny_config
from tests.checkpoint.validations import bad, codes
from tests.support.memory_source import MemorySource, memory_source
from tests.support.mlx_conversion import mlx_shapes


def folder(names: list[str], config: dict[str, Any], **files: bytes) -> MemorySource:
    tensors = [ExpectedTensor(name, (2, 2), ("BF16",), "required") for name in names]
    source = memory_source(config, tensors=tensors)
    source.contents |= {name: (data, len(data)) for name, data in files.items()}
    return source


CONFIG = tiny_config("bf16")
FOLDERS: dict[str, MemorySource] = {
    "foreign-lora": folder(
        ["base_model.model.score.weight"],
        CONFIG,
        **{"adapter_config.json": b"{}"},
    ),
    "foreign-draft": folder(
        ["fc.weight", "midlayer.mlp.up_proj.weight"], {"vocab_size": 1, "model_type": "llama"}
    ),
    "foreign-mlx": memory_source(
        tiny_config("bf16"),
        tensors=[
            ExpectedTensor(name, shape, ("BF16",), "required")
            for name, shape in mlx_shapes(tiny_config("bf16")).items()
        ],
    ),
    "foreign-ktransformers": folder(
        [f"blk.1.ffn_up_exps.{e}.numa.0.{part}" for e in (0, 1) for part in ("weight", "scale")],
        CONFIG,
    ),
}


@pytest.mark.parametrize("code", FOLDERS)
def test_it_is_named_in_one_finding(code: str) -> None:
    validation = validate(FOLDERS[code])
    assert [finding.code for finding in bad(validation)] == [code]
    # Of these, the config describes an MLX conversion alone.
    assert validation.coverage.judged == (validation.tensors if code == "foreign-mlx" else 0)
    assert validation.variant in validation.not_checked[1]


def test_its_files_are_judged_all_the_same() -> None:
    source = FOLDERS["foreign-mlx"]
    contents = {
        name: (data[:-9], size - 9) if name.endswith(".safetensors") else (data, size)
        for name, (data, size) in source.contents.items()
    }
    codes = {finding.code for finding in bad(validate(MemorySource("model", contents)))}
    assert codes > {"foreign-mlx"}


def test_a_draft_is_known_by_its_class() -> None:
    config = {**CONFIG, "architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama"}
    (finding,) = bad(validate(folder(["model.norm.weight"], config)))
    assert finding.code == "foreign-draft"


def found_in(validation: Validation) -> list[str]:
    return sorted(codes(validation))


SPARSE = {
    **tiny_config("deepseek_v3"),
    "model_type": "deepseek_v3",
    "index_n_heads": 2,
    "index_head_dim": 16,
}


def usual(config: dict[str, Any]) -> list[ExpectedTensor]:
    return [tensor for tensor in expected_tensors(config) if tensor.is_usual]


def held(tensors: list[ExpectedTensor], config: dict[str, Any]) -> MemorySource:
    return memory_source(config, tensors=tensors)


def test_deepseek_v32_is_named_and_its_tensors_are_judged() -> None:
    config = {**SPARSE, "model_type": "deepseek_v32"}
    tensors = usual(SPARSE)
    assert any(".indexer.k_norm.bias" in tensor.name for tensor in tensors)
    validation = validate(held(tensors, config))
    assert found_in(validation) == ["foreign-deepseek-v32"]
    assert validation.coverage.judged == validation.tensors == len(tensors)
    assert validation.coverage.reasons == ()
    wrong = [
        each._replace(shape=(3,)) if each.name.endswith("indexer.k_norm.bias") else each
        for each in tensors
    ]
    assert set(codes(validate(held(wrong, config)))) == {"foreign-deepseek-v32", "tensor-shape"}


def mtp_draft(**changes: tuple[int, ...]) -> MemorySource:
    """What SGLang's export makes: layer 61 as layer 0, without embeddings and head."""
    config = tiny_config("deepseek_v3")
    prefix = f"model.layers.{config['num_hidden_layers']}."
    tensors = [
        tensor._replace(
            name=tensor.name.replace(prefix, "model.layers.0."),
            shape=changes.get(tensor.name.removeprefix(prefix).replace(".", "_"), tensor.shape),
        )
        for tensor in usual(config)
        if tensor.name.startswith(prefix)
        and "embed_tokens" not in tensor.name
        and "shared_head.head" not in tensor.name
    ]
    own = {**config, "num_hidden_layers": 1, "architectures": ["DeepseekV3ForCausalLMNextN"]}
    return memory_source(own, tensors=tensors)


def test_an_mtp_draft_is_named_and_its_layer_judged() -> None:
    validation = validate(mtp_draft())
    assert found_in(validation) == ["foreign-draft"]
    assert validation.variant == "MTP draft"
    assert validation.coverage.judged == validation.tensors
    wrong = validate(mtp_draft(eh_proj_weight=(5, 5)))
    assert set(codes(wrong)) == {"foreign-draft", "tensor-shape"}


def kept_number(numbered: str = "model.safetensors") -> MemorySource:
    """The layer under its number in the model, with the model's own config."""
    config = tiny_config("deepseek_v3")
    prefix = f"model.layers.{config['num_hidden_layers']}."
    source = memory_source(config, tensors=[t for t in usual(config) if t.name.startswith(prefix)])
    contents = {
        numbered if name.endswith(".safetensors") else name: each
        for name, each in source.contents.items()
        if not name.endswith(".index.json")
    }
    return MemorySource("model", contents)


def test_an_mtp_draft_that_keeps_the_layers_number() -> None:
    validation = validate(kept_number())
    assert found_in(validation) == ["foreign-draft"]
    assert validation.coverage.judged == validation.tensors > 0


def test_the_last_shard_of_a_model_is_no_draft() -> None:
    found = found_in(validate(kept_number("model-00003-of-00003.safetensors")))
    assert "foreign-draft" not in found
    assert {"shard-missing"} & set(found) or "tensor-missing" in found


def test_a_whole_model_with_its_mtp_layer_first_is_no_draft() -> None:
    config = tiny_config("deepseek_v3")
    tensors = sorted(usual(config), key=lambda each: "layers.2." not in each.name)
    assert found_in(validate(held(tensors, config))) == []


def lora(tmp_path: Path, adapter: dict[str, Any], **shapes: tuple[int, ...]) -> MemorySource:
    """An adapter of o_proj in layer 0 of the sample, whose o_proj is [256, 128]."""
    config = tiny_config("bf16")
    rows, columns = next(
        tensor.shape or (0, 0)
        for tensor in expected_tensors(config)
        if tensor.name == "model.layers.0.self_attn.o_proj.weight"
    )
    module = "base_model.model.model.layers.0.self_attn.o_proj.lora_"
    tensors = {f"{module}A.weight": (4, columns), f"{module}B.weight": (rows, 4)} | {
        name.replace("__", "."): shape for name, shape in shapes.items()
    }
    source = memory_source(
        config,
        tensors=[
            ExpectedTensor(name, shape, ("BF16",), "required") for name, shape in tensors.items()
        ],
    )
    data = json.dumps(adapter).encode()
    kept = {name: each for name, each in source.contents.items() if name != "config.json"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return MemorySource("model", {**kept, "adapter_config.json": (data, len(data))})


A = "base_model__model__model__layers__0__self_attn__o_proj__lora_A__weight"
B = "base_model__model__model__layers__0__self_attn__o_proj__lora_B__weight"
OTHER = "base_model__model__model__layers__0__self_attn__k_proj__lora_A__weight"


@pytest.mark.parametrize(
    ("adapter", "shapes", "expected"),
    [
        ({"r": 4}, {}, []),
        ({}, {}, []),
        ({"r": 8, "rank_pattern": {"o_proj": 4}}, {}, []),
        ({"r": 8, "rank_pattern": {"q_a_proj": 4}}, {}, ["tensor-shape", "tensor-shape"]),
        ({"r": 4}, {A: (4, 7)}, ["tensor-shape"]),
        ({"r": 4}, {B: (7, 4)}, ["tensor-shape"]),
        ({"r": 4}, {A: (4,)}, ["tensor-shape"]),
        ({"r": 4}, {OTHER: (4, 8)}, ["tensor-unexpected"]),
        (
            {"r": 4},
            {"base_model__model__model__layers__1__self_attn__o_proj__lora_A__weight": (4, 128)},
            ["tensor-missing"],
        ),
        ({"r": 4}, {"lm_head__modules_to_save__weight": (9, 9)}, []),
    ],
)
def test_an_adapter_is_judged_by_the_models_config(
    tmp_path: Path, adapter: dict[str, Any], shapes: dict[str, tuple[int, ...]], expected: list[str]
) -> None:
    source = lora(tmp_path, adapter, **shapes)
    found = found_in(validate(source, config=tmp_path / "config.json"))
    assert found == ["foreign-lora", *expected]


def test_an_adapter_without_the_models_config_has_ranks_alone(tmp_path: Path) -> None:
    assert found_in(validate(lora(tmp_path, {"r": 4}))) == ["foreign-lora"]
    assert found_in(validate(lora(tmp_path, {"r": 3}))) == ["foreign-lora", *["tensor-shape"] * 2]


DRAFT = {
    "architectures": ["LlamaForCausalLMEagle3"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 500,
    "draft_vocab_size": 100,
}
DRAFT_SHAPES = {
    "fc.weight": (256, 768),
    "midlayer.self_attn.q_proj.weight": (256, 512),
    "midlayer.self_attn.k_proj.weight": (128, 512),
    "midlayer.self_attn.v_proj.weight": (128, 512),
    "midlayer.self_attn.o_proj.weight": (256, 256),
    "midlayer.mlp.gate_proj.weight": (96, 256),
    "midlayer.mlp.up_proj.weight": (96, 256),
    "midlayer.mlp.down_proj.weight": (256, 96),
    "midlayer.hidden_norm.weight": (256,),
    "midlayer.input_layernorm.weight": (256,),
    "midlayer.post_attention_layernorm.weight": (256,),
    "norm.weight": (256,),
    "lm_head.weight": (100, 256),
    "d2t": (100,),
    "t2d": (500,),
}


def eagle3(shapes: dict[str, tuple[int, ...]]) -> MemorySource:
    tensors = [ExpectedTensor(name, shape, ("BF16",), "required") for name, shape in shapes.items()]
    return memory_source(DRAFT, tensors=tensors)


@pytest.mark.parametrize("name", DRAFT_SHAPES)
def test_a_draft_is_judged_by_its_own_config(name: str) -> None:
    assert found_in(validate(eagle3(DRAFT_SHAPES))) == ["foreign-draft"]
    assert validate(eagle3(DRAFT_SHAPES)).coverage.judged == len(DRAFT_SHAPES)
    wrong = {**DRAFT_SHAPES, name: (3, *DRAFT_SHAPES[name][1:])}
    assert found_in(validate(eagle3(wrong))) == ["foreign-draft", "tensor-shape"]
    fewer = {each: shape for each, shape in DRAFT_SHAPES.items() if each != name}
    missing = ["tensor-missing"] if name.startswith(("fc.", "midlayer.", "norm.")) else []
    if name == "midlayer.hidden_norm.weight":
        missing = []  # the program that wrote it has other names
    assert found_in(validate(eagle3(fewer))) == ["foreign-draft", *missing]


def test_a_draft_is_judged_by_the_model_that_it_drafts_for(tmp_path: Path) -> None:
    model = {**tiny_config("bf16"), "hidden_size": 512, "vocab_size": 500}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(model))
    assert found_in(validate(eagle3(DRAFT_SHAPES), config=path)) == [
        "foreign-draft",
        "tensor-shape",
    ]
    fitting = {**DRAFT_SHAPES, "fc.weight": (256, 1536)}
    assert found_in(validate(eagle3(fitting), config=path)) == ["foreign-draft"]
    path.write_text(json.dumps({**model, "vocab_size": 501}))
    assert found_in(validate(eagle3(fitting), config=path)) == ["foreign-draft", "tensor-shape"]
