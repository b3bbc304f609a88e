"""A split set that was joined by cat, and files that lie beside a model."""

import subprocess
from pathlib import Path

import gguf
import numpy as np
import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.gguf_files import joined
from k2compat.checkpoint.gguf_files.header import read_gguf
from k2compat.findings import Finding
from tests.checkpoint.gguf_files.gguf_models import Model, tiny


def serious(folder: Path) -> list[Finding]:
    return [finding for finding in validate(folder).report if finding.severity != "info"]


def write(folder: Path, models: list[Model]) -> Path:
    path = folder / "K2.gguf"
    path.write_bytes(b"".join(model.content() for model in models))
    return path


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_joined_set_is_one_finding_whose_fix_cuts_it(tmp_path: Path, count: int) -> None:
    path = write(tmp_path, tiny().split(count))
    (finding,) = serious(tmp_path)
    assert (finding.code, finding.count) == ("gguf-joined-set", count)
    subprocess.run(["bash", "-c", str(finding.fix)], check=True, capture_output=True)
    path.unlink()
    for number, model in enumerate(tiny().split(count), start=1):
        part = tmp_path / f"K2-{number:05}-of-{count:05}.gguf"
        assert part.read_bytes() == model.content()
    assert serious(tmp_path) == []


def test_a_line_of_many_commands_is_no_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "_COMMANDS_MAX", 2)
    write(tmp_path, tiny().split(3))
    (finding,) = serious(tmp_path)
    assert finding.fix is None


def test_no_more_parts_are_read_than_any_set_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "_PARTS_MAX", 2)
    assert read_gguf(write(tmp_path, tiny().split(5))).joined == 3


def test_other_bytes_behind_the_data_are_trailing_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, [tiny()])
    with path.open("ab") as file:
        file.write(b"\0" * 1000)
    assert [finding.code for finding in serious(tmp_path)] == ["gguf-trailing-bytes"]


def test_a_part_that_is_cut_ends_the_search(tmp_path: Path) -> None:
    first, second = tiny().split(2)
    path = tmp_path / "K2.gguf"
    path.write_bytes(first.content() + second.content()[:100])
    found = {finding.code: finding for finding in serious(tmp_path)}
    assert found["gguf-joined-set"].count == 2


def imatrix(path: Path, architecture: str) -> None:
    """As llama-imatrix writes one: with a type and, by itself, no architecture."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["calibration.txt"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_tensor("blk.0.attn_q_a.weight.in_sum2", np.zeros((1, 256), "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("architecture", ["", "imatrix"])
def test_an_importance_matrix_beside_a_model_is_an_info(tmp_path: Path, architecture: str) -> None:
    tiny().write(tmp_path / "K2.gguf")
    imatrix(tmp_path / "imatrix.gguf", architecture)
    assert serious(tmp_path) == []
    (info,) = (one for one in validate(tmp_path).report if one.code == "gguf-architecture-other")
    assert "importance matrix" in info.message
