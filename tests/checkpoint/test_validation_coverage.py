"""What share of the tensors was judged, and whose parameters they are.

The checkpoints are written by huggingface-hub's splitter and the safetensors package.
"""

from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.model import read_quantization
from k2compat.checkpoint.model.tensors import ExpectedTensor, model_elements
from k2compat.checkpoint.reporting import Coverage, FileFindings
from k2compat.samples import VARIANTS, tiny_config
from tests.checkpoint.gguf_files.gguf_models import Model, tiny
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import LAYER_1, OUTSIDE, draft
from tests.support.peer_checkpoint import tensors_of, write_checkpoint

BF16 = tiny_config("bf16")
UNKNOWN: dict[str, Any] = {
    **BF16,
    "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4_NEXT"},
}


def with_nvfp4_experts() -> list[ExpectedTensor]:
    """The small model as modelopt stores it: four tensors for each weight of an expert."""
    made: list[ExpectedTensor] = []
    for tensor in tensors_of(BF16):
        if ".experts." not in tensor.name:
            made.append(tensor)
            continue
        rows, columns = tensor.shape or ()
        stem = tensor.name.removesuffix("weight")
        made += [
            tensor._replace(shape=(rows, columns // 2), dtypes=("U8",)),
            tensor._replace(
                name=stem + "weight_scale", shape=(rows, columns // 16), dtypes=("F8_E4M3",)
            ),
            tensor._replace(name=stem + "weight_scale_2", shape=(), dtypes=("F32",)),
            tensor._replace(name=stem + "input_scale", shape=(), dtypes=("F32",)),
        ]
    return made


@pytest.mark.sample(5)
@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_judged_in_a_known_storage(tmp_path: Path, variant: str) -> None:
    config = tiny_config(variant)
    tensors = tensors_of(config)
    validation = validate(write_checkpoint(tmp_path, config, tensors))
    assert bad(validation) == []
    assert len(validation.files) > 1
    coverage = validation.coverage
    assert (coverage.judged, coverage.all, coverage.reasons) == (len(tensors), len(tensors), ())
    assert sum(part.tensors for part in coverage.parts) == len(tensors)
    assert sum(part.bytes for part in coverage.parts) == validation.bytes


@pytest.mark.parametrize("variant", ["fp8", "bf16", "int4"])
def test_the_models_own_parameters_do_not_depend_on_the_storage(
    tmp_path: Path, variant: str
) -> None:
    config = tiny_config(variant)
    validation = validate(write_checkpoint(tmp_path, config, tensors_of(config)))
    assert validation.model_parameters == sum(tensor.elements for tensor in tensors_of(BF16))


def test_an_unknown_quantisation_leaves_its_modules_unjudged(tmp_path: Path) -> None:
    tensors = with_nvfp4_experts()
    validation = validate(write_checkpoint(tmp_path, UNKNOWN, tensors))
    assert bad(validation) == []
    assert validation.model_parameters == sum(tensor.elements for tensor in tensors_of(BF16))
    plain = sum("proj" not in one.name and "lm_head" not in one.name for one in tensors)
    reason = "the quantisation nvfp4_next is not known"
    coverage = validation.coverage
    assert (coverage.judged, coverage.all, coverage.reasons) == (plain, len(tensors), (reason,))
    assert [part.name for part in coverage.parts] == ["plain weights"]


def test_a_tensor_under_its_modules_own_name_is_not_judged_either(tmp_path: Path) -> None:
    """Fused MoE exports leave out ".weight"."""
    tensors = tensors_of(BF16)
    bare = [
        one._replace(name=one.name.removesuffix("up_proj.weight") + "up_proj")
        if one.name.endswith("up_proj.weight")
        else one
        for one in tensors
    ]
    coverages = [
        validate(write_checkpoint(tmp_path / name, UNKNOWN, made)).coverage
        for name, made in (("plain", tensors), ("bare", bare))
    ]
    assert coverages[0] == coverages[1]


def test_weights_without_a_config_are_not_judged(tmp_path: Path) -> None:
    draft().write(tmp_path)
    coverage = validate(tmp_path / LAYER_1).coverage
    assert coverage == Coverage(0, 46, ("no config describes them",))


def test_a_shard_by_itself_is_a_part_of_the_whole(tmp_path: Path) -> None:
    draft().write(tmp_path)
    coverage = validate(tmp_path / LAYER_1, config=tmp_path).coverage
    assert (coverage.judged, coverage.all) == (46, 69)
    assert coverage.reasons == ("files that were not or could not be read hold 23 tensors",)


def test_a_layer_for_multi_token_prediction_without_a_config(tmp_path: Path) -> None:
    config = tiny_config("deepseek_v3")
    tensors = tensors_of(config)
    without = {**config, "num_nextn_predict_layers": 0}
    coverage = validate(write_checkpoint(tmp_path, without, tensors)).coverage
    beyond = sum(tensor.name.startswith("model.layers.2.") for tensor in tensors)
    assert coverage.judged == len(tensors) - beyond
    assert coverage.reasons == (f"the config does not name the layers of {beyond}",)


def test_a_gguf_of_another_architecture_is_not_judged(tmp_path: Path) -> None:
    tiny().write(tmp_path / "model.gguf")
    count = len(tiny().header().tensors)
    assert validate(tmp_path).coverage == Coverage(count, count)
    other = Model().set("general.architecture", "llama", "string").add("output.weight", 32)
    other.write(tmp_path / "other.gguf")
    coverage = validate(tmp_path).coverage
    assert (coverage.judged, coverage.all) == (count, count + 1)
    assert coverage.reasons == ("the others are not of deepseek2, or lack its metadata",)


def test_weights_without_tensors_are_an_error(tmp_path: Path) -> None:
    alone = tmp_path / "model.safetensors"
    alone.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert codes(validate(alone)) == ["weights-empty"]
    gguf = tmp_path / "model.gguf"
    Model().set("general.architecture", "llama", "string").write(gguf)
    assert codes(validate(gguf)) == ["weights-empty"]


def test_names_that_only_a_stale_index_has_are_one_finding(tmp_path: Path) -> None:
    """BF16 weights made from FP8: the shards tell how they are stored, not the index."""
    stale = [f"model.layers.1.self_attn.{name}.weight_scale_inv" for name in ("o_proj", "q_a_proj")]
    folder = write_checkpoint(tmp_path, BF16, tensors_of(BF16), more_in_index=stale)
    (finding,) = bad(validate(folder))
    assert (finding.code, finding.count) == ("index-tensor-absent", 2)


def test_an_index_without_the_scales_is_not_believed(tmp_path: Path) -> None:
    """modelopt's script writes the index from another checkpoint's: new scales are not in it."""
    made = draft()
    for name in [name for name in made.places if name.endswith("weight_scale_inv")]:
        del made.places[name]
    found = codes(validate(made.write(tmp_path)))
    assert set(found) == {"index-tensor-unlisted"}


@pytest.mark.parametrize(
    ("name", "dtype", "bits", "expected"),
    [
        ("mlp.up_proj.weight", "BF16", None, 64),
        ("mlp.up_proj.weight", "F8_E4M3", None, 64),
        ("mlp.up_proj.weight_packed", "I32", 4, 512),
        ("mlp.up_proj.weight_packed", "I32", 8, 256),
        ("mlp.up_proj.weight_packed", "U8", None, 128),
        ("mlp.up_proj.qweight", "I32", None, 512),
        ("mlp.up_proj.weight", "U8", None, 128),
        ("mlp.up_proj.weight", "U32", 4, 512),
        ("mlp.up_proj.weight", "I8", None, 64),
        ("mlp.up_proj.weight", "I8", 8, 64),
        ("mlp.up_proj.weight", "I8", 4, 128),
        ("mlp.gate.e_score_correction_bias", "F32", None, 64),
        ("self_attn.o_proj.bias", "BF16", None, 64),
        *(
            (f"mlp.up_proj.{suffix}", "F32", None, 0)
            for suffix in (
                *("weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale"),
                *("weight_shape", "weight_zero_point", "weight_g_idx", "weight_offset"),
                *("input_scale", "scales", "qzeros", "g_idx", "biases", "scale_bias", "k_scale"),
            )
        ),
        ("self_attn.rotary_emb.inv_freq", "BF16", None, 0),
    ],
)
def test_what_a_stored_tensor_holds_of_the_model(
    name: str, dtype: str, bits: int | None, expected: int
) -> None:
    assert model_elements(name, dtype, 64, bits) == expected


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ({"quant_method": "awq", "bits": 4}, 4),
        ({"quant_method": "w4afp8"}, 4),
        ({"quant_method": "gptq", "bits": 3.5}, None),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {}}}}, None),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": 1}}, None),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 8}}},
            },
            8,
        ),
    ],
)
def test_the_bits_of_an_unknown_quantisation(quantization: object, expected: int | None) -> None:
    assert read_quantization(quantization, FileFindings("config.json")).bits == expected


