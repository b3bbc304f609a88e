"""Whatever stands in the place of a file is found by its code, and never waited for."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from k2compat.checkpoint import validate
from k2compat.checkpoint.safetensors_files import index as weight_index
from k2compat.cli.finding_text import finding_texts
from tests.checkpoint.validations import bad, codes
from tests.support.drafts import LAYER_1, OUTSIDE, draft
from tests.support.file_damage import FILE_DAMAGE, POINTER
from tests.support.models import make_ggufs

INDEX = "model.safetensors.index.json"
NO_PREDICATE = r"(?!(?:is|has|does|holds|names|puts|shows|says|cannot|of|the same)\b)"


PLACES = {
    "a shard": LAYER_1,
    "a shard that the index does not name": "model-4-of-3.safetensors",
    "a shard of another set": "model-9-of-9.safetensors",
    "another safetensors": "adapter.safetensors",
    "the index": INDEX,
    "the config": "config.json",
    "the tokenizer's config": "tokenizer_config.json",
    "the vocabulary": "tiktoken.model",
    "remote code": "modeling_deepseek.py",
    "how to generate": "generation_config.json",
    "the chat template": "chat_template.jinja",
    "an image processor": "preprocessor_config.json",
}


@pytest.mark.sample(5)
@pytest.mark.parametrize("damage", FILE_DAMAGE)
@pytest.mark.parametrize("place", PLACES)
def test_what_stands_in_the_place_of_a_file_is_named(
    tmp_path: Path, place: str, damage: str
) -> None:
    put, code = FILE_DAMAGE[damage]
    draft().write(tmp_path)
    put(tmp_path / PLACES[place])
    found = bad(validate(tmp_path))
    assert [f.where for f in found if f.code == code] == [f"{tmp_path}/{PLACES[place]}"]
    assert {f.code for f in found} <= {code, "shard-unlisted", "shard-sets-mixed"}


@pytest.mark.sample(5)
@pytest.mark.parametrize("damage", FILE_DAMAGE)
@pytest.mark.parametrize("place", PLACES)
def test_a_headline_is_a_sentence_that_begins_with_the_place(
    tmp_path: Path, place: str, damage: str
) -> None:
    draft().write(tmp_path)
    FILE_DAMAGE[damage][0](tmp_path / PLACES[place])
    (tmp_path / "model-9.safetensors.aria2").write_bytes(b"")
    (tmp_path / "model-8.safetensors.incomplete").write_bytes(b"")
    report = validate(tmp_path).report
    for text, finding in zip(finding_texts(report), report, strict=True):
        assert text.headline.startswith(f"{finding.where} ") or re.match(
            NO_PREDICATE, text.headline.removeprefix(f"{finding.where}: ")
        )


@pytest.mark.parametrize("folder", ["models", "a: b", "a/b: c"])
def test_the_same_damage_in_many_files_is_one_finding(tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    root.mkdir(parents=True)
    for number in range(1, 10):
        (root / f"model-{number}-of-9.safetensors").write_bytes(POINTER)
    (finding,) = (one for one in bad(validate(root)) if one.code == "file-lfs-pointer")
    assert (finding.where, finding.count) == (str(root), 9)
    assert finding.message == (
        f"9 files have the same defect, first {root}/model-1-of-9.safetensors: "
        "is a Git-LFS pointer, not the file itself"
    )


@pytest.mark.sample(5)
@pytest.mark.parametrize("damage", FILE_DAMAGE)
@pytest.mark.parametrize(
    "name", ["K2-00001-of-00002.gguf", "K2-00002-of-00002.gguf", "config.json", "tiktoken.model"]
)
def test_the_same_beside_and_among_ggufs(tmp_path: Path, name: str, damage: str) -> None:
    put, code = FILE_DAMAGE[damage]
    for number in (1, 2):
        make_ggufs(tmp_path, f"K2-0000{number}-of-00002.gguf")
    put(tmp_path / name)
    found = [finding for finding in validate(tmp_path).report if finding.code == code]
    assert [finding.where for finding in found] == [f"{tmp_path}/{name}"]


@pytest.mark.parametrize("name", [LAYER_1, "tiny.gguf"])
@pytest.mark.parametrize("damage", [name for name in FILE_DAMAGE if "directory" not in name])
def test_the_same_in_the_place_of_a_file_that_was_named(
    tmp_path: Path, name: str, damage: str
) -> None:
    put, code = FILE_DAMAGE[damage]
    put(tmp_path / name)
    (finding,) = bad(validate(tmp_path / name))
    assert (finding.code, finding.where) == (code, f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:-1], "safetensors-truncated"),
        (lambda data: data[:100], "safetensors-header-truncated"),
        (lambda data: data + b"\0", "safetensors-trailing-bytes"),
    ],
)
@pytest.mark.parametrize("name", [LAYER_1, "adapter.safetensors"])
def test_a_file_of_another_length(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes], code: str
) -> None:
    draft().write(tmp_path)
    (tmp_path / name).write_bytes(change((tmp_path / LAYER_1).read_bytes()))
    (finding,) = bad(validate(tmp_path))
    assert finding.code == code
    assert finding.where.startswith(f"{tmp_path}/{name}")


def test_a_folder_may_be_named_like_a_file_that_it_holds(tmp_path: Path) -> None:
    make_ggufs(tmp_path / "Kimi-K2.gguf")
    assert bad(validate(tmp_path)) == []


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_vocabulary_that_was_cut(tmp_path: Path, cut: int) -> None:
    draft().write(tmp_path)
    path = tmp_path / "tiktoken.model"
    path.write_bytes(path.read_bytes().rstrip()[:-cut])
    (finding,) = bad(validate(tmp_path))
    assert (finding.code, finding.where) == ("companion-damaged", f"{path}: line 256")


def test_a_module_that_nobody_loads_may_be_empty(tmp_path: Path) -> None:
    draft().write(tmp_path)
    (tmp_path / "__init__.py").touch()
    assert bad(validate(tmp_path)) == []


def many_shards(folder: Path) -> list[str]:
    """Write a checkpoint with a shard for each of its first tensors."""
    made = draft()
    tensors = [tensor for shard in made.shards.values() for tensor in shard]
    names = [f"model-{number}-of-9.safetensors" for number in range(1, 10)]
    made.shards = {name: [tensor] for name, tensor in zip(names[:8], tensors, strict=False)}
    made.shards[names[8]] = tensors[8:]
    made.reindex()
    made.write(folder)
    return names


def test_a_clone_without_lfs_is_one_finding(tmp_path: Path) -> None:
    names = many_shards(tmp_path)
    for name in names:
        (tmp_path / name).write_bytes(POINTER)
    (finding,) = bad(validate(tmp_path))
    assert (finding.code, finding.where, finding.count) == ("file-lfs-pointer", str(tmp_path), 9)
    assert finding.items == tuple(f"{tmp_path}/{name}" for name in names)
    (tmp_path / names[0]).unlink()
    assert codes(validate(tmp_path)) == ["shard-missing", "file-lfs-pointer"]


def test_a_download_that_stopped_early_is_one_finding(tmp_path: Path) -> None:
    names = many_shards(tmp_path)
    for name in names[2:]:
        (tmp_path / name).unlink()
    (finding,) = bad(validate(tmp_path))
    assert (finding.code, finding.where, finding.count) == ("shard-missing", str(tmp_path), 7)
    assert finding.items == tuple(names[2:])
    absent = "the index puts 67 tensors into 7 absent shards: model-3-of-9.safetensors, "
    assert finding.message.startswith(absent)


def test_an_absent_shard_has_the_names_of_its_tensors(tmp_path: Path) -> None:
    made = draft()
    made.write(tmp_path)
    (tmp_path / LAYER_1).unlink()
    (finding,) = bad(validate(tmp_path))
    assert set(finding.items) == {tensor.name for tensor in made.shards[LAYER_1]}


def test_an_index_of_other_names_is_one_finding(tmp_path: Path) -> None:
    many_shards(tmp_path)
    path = tmp_path / INDEX
    path.write_text(path.read_text().replace('"model.', '"'))
    found = {finding.code: finding for finding in bad(validate(tmp_path))}
    assert set(found) == {"index-tensor-unlisted", "index-tensor-absent"}
    assert found["index-tensor-unlisted"].where == str(tmp_path)
    assert found["index-tensor-unlisted"].count == 68  # all but lm_head


def test_damage_everywhere_is_found_in_one_pass(tmp_path: Path) -> None:
    draft().write(tmp_path)
    damages = [FILE_DAMAGE[name] for name in FILE_DAMAGE] * 2
    expected = set()
    for name, (put, code) in zip(PLACES.values(), damages, strict=False):
        put(tmp_path / name)
        expected.add((code, f"{tmp_path}/{name}"))
    assert expected <= {(f.code, f.where) for f in validate(tmp_path).report}


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


def test_an_index_beyond_all_measure_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft().write(tmp_path)
    monkeypatch.setattr(weight_index, "INDEX_BYTES_MAX", 100)
    assert codes(validate(tmp_path)) == ["index-damaged"]


def test_an_index_alone_is_a_damaged_checkpoint(tmp_path: Path) -> None:
    made = draft()
    made.shards.clear()
    assert codes(validate(made.write(tmp_path))) == ["shard-missing"] * 3
