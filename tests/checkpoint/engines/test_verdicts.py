"""Engines differ, and GGUFs are judged through the same door."""

from pathlib import Path
from typing import Any

from k2compat.checkpoint import validate
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import draft
from tests.support.models import make_ggufs


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


def test_a_patched_config_changes_the_call_ids_of_trtllm_alone(tmp_path: Path) -> None:
    made = draft()
    made.config["model_type"] = "deepseek_v3"
    made.write(tmp_path)
    assert ("engine-call-ids", "info") in verdicts(tmp_path, "trtllm")
    assert verdicts(tmp_path, "vllm") == []  # 0.24 and 0.32 send native ids
    assert verdicts(tmp_path, "sglang") == []


def test_engines_differ_about_ggufs(tmp_path: Path) -> None:
    split = make_ggufs(tmp_path, joint_mla=False)
    infos = {finding.code for finding in validate(split).report}
    assert {"ktransformers-split-mla", "trtllm-gguf"} <= infos
    assert verdicts(split, "ktransformers") == [("ktransformers-split-mla", "info")]
    assert verdicts(split, "llama.cpp") == []
    assert ("trtllm-gguf", "error") in verdicts(split / "tiny.gguf", "trtllm")


def test_a_folder_of_ggufs(tmp_path: Path) -> None:
    steps: list[Any] = []
    validation = validate(make_ggufs(tmp_path), progress=lambda *step: steps.append(step))
    assert validation.format == "gguf"
    assert bad(validation) == []
    assert validation.variant == "kimi_k2 F32, joint MLA"
    assert steps == [(1, 1)]


def test_ggufs_are_held_against_the_original_model(tmp_path: Path) -> None:
    ggufs = make_ggufs(tmp_path / "ggufs")
    made = draft()
    assert bad(validate(ggufs, config=made.write(tmp_path / "same"))) == []
    made.config["vocab_size"] += 2
    assert codes(validate(ggufs, config=made.write(tmp_path / "other"))) != []