@pytest.mark.sample(5)
@pytest.mark.parametrize("variant", VARIANTS)
def test_stored_parts_are_counted_as_the_shards_hold_them(tmp_path: Path, variant: str) -> None:
    """A wider dtype, a tensor twice, and one of no rule twice."""
    made = draft(variant)
    made.change("model.norm.weight", dtypes=("F32",))
    shard, number = made.find("layers.1.input_layernorm.weight")
    norm = shard[number]
    stranger = norm._replace(name="stranger")
    made.shards[next(name for name in made.shards if made.shards[name] is not shard)] += [
        norm,
        stranger,
    ]
    shard.append(stranger)
    made.reindex()
    validation = validate(made.write(tmp_path))
    assert {"tensor-duplicate", "tensor-unexpected"} <= set(codes(validation))
    parts = validation.coverage.parts
    assert sum(part.bytes for part in parts) == validation.bytes
    assert sum(part.tensors for part in parts) == validation.coverage.judged == validation.tensors


def test_a_tensor_that_cannot_be_read_is_in_no_part(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    path = tmp_path / OUTSIDE
    entry = b'"model.norm.weight":{"dtype":"BF16"'
    data = path.read_bytes()
    assert entry in data
    path.write_bytes(data.replace(entry, entry.replace(b'"BF16"', b"100000")))
    validation = validate(tmp_path)
    parts = validation.coverage.parts
    assert "safetensors-dtype" in codes(validation)
    assert sum(part.bytes for part in parts) == validation.bytes
    assert sum(part.tensors for part in parts) == validation.tensors


def test_missing_layers_are_counted_where_they_belong(tmp_path: Path) -> None:
    """A vision_config of null has 27 layers, more than this text model."""
    made = draft("kimi_k25")
    made.config["vision_config"] = None
    validation = validate(made.write(tmp_path))
    finding = next(one for one in validation.report if one.code == "layer-missing")
    assert finding.message == "layers 2–26 of the vision tower: nothing of them is there"
    assert (finding.expected, finding.actual) == (
        "27 layers of the vision tower",
        "2 layers of the vision tower",
    )


def test_missing_layers_of_both_models_are_two_findings(tmp_path: Path) -> None:
    made = draft("kimi_k25")
    made.drop(lambda name: ".layers.1." in name or ".blocks.1." in name)
    made.reindex()
    found = [one for one in validate(made.write(tmp_path)).report if one.code == "layer-missing"]
    assert [(one.expected, one.actual) for one in found] == [
        ("2 layers", "1 layer"),
        ("2 layers of the vision tower", "1 layer of the vision tower"),
    ]
