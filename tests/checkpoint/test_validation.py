"""A sound checkpoint is called sound; each thing that goes wrong is found, by code and place."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.checkpoint import safetensors_checks, validate, weight_index
from k2compat.checkpoint.report import Validation
from k2compat.errors import RefusedError
from k2compat.findings import Finding, Severity
from k2compat.samples import VARIANTS
from tests.support.drafts import LAYER_0, LAYER_1, OUTSIDE, Draft, draft
from tests.support.models import make_ggufs, make_model

INDEX = "model.safetensors.index.json"
EXPERT = "layers.1.mlp.experts.2.up_proj.weight"


def bad(validation: Validation) -> list[Finding]:
    return [finding for finding in validation.report if finding.severity is not Severity.INFO]


def codes(validation: Validation) -> list[str]:
    return [finding.code for finding in bad(validation)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sound_checkpoint_of_each_variant(tmp_path: Path, variant: str) -> None:
    validation = validate(draft(variant).write(tmp_path))
    assert bad(validation) == []
    assert validation.format == "safetensors"
    assert validation.tensors == len(draft(variant).places)
    assert validation.bytes == draft(variant).index["metadata"]["total_size"]
    assert [file.path for file in validation.files] == list(draft(variant).shards)


def test_the_sample_is_sound(tmp_path: Path) -> None:
    validation = validate(make_model(tmp_path / "model"))
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 fp8"


def test_a_checkpoint_in_one_file_needs_no_index(tmp_path: Path) -> None:
    made = draft()
    made.shards = {"model.safetensors": [t for shard in made.shards.values() for t in shard]}
    made.index = {}
    assert bad(validate(made.write(tmp_path))) == []
    alone = tmp_path / "alone" / "weights.safetensors"
    alone.parent.mkdir()
    shutil.copy(tmp_path / "model.safetensors", alone)
    assert bad(validate(alone)) == []
    assert bad(validate(alone, config=tmp_path)) == []


def test_a_shard_alone_is_judged_for_itself(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    assert bad(validate(tmp_path / LAYER_1)) == []
    validation = validate(tmp_path / LAYER_1, config=tmp_path)
    assert bad(validation) == []
    assert "23 tensors in files that were not or could not be read" in validation.not_checked
    wrong_shape(made)
    made.write(tmp_path)
    (finding,) = bad(validate(tmp_path / LAYER_1, config=tmp_path))
    assert finding.where == f"{tmp_path}/{LAYER_1}: tensor model.layers.1.mlp.gate.weight"


@pytest.mark.parametrize(
    "style", ["model-{}-of-{}", "model-{:05}-of-{:06}", "model-{:05}-of-{:05}", "pytorch_{}_{}"]
)
def test_any_numbering_is_accepted(tmp_path: Path, style: str) -> None:
    made = draft()
    total = len(made.shards)
    made.shards = {
        style.format(number, total) + ".safetensors": shard
        for number, shard in enumerate(made.shards.values(), start=1)
    }
    made.reindex()
    assert bad(validate(made.write(tmp_path))) == []


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


def path_upwards(made: Draft) -> None:
    made.places["model.norm.weight"] = "../../etc/passwd"


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
    made.shards["adapter.safetensors"] = made.shards[OUTSIDE]


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
    (path_upwards, ["index-path", "index-tensor-unlisted"], INDEX),
    (no_index, ["index-missing"], ""),
    (no_index_and_gap, ["index-missing", "shard-missing", "layer-missing"], ""),
    (absent_shard, ["shard-missing"], LAYER_1),
    (two_sets, ["shard-sets-mixed"], ""),
    (stray, ["shard-unlisted"], "adapter.safetensors"),
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


def put_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_link(target: str) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return put


def put_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


FILE_DEFECTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("empty", put_bytes(lambda _: b""), "file-empty"),
    ("cut", put_bytes(lambda data: data[:-1]), "safetensors-truncated"),
    ("cut-in-header", put_bytes(lambda data: data[:100]), "safetensors-header-truncated"),
    ("longer", put_bytes(lambda data: data + b"\0"), "safetensors-trailing-bytes"),
    (
        "pointer",
        put_bytes(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "file-lfs-pointer",
    ),
    ("page", put_bytes(lambda _: b"<!DOCTYPE html><html></html>"), "file-web-page"),
    ("dangling", put_link("nowhere"), "file-link-dangling"),
    ("loop", put_link(LAYER_1), "file-link-loop"),
    ("directory", put_directory, "shard-missing"),
    ("fifo", put_fifo, "file-is-special"),
]


@pytest.mark.parametrize(
    ("damage", "code"), [row[1:] for row in FILE_DEFECTS], ids=[row[0] for row in FILE_DEFECTS]
)
def test_a_damaged_file_is_found_and_its_tensors_are_not_called_missing(
    tmp_path: Path, damage: Callable[[Path], None], code: str
) -> None:
    draft().write(tmp_path)
    damage(tmp_path / LAYER_1)
    validation = validate(tmp_path)
    assert codes(validation) == [code]
    assert LAYER_1 in bad(validation)[0].where


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "index-damaged"),
        (b"\xff\xfe", "index-damaged"),
        (b"[]", "index-damaged"),
        (b"{}", "index-damaged"),
        (b'{"weight_map": {"a": 1}}', "index-damaged"),
        (b"[" * 100_000, "index-damaged"),
        (b'{"weight_map": ' + b"1" * 5000 + b"}", "index-damaged"),
        (b"", "file-empty"),
    ],
)
def test_a_damaged_index_is_found_and_the_shards_are_read(
    tmp_path: Path, content: bytes, code: str
) -> None:
    draft().write(tmp_path)
    (tmp_path / INDEX).write_bytes(content)
    validation = validate(tmp_path)
    assert codes(validation) == [code]
    assert validation.tensors == 69


def test_a_name_that_stands_twice_in_the_index(tmp_path: Path) -> None:
    draft().write(tmp_path)
    text = (tmp_path / INDEX).read_text()
    norm = f'"model.norm.weight": "{OUTSIDE}"'
    (tmp_path / INDEX).write_text(text.replace(norm, f"{norm}, {norm}"))
    assert codes(validate(tmp_path)) == ["index-key-repeated"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: "\ufeff" + text, "config-byte-order-mark"),
        (lambda text: text.replace("{", '{"model_type": "kimi_k2", ', 1), "config-duplicate-key"),
        (lambda text: text[:-1], "config-not-json"),
        (lambda text: "[]", "config-not-object"),
    ],
)
def test_an_odd_config_text(tmp_path: Path, change: Callable[[str], str], code: str) -> None:
    draft().write(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(change(path.read_text()))
    assert code in codes(validate(tmp_path))


def test_line_endings_of_windows_are_told(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    (tmp_path / "config.json").write_bytes(
        json.dumps(made.config, indent=1).encode().replace(b"\n", b"\r\n")
    )
    validation = validate(tmp_path)
    assert bad(validation) == []
    assert "companion-line-endings" in {finding.code for finding in validation.report}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("config.json", "config-missing"),
        ("tiktoken.model", "companion-missing"),
        ("tokenizer_config.json", "companion-missing"),
        ("modeling_deepseek.py", "remote-code-missing"),
    ],
)
def test_a_missing_companion(tmp_path: Path, name: str, code: str) -> None:
    draft().write(tmp_path)
    (tmp_path / name).unlink()
    assert codes(validate(tmp_path)) == [code]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"{LAYER_1}.aria2", "download-unfinished"),
        (f"{LAYER_1}.incomplete", "download-leftover"),
        (".cache/huggingface/download/abc.incomplete", "download-leftover"),
    ],
)
def test_what_is_left_of_a_download(tmp_path: Path, name: str, code: str) -> None:
    draft().write(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    assert codes(validate(tmp_path)) == [code]


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


def test_an_unknown_quantisation_is_not_judged(tmp_path: Path) -> None:
    made = draft()
    made.config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    scale = made.shards[LAYER_1][0]._replace(name="model.layers.1.self_attn.k_proj.k_scale")
    made.shards[LAYER_1].append(scale)
    made.reindex()
    validation = validate(made.write(tmp_path / "a"))
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 nvfp4"
    assert "quantization-unknown" in {finding.code for finding in validation.report}
    assert "tensors quantised as nvfp4" in validation.not_checked
    made.shards[OUTSIDE].append(scale._replace(name="model.layers.1.stranger"))
    made.drop(lambda name: "experts.1.up_proj" in name or name == "model.norm.weight")
    made.reindex()
    assert codes(validate(made.write(tmp_path / "b"))) == [
        "tensor-missing",
        "tensor-missing",
        "tensor-unexpected",
    ]


def test_what_modelopt_says_beside_the_config(tmp_path: Path) -> None:
    made = draft("bf16")
    made.change(EXPERT, dtypes=("U8",))
    made.reindex()
    made.write(tmp_path)
    assert codes(validate(tmp_path)) == ["tensor-dtype"]
    path = tmp_path / "hf_quant_config.json"
    path.write_text('{"quantization": {"quant_algo": "NVFP4"}}')
    assert bad(validate(tmp_path)) == []
    assert validate(tmp_path).variant == "kimi_k2 nvfp4"
    path.write_text("{")
    assert codes(validate(tmp_path)) == ["config-not-json"]
    assert codes(validate(draft().write(tmp_path))) == []


def verdicts(place: Path, engine: str) -> list[tuple[str, str]]:
    findings = validate(place, engine=engine).report
    return [(finding.code, finding.severity.value) for finding in findings]


def test_engines_differ(tmp_path: Path) -> None:
    draft().write(tmp_path)
    assert verdicts(tmp_path, "transformers") == [("transformers-remote-code", "error")]
    assert verdicts(tmp_path, "llama.cpp") == [("llama-cpp-safetensors", "error")]
    assert verdicts(tmp_path, "vllm") == []
    make_ggufs(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes((tmp_path / "tiny.gguf").read_bytes()[:1000])
    assert ("ktransformers-mixed-folder", "error") in verdicts(tmp_path, "ktransformers")


def test_a_patched_config_changes_call_ids(tmp_path: Path) -> None:
    made = draft()
    made.config["model_type"] = "deepseek_v3"
    made.write(tmp_path)
    assert ("engine-call-ids", "error") in verdicts(tmp_path, "vllm")
    assert verdicts(tmp_path, "sglang") == []


def test_another_config_is_held_against_the_weights(tmp_path: Path) -> None:
    draft().write(tmp_path / "model")
    other = draft("bf16").write(tmp_path / "other")
    assert codes(validate(tmp_path / "model", config=other)) == ["quantization-undeclared"]
    with pytest.raises(RefusedError, match="does not exist") as caught:
        validate(tmp_path / "model", config=tmp_path / "absent.json")
    assert caught.value.code == "not-found"
    (tmp_path / "empty.json").touch()
    with pytest.raises(RefusedError, match="is empty") as caught:
        validate(tmp_path / "model", config=tmp_path / "empty.json")
    assert caught.value.code == "not-readable"


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(RefusedError) as caught:
            validate(path)
        return caught.value.code

    (tmp_path / "config.json").write_text("{}")
    assert refusal(tmp_path) == "weights-missing"
    assert refusal(tmp_path / "config.json") == "weights-missing"
    assert refusal(tmp_path / "absent") == "not-found"
    os.mkfifo(tmp_path / "fifo.safetensors")
    assert refusal(tmp_path / "fifo.safetensors") == "weights-missing"


def test_an_index_alone_is_a_damaged_checkpoint(tmp_path: Path) -> None:
    made = draft()
    made.shards.clear()
    assert codes(validate(made.write(tmp_path))) == ["shard-missing"] * 3


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


def test_a_config_that_cannot_be_read(tmp_path: Path) -> None:
    draft().write(tmp_path)
    put_fifo(tmp_path / "config.json")
    validation = validate(tmp_path)
    assert codes(validation) == ["file-is-special"]
    assert validation.variant == "unknown"
    assert "the tensors against a config: there is no usable one" in validation.not_checked


def test_an_index_beyond_all_measure_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft().write(tmp_path)
    for module in (weight_index, safetensors_checks):
        monkeypatch.setattr(module, "INDEX_BYTES_MAX", 100)
    assert codes(validate(tmp_path)) == ["index-damaged"]


def test_shards_may_count_from_nought(tmp_path: Path) -> None:
    made = draft()
    made.index = {}
    total = len(made.shards)
    made.shards = {
        f"model-{number}-of-{total}.safetensors": shard
        for number, shard in enumerate(made.shards.values())
    }
    assert codes(validate(made.write(tmp_path))) == ["index-missing"]


def test_progress_counts_files(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    validate(draft().write(tmp_path), progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_of_ggufs(tmp_path: Path) -> None:
    steps: list[Any] = []
    validation = validate(make_ggufs(tmp_path), progress=lambda *step: steps.append(step))
    assert validation.format == "gguf"
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 F32, joint MLA"
    assert steps == [(1, 1)]


def test_engines_differ_about_ggufs(tmp_path: Path) -> None:
    split = make_ggufs(tmp_path, joint_mla=False)
    infos = {finding.code for finding in validate(split).report}
    assert {"ktransformers-split-mla", "trtllm-gguf"} <= infos
    assert verdicts(split, "ktransformers") == [("ktransformers-split-mla", "error")]
    assert verdicts(split, "llama.cpp") == []
    assert ("trtllm-gguf", "error") in verdicts(split / "tiny.gguf", "trtllm")


def test_ggufs_are_held_against_the_original_model(tmp_path: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    made = draft()
    assert bad(validate(ggufs, config=made.write(tmp_path / "same"))) == []
    made.config["vocab_size"] += 2
    assert codes(validate(ggufs, config=made.write(tmp_path / "other"))) != []
