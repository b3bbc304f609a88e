"""Each thing that goes wrong with tensors, index and sizes is found, by code and place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import LAYER_0, LAYER_1, OUTSIDE, Draft, draft

INDEX = "model.safetensors.index.json"
EXPERT = "layers.1.mlp.experts.2.up_proj.weight"


def drop_expert(made: Draft) -> None:
    made.drop(lambda name: "layers.1.mlp.experts.2." in name)


def drop_scales(made: Draft) -> None:
    made.drop(lambda name: "experts.2." in name and name.endswith("_scale_inv"))


def drop_layer(made: Draft) -> None:
    del made.shards[LAYER_1]
    made.reindex()


def more_layers(made: Draft) -> None:
    made.config["num_hidden_layers"] = 1


def unknown_tensor(made: Draft) -> None:
    made.shards[OUTSIDE].append(made.shards[OUTSIDE][0]._replace(name="model.extra"))
    made.reindex()


def rename(made: Draft, old: str, new: str) -> None:
    made.shards = {
        file: [t._replace(name=t.name.replace(old, new, 1)) for t in shard]
        for file, shard in made.shards.items()
    }
    made.reindex()


def text_model_of_k25(made: Draft) -> None:
    rename(made, "", "language_model.")


def text_model_of_k25_with_a_gap(made: Draft) -> None:
    text_model_of_k25(made)
    drop_expert(made)


def no_layer(made: Draft) -> None:
    made.shards = {OUTSIDE: [made.shards[OUTSIDE][0]._replace(name="stranger")]}
    made.reindex()


def inner_module(made: Draft) -> None:
    rename(made, "model.", "")


def wrong_shape(made: Draft) -> None:
    made.change("layers.1.mlp.gate.weight", shape=(5, 256))
    made.reindex()


def transposed(made: Draft) -> None:
    made.change("layers.0.mlp.down_proj.weight", shape=(512, 256))


def wrong_scale_shape(made: Draft) -> None:
    made.change(EXPERT + "_scale_inv", shape=(2, 2))
    made.reindex()


def wrong_dtype(made: Draft) -> None:
    made.change(EXPERT, dtypes=("I8",))


def less_precision(made: Draft) -> None:
    made.change("e_score_correction_bias", dtypes=("BF16",))
    made.reindex()


def twice(made: Draft) -> None:
    made.shards[LAYER_0].append(made.shards[LAYER_1][0])
    made.index["metadata"] = {}


def extra_twice(made: Draft) -> None:
    extra = made.shards[OUTSIDE][0]._replace(name="model.extra")
    made.shards[OUTSIDE].append(extra)
    made.shards[LAYER_0].append(extra)
    made.reindex()
    made.index["metadata"] = {}


def undeclared(made: Draft) -> None:
    del made.config["quantization_config"]


def mismatch(made: Draft) -> None:
    other = draft("bf16")
    made.shards, made.index = other.shards, other.index


def mismatch_without_index(made: Draft) -> None:
    mismatch(made)
    made.index = {}
    made.shards = {"model.safetensors": [t for shard in made.shards.values() for t in shard]}


def not_in_index(made: Draft) -> None:
    del made.places["model.norm.weight"]


def not_in_shards(made: Draft) -> None:
    made.places["model.ghost"] = OUTSIDE


def wrong_shard(made: Draft) -> None:
    made.places["model.norm.weight"] = LAYER_0


def wrong_total(made: Draft) -> None:
    made.index["metadata"]["total_size"] += 1


def odd_total(made: Draft) -> None:
    made.index["metadata"]["total_size"] = "much"


def float_total(made: Draft) -> None:
    made.index["metadata"]["total_size"] *= 1.0


def no_total(made: Draft) -> None:
    del made.index["metadata"]


def path_upwards(made: Draft) -> None:
    made.places["model.norm.weight"] = "../../etc/passwd"


def path_with_a_dot(made: Draft) -> None:
    made.places["model.norm.weight"] = f"./{OUTSIDE}"


def paths_upwards(made: Draft) -> None:
    made.index["weight_map"] = {name: f"/mnt/{place}" for name, place in made.places.items()}


def empty_index(made: Draft) -> None:
    made.places.clear()


def odd_block(made: Draft) -> None:
    made.config["quantization_config"]["weight_block_size"] = [0, 128]


def no_index(made: Draft) -> None:
    made.index = {}


def no_index_and_gap(made: Draft) -> None:
    made.index = {}
    del made.shards[LAYER_0]


def absent_shard(made: Draft) -> None:
    del made.shards[LAYER_1]


def two_sets(made: Draft) -> None:
    made.shards["model-00001-of-000002.safetensors"] = made.shards[OUTSIDE]


def stray(made: Draft) -> None:
    made.shards["model-4-of-3.safetensors"] = made.shards[OUTSIDE]


def many_experts(made: Draft) -> None:
    made.config["n_routed_experts"] = 10**12


def other_model(made: Draft) -> None:
    made.config["model_type"] = "llama"


def kimi_k3(made: Draft) -> None:
    made.config["model_type"] = "kimi_k3"


def text_size(made: Draft) -> None:
    made.config["hidden_size"] = "256"


def no_size(made: Draft) -> None:
    del made.config["kv_lora_rank"]


DEFECTS: list[tuple[Callable[[Draft], None], list[str], str]] = [
    (drop_expert, ["tensor-missing"], LAYER_1),
    (drop_scales, ["tensor-scale-missing"], LAYER_1),
    (drop_layer, ["layer-missing"], ""),
    (more_layers, ["layer-unexpected"], ""),
    (unknown_tensor, ["tensor-unexpected"], "tensor model.extra"),
    (no_layer, ["layer-missing", *["tensor-missing"] * 3, "tensor-unexpected"], ""),
    (text_model_of_k25, ["tensor-prefix"], ""),
    (inner_module, ["tensor-prefix"], ""),
    (text_model_of_k25_with_a_gap, ["tensor-prefix", "tensor-missing"], ""),
    (wrong_shape, ["tensor-shape"], f"{LAYER_1}: tensor model.layers.1.mlp.gate.weight"),
    (transposed, ["tensor-transposed"], f"{LAYER_0}: tensor model.layers.0.mlp.down_proj.weight"),
    (wrong_scale_shape, ["tensor-scale-shape"], f"{LAYER_1}: tensor model.{EXPERT}_scale_inv"),
    (wrong_dtype, ["tensor-dtype"], f"{LAYER_1}: tensor model.{EXPERT}"),
    (less_precision, ["tensor-precision"], "mlp.gate.e_score_correction_bias"),
    (twice, ["tensor-duplicate"], "tensor model.layers.1.input_layernorm.weight"),
    (extra_twice, ["tensor-duplicate", "tensor-unexpected"], "tensor model.extra"),
    (undeclared, ["quantization-undeclared"], "config.json: quantization_config"),
    (mismatch, ["quantization-mismatch"], "config.json: quantization_config"),
    (mismatch_without_index, ["quantization-mismatch"], "config.json: quantization_config"),
    (not_in_index, ["index-tensor-unlisted"], OUTSIDE),
    (not_in_shards, ["index-tensor-absent"], INDEX),
    (wrong_shard, ["index-wrong-shard"], f"{INDEX}: tensor model.norm.weight"),
    (wrong_total, ["index-total-size"], f"{INDEX}: metadata.total_size"),
    (odd_total, ["index-total-size"], f"{INDEX}: metadata.total_size"),
    (float_total, [], ""),
    (no_total, [], ""),
    (path_upwards, ["index-path"], INDEX),
    (path_with_a_dot, ["index-path"], INDEX),
    (paths_upwards, ["index-path"] * 3, INDEX),
    (empty_index, ["index-damaged"], f"{INDEX}: weight_map"),
    (odd_block, ["architecture-value"], "config.json: quantization_config.weight_block_size"),
    (no_index, ["index-missing"], ""),
    (no_index_and_gap, ["index-missing", "shard-missing", "layer-missing"], ""),
    (absent_shard, ["shard-missing"], LAYER_1),
    (two_sets, ["shard-sets-mixed"], ""),
    (stray, ["shard-unlisted"], "model-4-of-3.safetensors"),
    (many_experts, ["architecture-absurd"], "config.json: n_routed_experts"),
    (other_model, ["architecture-model-type"], "config.json: model_type"),
    (kimi_k3, ["architecture-other"], "config.json: model_type"),
    (text_size, ["architecture-value"], "config.json: hidden_size"),
    (no_size, ["architecture-member-missing"], "config.json: kv_lora_rank"),
]


@pytest.mark.parametrize(
    ("damage", "expected", "where"), DEFECTS, ids=[damage.__name__ for damage, *_ in DEFECTS]
)
def test_a_defect_is_found_by_its_code_and_place(
    tmp_path: Path, damage: Callable[[Draft], None], expected: list[str], where: str
) -> None:
    made = draft()
    damage(made)
    validation = validate(made.write(tmp_path))
    assert codes(validation) == expected
    assert all(finding.where.startswith(str(tmp_path)) for finding in bad(validation))
    assert not expected or where in bad(validation)[0].where


def test_all_defects_are_found_in_one_pass(tmp_path: Path) -> None:
    made = draft()
    for damage in (drop_scales, wrong_shape, transposed, not_in_shards, stray):
        damage(made)
        made.places  # noqa: B018 - each leaves an index
    found = set(codes(validate(made.write(tmp_path))))
    assert {
        "tensor-scale-missing",
        "tensor-shape",
        "tensor-transposed",
        "shard-unlisted",
    } <= found


def test_findings_are_told_as_a_person_thinks(tmp_path: Path) -> None:
    made = draft()
    drop_expert(made)
    (finding,) = bad(validate(made.write(tmp_path)))
    assert finding.message == f"layer 1, expert 2: 6 expert tensors missing, all in {LAYER_1}"
    assert finding.count == 6
    assert len(finding.items) == 6
    assert all(name.startswith("model.layers.1.mlp.experts.2.") for name in finding.items)


def test_mtp_and_vision_may_be_absent_as_a_whole_only(tmp_path: Path) -> None:
    made = draft("deepseek_v3")
    made.drop(lambda name: "layers.2." in name)
    made.reindex()
    validation = validate(made.write(tmp_path / "v3"))
    assert bad(validation) == []
    assert "mtp-absent" in {finding.code for finding in validation.report}

    made = draft("deepseek_v3")
    made.drop(lambda name: name.endswith("layers.2.enorm.weight"))
    assert codes(validate(made.write(tmp_path / "v3-part"))) == ["tensor-missing"]

    made = draft("deepseek_v3")
    made.config["num_nextn_predict_layers"] = 0
    validation = validate(made.write(tmp_path / "v3-unused"))
    assert bad(validation) == []
    assert "mtp-unused" in {finding.code for finding in validation.report}

    made = draft("kimi_k25")
    made.drop(lambda name: name.startswith(("vision_tower.", "mm_projector.")))
    made.reindex()
    assert codes(validate(made.write(tmp_path / "k25"))) == ["vision-absent"]


def test_names_with_control_characters_are_escaped(tmp_path: Path) -> None:
    made = draft()
    made.shards[OUTSIDE].append(made.shards[OUTSIDE][0]._replace(name="a\x1b[31m\n"))
    made.reindex()
    validation = validate(made.write(tmp_path))
    assert codes(validation) == ["safetensors-name-control", "tensor-unexpected"]
    for finding in bad(validation):
        assert r"a\x1b[31m\n" in finding.message
        assert "".join((finding.message, finding.where, *finding.items)).isprintable()


def test_legacy_buffers_may_be_as_they_like(tmp_path: Path) -> None:
    made = draft()
    buffer = made.shards[LAYER_0][0]._replace(
        name="model.layers.0.self_attn.rotary_emb.inv_freq", shape=(7,), dtypes=("I8",)
    )
    made.shards[LAYER_0].append(buffer)
    made.reindex()
    assert bad(validate(made.write(tmp_path))) == []


@pytest.mark.parametrize(
    "name", [f"model.{EXPERT}", "model.norm.weight", "language_model.x", "model.layers.9.x"]
)
def test_a_tensor_with_a_damaged_entry_is_not_called_missing(tmp_path: Path, name: str) -> None:
    made = draft()
    shard = LAYER_1 if "layers" in name else OUTSIDE
    made.shards[shard].append(made.shards[shard][0]._replace(name="x", shape=(), dtypes=("F32",)))
    made.drop(lambda each: each == name)
    made.write(tmp_path)
    path = tmp_path / shard
    written = json.dumps(name) + ':{"dtype":3,"shape":[],"data_offsets":'
    old = path.read_bytes()
    new = old.replace(b'"x":{"dtype":"F32","shape":[],"data_offsets":', written.encode())
    length = int.from_bytes(old[:8], "little") + len(new) - len(old)
    path.write_bytes(length.to_bytes(8, "little") + new[8:])
    assert "safetensors-dtype" in codes(validate(tmp_path))
    assert "tensor-missing" not in codes(validate(tmp_path))
