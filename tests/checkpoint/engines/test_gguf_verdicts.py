"""What each engine makes of GGUFs."""

from pathlib import Path

from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from k2compat.checkpoint.engines.gguf_verdicts import gguf_verdicts
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.sources.listing import read_model_folder
from tests.checkpoint.gguf_files.gguf_models import Model, tiny


def verdicts(model: Model, folder: Path | None = None) -> set[tuple[str, str]]:
    headers = {"model.gguf": model.header()}
    listed = read_model_folder(folder) if folder else None
    found = gguf_verdicts(headers, compare_gguf(headers).findings, listed)
    return {(verdict.engine, verdict.finding.code) for verdict in found}


WITHOUT_GGUF = {
    ("vllm", "vllm-gguf"),
    ("sglang", "sglang-gguf"),
    ("trtllm", "trtllm-gguf"),
    ("transformers", "transformers-gguf"),
}


def test_only_llama_cpp_and_ktransformers_read_the_architecture(tmp_path: Path) -> None:
    assert verdicts(tiny(joint_mla=True)) == WITHOUT_GGUF
    assert verdicts(tiny(joint_mla=True), tmp_path) == WITHOUT_GGUF


def test_transformers_has_still_not_learned_it() -> None:
    assert deepseek2().architecture not in GGUF_SUPPORTED_ARCHITECTURES


def test_split_mla_is_a_matter_of_ktransformers_alone(tmp_path: Path) -> None:
    assert verdicts(tiny(), tmp_path) - WITHOUT_GGUF == {
        ("ktransformers", "ktransformers-split-mla")
    }


def test_strays_and_linked_folders_are_too(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
    assert verdicts(tiny(joint_mla=True), tmp_path) - WITHOUT_GGUF == {
        ("ktransformers", "ktransformers-stray-safetensors"),
        ("ktransformers", "ktransformers-linked-folder"),
    }


def test_what_llama_cpp_refuses_is_named() -> None:
    headers = {"model.gguf": tiny().without("tokenizer.ggml.model").header()}
    findings = compare_gguf(headers).findings
    (verdict,) = (v for v in gguf_verdicts(headers, findings) if v.engine == "llama.cpp")
    assert "gguf-tokenizer-missing" in verdict.finding.message


def test_other_architectures_are_not_judged(tmp_path: Path) -> None:
    model = Model().set("general.architecture", "llama", "string")
    assert verdicts(model) == set()
    headers = {"gone.gguf": read_gguf(tmp_path / "gone.gguf")}
    assert list(gguf_verdicts(headers, headers["gone.gguf"].findings)) == []
