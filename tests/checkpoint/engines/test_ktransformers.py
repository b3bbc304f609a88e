"""What keeps KTransformers from loading a GGUF folder, or makes it load another model."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.checkpoint.engines.ktransformers import check_ktransformers
from k2compat.checkpoint.sources.listing import read_model_folder
from k2compat.findings import Finding, Severity
from k2compat.samples import write_gguf
from k2compat.staging import StagingRequest, stage
from tests.checkpoint.gguf_files.gguf_models import Model, tiny
from tests.support.models import make_ggufs, make_model


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A GGUF folder with the model's files beside the GGUF."""
    ggufs = make_ggufs(tmp_path / "ggufs")
    stage(StagingRequest(model=make_model(tmp_path / "model"), gguf_folder=ggufs))
    return ggufs


def check(folder: Path) -> list[Finding]:
    return list(check_ktransformers(read_model_folder(folder)))


def worse_than_info(folder: Path) -> set[str]:
    return {finding.code for finding in check(folder) if finding.severity is not Severity.INFO}


def test_a_staged_folder_is_sound(staged: Path) -> None:
    assert worse_than_info(staged) == set()
    (finding,) = check(staged)
    names = ("configuration_deepseek.py", "modeling_deepseek.py", "tokenization_kimi.py")
    for name, item in zip(names, finding.items, strict=True):
        digest = hashlib.sha256((staged / name).read_bytes()).hexdigest()
        assert item == f"sha256:{digest}  {name}"
        assert f"{name} (sha256:{digest})" in finding.message


@pytest.fixture(scope="module")
def cut_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged folder whose GGUF a test cuts again and again."""
    folder = tmp_path_factory.mktemp("cut")
    ggufs = make_ggufs(folder / "ggufs")
    stage(StagingRequest(model=make_model(folder / "model"), gguf_folder=ggufs))
    return ggufs


@cache
def tiny_content() -> bytes:
    return tiny().content()


def stray(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "model.safetensors").write_bytes(b"")


def linked(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent)


def second_quantisation(folder: Path) -> None:
    make_ggufs(folder / "Q2_K", "tiny-Q2_K.gguf")


def missing_split(folder: Path) -> None:
    (folder / "tiny.gguf").rename(folder / "tiny-00001-of-00002.gguf")


def of_architecture(architecture: str, path: Path) -> None:
    writer = gguf.GGUFWriter(path, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def projector(folder: Path) -> None:
    of_architecture("clip", folder / "mmproj-f16.gguf")


def another_architecture(folder: Path) -> None:
    of_architecture("llama", folder / "tiny.gguf")


def without_metadata(folder: Path) -> None:
    (folder / "tiny.gguf").write_bytes(Model().add("output.weight", 32).content())


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
        (projector, "ktransformers-projector"),
        (another_architecture, "ktransformers-other-architecture"),
        (without_metadata, "gguf-architecture-missing"),
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


def test_split_mla_is_an_info_that_names_the_version(staged: Path) -> None:
    assert "ktransformers-split-mla" not in {finding.code for finding in check(staged)}
    make_ggufs(staged, joint_mla=False)
    assert worse_than_info(staged) == set()
    (finding,) = (f for f in check(staged) if f.code == "ktransformers-split-mla")
    assert "0.3.2" in finding.message


@pytest.mark.parametrize("joint_mla", [True, False])
@pytest.mark.parametrize("tensors", [1, 7])
def test_a_set_is_judged_by_its_first_file(staged: Path, tensors: int, *, joint_mla: bool) -> None:
    """The gguf package writes metadata into the first file alone, as llama.cpp's splitter does."""
    (staged / "tiny.gguf").unlink()
    write_gguf(staged / "tiny.gguf", joint_mla=joint_mla, tensors_per_file=tensors)
    assert len(list(staged.glob("*.gguf"))) > 2
    assert worse_than_info(staged) == set()


def test_a_set_without_its_first_file_is_of_no_other_model(staged: Path) -> None:
    (staged / "tiny.gguf").unlink()
    write_gguf(staged / "tiny.gguf", tensors_per_file=7)
    min(staged.glob("*.gguf")).unlink()
    assert worse_than_info(staged) == {"gguf-split-missing"}


@pytest.mark.parametrize("name", ["part2.gguf", "tiny-00002-of-00002.gguf"])
def test_a_part_under_another_name_is_of_no_other_model(staged: Path, name: str) -> None:
    (staged / "tiny.gguf").unlink()
    write_gguf(staged / "tiny.gguf", tensors_per_file=7)
    first, second, *others = sorted(staged.glob("*.gguf"))
    for path in (first, *others):
        path.unlink()
    second.rename(staged / name)
    found = worse_than_info(staged)
    assert found
    assert all(code.startswith("gguf-split-") for code in found), found


@given(data=st.data())
def test_a_cut_header_is_of_no_other_model(data: st.DataObject, cut_folder: Path) -> None:
    """What a cut leaves of the metadata is not compared: a lost key is no size of 0."""
    content = tiny_content()
    length = data.draw(st.integers(0, len(content) - 1))
    (cut_folder / "tiny.gguf").write_bytes(content[:length])
    found = worse_than_info(cut_folder)
    assert found
    assert not any(code.startswith("ktransformers-") for code in found), found


def test_another_model_is_told_by_both_sizes(staged: Path) -> None:
    another_model(staged)
    (finding,) = (f for f in check(staged) if f.code == "ktransformers-other-model")
    assert finding.expected == "n_routed_experts 384"
    assert finding.actual == "deepseek2.expert_count 4"
    assert finding.message.startswith("tiny.gguf is of another model than config.json: ")


def test_another_model_is_one_finding(staged: Path) -> None:
    config = json.loads((staged / "config.json").read_text())
    sizes = {name: size * 2 for name, size in config.items() if type(size) is int and size > 1}
    (staged / "config.json").write_text(json.dumps({**config, **sizes}))
    (staged / "tiny.gguf").unlink()
    write_gguf(staged / "tiny.gguf", tensors_per_file=7)
    (finding,) = (f for f in check(staged) if f.severity is not Severity.INFO)
    assert finding.code == "ktransformers-other-model"
    assert finding.count == len(finding.items) > 5
