"""What keeps KTransformers from loading a GGUF folder, or makes it load another model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.checkpoint.ktransformers import check_ktransformers
from k2compat.checkpoint.model_folder import read_model_folder
from k2compat.findings import Finding, Severity
from k2compat.samples import write_gguf
from k2compat.staging import Request, stage
from tests.support.models import make_ggufs, make_model


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A GGUF folder with the model's files beside the GGUF."""
    ggufs = make_ggufs(tmp_path / "ggufs")
    stage(Request(model=make_model(tmp_path / "model"), gguf_folder=ggufs))
    return ggufs


def check(folder: Path) -> list[Finding]:
    return list(check_ktransformers(read_model_folder(folder)))


def worse_than_info(folder: Path) -> set[str]:
    return {finding.code for finding in check(folder) if finding.severity is not Severity.INFO}


def test_a_staged_folder_is_sound(staged: Path) -> None:
    assert worse_than_info(staged) == set()
    remote = [finding.where for finding in check(staged)]
    assert remote == ["configuration_deepseek.py", "modeling_deepseek.py", "tokenization_kimi.py"]


def stray(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "model.safetensors").write_bytes(b"")


def linked(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent)


def second_quantisation(folder: Path) -> None:
    make_ggufs(folder / "Q2_K", "tiny-Q2_K.gguf")


def missing_split(folder: Path) -> None:
    (folder / "tiny.gguf").rename(folder / "tiny-00001-of-00002.gguf")


def split_mla(folder: Path) -> None:
    make_ggufs(folder, joint_mla=False)


def projector(folder: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(folder / "mmproj-f16.gguf", "clip")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def another_model(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace('"n_routed_experts": 4', '"n_routed_experts": 384')
    )


def truncated(folder: Path) -> None:
    content = (folder / "tiny.gguf").read_bytes()
    (folder / "tiny.gguf").write_bytes(content[:-100])


def without_code(folder: Path) -> None:
    (folder / "configuration_deepseek.py").unlink()


def without_tokenizer(folder: Path) -> None:
    (folder / "tiktoken.model").unlink()


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (stray, "ktransformers-stray-safetensors"),
        (linked, "ktransformers-linked-folder"),
        (second_quantisation, "gguf-split-mixed"),
        (missing_split, "gguf-split-missing"),
        (split_mla, "ktransformers-split-mla"),
        (projector, "ktransformers-other-model"),
        (another_model, "ktransformers-other-model"),
        (truncated, "gguf-data-truncated"),
        (without_code, "remote-code-missing"),
        (without_tokenizer, "companion-missing"),
        (without_config, "companion-missing"),
    ],
)
def test_each_defect_is_named(staged: Path, damage: Callable[[Path], None], code: str) -> None:
    damage(staged)
    assert code in worse_than_info(staged)


def test_split_and_joint_tensors_together_will_do(staged: Path) -> None:
    """Some GGUFs hold both generations; two files of one layer count as well."""
    write_gguf(staged / "tiny.gguf", joint_mla=True)
    assert "ktransformers-split-mla" not in worse_than_info(staged)


def test_another_model_is_told_by_both_sizes(staged: Path) -> None:
    another_model(staged)
    (finding,) = (f for f in check(staged) if f.code == "ktransformers-other-model")
    assert finding.expected == "n_routed_experts 384"
    assert finding.actual == "deepseek2.expert_count 4"
