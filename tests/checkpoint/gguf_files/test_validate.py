"""validate on GGUFs: folders, split sets, single files, and what engines make of them."""

import json
from pathlib import Path

from k2compat.checkpoint.sources.source import open_folder_source
from k2compat.checkpoint.validation import validate
from k2compat.findings import Finding, Report, Severity
from k2compat.samples import tiny_config
from tests.checkpoint.gguf_files.gguf_models import ARCH, Model, tiny


def worse_than_info(report: Report) -> list[str]:
    return [finding.code for finding in report if finding.severity is not Severity.INFO]


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report}


def test_a_sound_file_is_described(tmp_path: Path) -> None:
    tiny(joint_mla=True).write(tmp_path / "model.gguf")
    (tmp_path / "config.json").write_text(json.dumps(tiny_config()))
    validation = validate(tmp_path)
    assert worse_than_info(validation.report) == []
    assert validation.format == "gguf"
    assert validation.variant == "kimi_k2 F32, joint MLA"
    assert validation.tensors == 32
    assert validation.parameters == 1_214_916
    assert [file.path for file in validation.files] == ["model.gguf"]


def test_a_single_file_keeps_the_name_it_was_given(tmp_path: Path) -> None:
    path = tiny().without("blk.0.attn_norm.weight").write(tmp_path / "model.gguf")
    (finding,) = (f for f in validate(path).report if f.severity is Severity.ERROR)
    assert finding.where == f"{path}: tensor blk.0.attn_norm.weight"


def test_another_config_shows_another_model(tmp_path: Path) -> None:
    tiny().write(tmp_path / "ggufs" / "model.gguf")
    original = tmp_path / "original"
    original.mkdir()
    (original / "config.json").write_text(json.dumps({**tiny_config(), "n_routed_experts": 384}))
    report = validate(tmp_path / "ggufs", config=original).report
    assert worse_than_info(report) == ["gguf-config-size"]


def test_an_engines_verdict_is_an_error_for_its_users_alone(tmp_path: Path) -> None:
    tiny().write(tmp_path / "model.gguf")
    assert worse_than_info(validate(tmp_path).report) == []
    assert {"ktransformers-split-mla", "sglang-gguf", "vllm-gguf"} <= codes(
        validate(tmp_path).report
    )
    for engine, expected in {
        "ktransformers": [],
        "llama.cpp": [],
        "sglang": ["sglang-gguf"],
        "transformers": ["transformers-gguf"],
        "trtllm": ["trtllm-gguf"],
        "vllm": ["vllm-gguf"],
    }.items():
        report = validate(tmp_path, engine=engine).report
        assert [f.code for f in report if f.severity is Severity.ERROR] == expected


def test_llama_cpp_users_hear_that_it_refuses(tmp_path: Path) -> None:
    tiny().without("tokenizer.ggml.model").write(tmp_path / "model.gguf")
    report = validate(tmp_path, engine="llama.cpp").report
    assert {"llama-cpp-refuses", "gguf-tokenizer-missing"} <= codes(report)


def test_strays_are_told_once(tmp_path: Path) -> None:
    tiny().write(tmp_path / "model.gguf")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "model.safetensors").write_bytes(b"0")
    assert "ktransformers-stray-safetensors" in codes(validate(tmp_path).report)
    (tmp_path / "model.safetensors").write_bytes(b"0")
    found = codes(validate(tmp_path).report)
    assert "ktransformers-mixed-folder" in found
    assert "ktransformers-stray-safetensors" not in found


def test_a_repo_has_no_linked_folders(tmp_path: Path) -> None:
    tiny().write(tmp_path / "model.gguf")
    (tmp_path / "more").symlink_to(tmp_path.parent)
    assert "ktransformers-linked-folder" in codes(validate(tmp_path).report)
    local = open_folder_source(tmp_path)

    class Repo:
        name, files, open = "hf://org/repo", local.files, local.open
        linked_folders: tuple[str, ...] = ()
        is_remote = True
        findings: tuple[Finding, ...] = ()
        close = local.close

    report = validate(Repo()).report
    assert "ktransformers-linked-folder" not in codes(report)
    assert "ktransformers-split-mla" in codes(report)


def test_what_was_not_checked_is_said(tmp_path: Path) -> None:
    other = Model().set("general.architecture", "llama", "string").add("output.weight", 32)
    other.write(tmp_path / "model.gguf")
    validation = validate(tmp_path)
    assert worse_than_info(validation.report) == []
    assert validation.variant == "unknown"
    assert "tensors: no file is of deepseek2" in validation.not_checked
    hostile = tiny().set(f"{ARCH}block_count", 4_000_000_000).write(tmp_path / "model.gguf")
    assert worse_than_info(validate(hostile).report) == ["gguf-key-bounds"]
