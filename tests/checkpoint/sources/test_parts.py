"""A GGUF in parts: judged as the file that `cat` makes of them."""

import subprocess
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.sources import FileRefusedError, join_parts, open_folder_source
from k2compat.errors import RefusedError
from k2compat.findings import Finding
from tests.checkpoint.gguf_files.gguf_models import tiny

CONTENT = tiny().content()
NAMES = {
    "mradermacher's": [f"K2.Q4_K_M.gguf.part{number}of11" for number in range(1, 12)],
    "split -d": [f"K2.gguf.part{number:02}" for number in range(3)],
    "split": ["K2.gguf.partaa", "K2.gguf.partab"],
    "TheBloke's": ["K2.gguf-split-a", "K2.gguf-split-b", "K2.gguf-split-c"],
    "7z's": ["K2.gguf.001", "K2.gguf.002"],
}


def cut(folder: Path, names: list[str]) -> None:
    size = len(CONTENT) // len(names) + 1
    for place, name in enumerate(names):
        (folder / name).write_bytes(CONTENT[place * size : (place + 1) * size])


def errors(folder: Path) -> list[Finding]:
    return [finding for finding in validate(folder).report if finding.severity == "error"]


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_parts_are_one_finding_whose_fix_joins_them(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "a model's"
    folder.mkdir()
    cut(folder, names)
    validation = validate(folder)
    (finding,) = errors(folder)
    assert (finding.code, finding.count, finding.items) == ("gguf-parts", len(names), tuple(names))
    assert (validation.variant, validation.tensors) == ("kimi_k2 F32, split MLA", 34)
    subprocess.run(["bash", "-c", str(finding.fix)], check=True)
    (joined,) = folder.glob("*.gguf")
    assert joined.read_bytes() == CONTENT
    assert errors(folder) == []


def test_damage_in_a_part_is_found(tmp_path: Path) -> None:
    cut(tmp_path, NAMES["7z's"])
    last = tmp_path / "K2.gguf.002"
    last.write_bytes(last.read_bytes()[:-100])
    assert {finding.code for finding in errors(tmp_path)} == {"gguf-parts", "gguf-data-truncated"}


def test_missing_parts_are_named_and_not_joined(tmp_path: Path) -> None:
    names = NAMES["mradermacher's"]
    cut(tmp_path, names)
    (tmp_path / names[9]).unlink()
    found = {finding.code: finding for finding in errors(tmp_path)}
    assert "of these 1 are missing: 10" in found["gguf-parts"].message
    assert found["gguf-parts"].fix is None
    (tmp_path / names[0]).unlink()
    with pytest.raises(RefusedError) as refusal:
        validate(tmp_path)
    assert refusal.value.code == "weights-missing"


def test_a_gap_without_a_total_is_named(tmp_path: Path) -> None:
    cut(tmp_path, NAMES["split -d"])
    (tmp_path / "K2.gguf.part01").unlink()
    found = {finding.code: finding for finding in errors(tmp_path)}
    assert "1 are missing: 1" in found["gguf-parts"].message


def test_parts_beside_the_whole_file_are_left_alone(tmp_path: Path) -> None:
    cut(tmp_path, NAMES["split"])
    (tmp_path / "K2.gguf").write_bytes(CONTENT)
    assert errors(tmp_path) == []
    source = open_folder_source(tmp_path)
    assert join_parts(source) is source


@pytest.mark.parametrize("name", ["K2.gguf.md", "K2.gguf.part", "K2.part1of2", "K2.gguf.json"])
def test_other_files_are_no_parts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    source = open_folder_source(tmp_path)
    assert join_parts(source) is source


def test_the_joined_file_reads_across_its_parts(tmp_path: Path) -> None:
    (tmp_path / "K2.gguf.001").write_bytes(b"0123")
    (tmp_path / "K2.gguf.002").write_bytes(b"456")
    (tmp_path / "K2.gguf.003").write_bytes(b"789")
    source = join_parts(open_folder_source(tmp_path))
    assert (source.name, source.is_remote, source.linked_folders) == (str(tmp_path), False, ())
    assert source.files["K2.gguf"] == 10
    with source.open("K2.gguf") as file:
        assert (file.path, file.size) == (f"{tmp_path}/K2.gguf", 10)
        for start in range(11):
            for length in range(12):
                assert file.read(start, length) == b"0123456789"[start : start + length]
        (tmp_path / "K2.gguf.002").write_bytes(b"4")
        assert file.read(0, 10) == b"01234"
    with source.open("K2.gguf.001") as file:
        assert file.size == 4
    with pytest.raises(FileRefusedError), source.open("other"):
        pass
    source.close()


def test_a_part_alone_is_refused_with_the_folder_as_the_way_out(tmp_path: Path) -> None:
    part = tmp_path / "K2.gguf.part1of3"
    part.write_bytes(b"GGUF")
    with pytest.raises(RefusedError, match="neither a folder") as caught:
        open_folder_source(part)
    assert "parts of a GGUF" in caught.value.hint
