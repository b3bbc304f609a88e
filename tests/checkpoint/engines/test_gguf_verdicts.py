"""What each engine makes of GGUFs."""

from pathlib import Path

import pytest
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from k2compat.checkpoint.engines.names import engine_names
from k2compat.checkpoint.engines.verdicts import (
    EngineTable,
    Judged,
    engine_table,
    engine_verdicts,
    verdicts_of,
)
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.checkpoint.gguf_files.rules import deepseek2
from k2compat.checkpoint.sources.listing import read_model_folder
from k2compat.findings import catalogue
from k2compat.typed_toml import read_toml
from tests.checkpoint.gguf_files.gguf_models import Model, tiny


def judged(model: Model, folder: Path | None = None) -> Judged:
    headers = {"model.gguf": model.header()}
    codes = frozenset(finding.code for finding in compare_gguf(headers).findings)
    listed = read_model_folder(folder) if folder else None
    return Judged("model.gguf", "gguf", headers=headers, found=codes, folder=listed)


def verdicts(model: Model, folder: Path | None = None) -> set[tuple[str, str]]:
    checkpoint = judged(model, folder)
    return {
        (engine, finding.code)
        for engine in engine_names()
        for finding in verdicts_of(engine_table(engine), checkpoint)
    }


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
    checkpoint = judged(tiny().without("tokenizer.ggml.model"))
    (finding,) = verdicts_of(engine_table("llama.cpp"), checkpoint)
    assert "gguf-tokenizer-missing" in finding.message


def test_other_architectures_are_not_judged(tmp_path: Path) -> None:
    model = Model().set("general.architecture", "llama", "string")
    assert verdicts(model) == set()
    header = read_gguf(tmp_path / "gone.gguf")
    codes = frozenset(finding.code for finding in header.findings)
    gone = Judged("gone.gguf", "gguf", headers={"gone.gguf": header}, found=codes)
    assert list(engine_verdicts(gone)) == []


def test_a_mistake_in_a_table_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "made-up.toml"
    path.write_text('[[verdict]]\ncode = "engine-made-up"\nmessage = "no"\nformat = "gguff"\n')
    with pytest.raises(
        ValueError, match=r"Invalid enum value 'gguff' - at `\$.verdict\[0\].format`"
    ):
        read_toml(path, EngineTable)
    path.write_text('[[verdict]]\ncode = "engine-made-up"\nmassage = "no"\n')
    with pytest.raises(ValueError, match=r"made-up.toml: .*unknown field `massage`"):
        read_toml(path, EngineTable)


def test_every_table_has_codes_of_the_catalogue() -> None:
    for engine in engine_names():
        table = engine_table(engine)
        codes = [verdict.code for verdict in table.verdict]
        codes += [] if table.refuses is None else [table.refuses.code, *table.refuses.findings]
        assert [code for code in codes if code not in catalogue()] == []
