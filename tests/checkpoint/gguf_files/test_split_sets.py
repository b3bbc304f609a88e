"""Split sets: grouped by name, held against what their members say."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from k2compat.checkpoint.gguf_files import split_sets as gguf_sets
from k2compat.checkpoint.gguf_files.header import GgufHeader, read_gguf
from k2compat.checkpoint.gguf_files.layout import GgufTensor
from k2compat.checkpoint.gguf_files.split_sets import check_gguf_sets, group_gguf_files

NAMES = [f"K2-{number:05}-of-00003.gguf" for number in (1, 2, 3)]


def tensor(name: str) -> GgufTensor:
    return GgufTensor(name, (1,), 0, "F32", 0, 0, 4)


def member(index: int, name: str = "", **changes: int | str | None) -> GgufHeader:
    """File `index` of a sound set of three; `changes` are keys with _ for ., None to leave out."""
    metadata = {"split_no": index, "split_count": 3, "split_tensors_count": 3, **changes}
    return GgufHeader(
        path=name or NAMES[index],
        version=3,
        metadata={
            key.replace("_", "."): value for key, value in metadata.items() if value is not None
        },
        tensors=(tensor(f"blk.{index}.attn_norm.weight"),),
        tensor_count=1,
        has_all_keys=True,
    )


def headers(**changed: GgufHeader) -> dict[str, GgufHeader]:
    sound = {name: member(index) for index, name in enumerate(NAMES)}
    return sound | {header.path: header for header in changed.values()}


def codes(names: list[str], read: dict[str, GgufHeader] | None = None) -> list[str]:
    return [finding.code for finding in check_gguf_sets(names, read)]


def test_files_are_grouped_by_name_and_total() -> None:
    other = ["K2-00001-of-00002.gguf", "model.gguf", "sub/K2-00001-of-00003.gguf"]
    sets = group_gguf_files([*reversed(NAMES), *other])
    assert [(each.name, each.total, list(each.members)) for each in sets] == [
        ("K2", 2, [1]),
        ("K2", 3, [1, 2, 3]),
        ("model", None, [1]),
        ("sub/K2", 3, [1]),
    ]
    assert list(sets[0].missing) == [2]
    assert list(sets[2].missing) == []


def test_a_sound_set_has_no_findings() -> None:
    assert codes(NAMES, headers()) == []
    assert codes(NAMES) == []
    assert codes([]) == []


def test_a_projector_may_lie_beside_a_model() -> None:
    assert codes(["model.gguf", "mmproj-model.gguf", "dir/MMPROJ.gguf"]) == []


def test_sets_that_the_official_writer_splits_are_sound(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "K2.gguf", "deepseek2", split_max_tensors=2)
    for number in range(5):
        writer.add_tensor(f"blk.{number}.attn_norm.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = {str(path): read_gguf(path) for path in sorted(tmp_path.iterdir())}
    assert len(read) == 3
    assert check_gguf_sets(read, read) == ()


CASES: list[tuple[str, list[str], dict[str, GgufHeader], str]] = [
    ("gguf-split-missing", NAMES[1:2], {}, NAMES[0]),
    ("gguf-split-name", [*NAMES, "K2-00004-of-00003.gguf"], {}, NAMES[0]),
    ("gguf-split-name", ["K2-00001-of-00000.gguf"], {}, "K2-00001-of-00000.gguf"),
    ("gguf-split-renamed", NAMES, headers(a=member(1, NAMES[0], split_no=1)), NAMES[0]),
    ("gguf-split-renamed", ["K2.gguf"], {"K2.gguf": member(1, "K2.gguf")}, "K2.gguf"),
    ("gguf-split-renamed", ["K2.gguf"], {"K2.gguf": member(1, "K2.gguf", split_no="x")}, "K2.gguf"),
    ("gguf-split-count", NAMES, headers(a=member(1, split_count=4)), NAMES[1]),
    ("gguf-split-keys", NAMES, headers(a=member(1, split_count=None)), NAMES[1]),
    ("gguf-split-keys", NAMES, headers(a=member(1, split_no=None)), NAMES[1]),
    ("gguf-split-tensors", NAMES, headers(a=member(1, split_tensors_count=4)), NAMES[0]),
    (
        "gguf-split-tensors",
        NAMES,
        {name: member(index, split_tensors_count=9) for index, name in enumerate(NAMES)},
        NAMES[0],
    ),
    ("gguf-split-duplicate", NAMES, headers(a=member(0, NAMES[2], split_no=2)), NAMES[2]),
    ("gguf-split-mixed", ["dir/K2-Q4.gguf", "dir/K2-Q8.gguf"], {}, "dir"),
]


@pytest.mark.parametrize(("code", "names", "read", "where"), CASES)
def test_each_defect_has_its_code_and_its_place(
    code: str, names: list[str], read: dict[str, GgufHeader], where: str
) -> None:
    found = {finding.code: finding for finding in check_gguf_sets(names, read)}
    assert code in found
    assert found[code].where.split(":")[0] == where


def test_every_split_code_is_tested() -> None:
    text = (Path(gguf_sets.__file__).parents[1] / "codes.toml").read_text(encoding="utf-8")
    assert {code for code in tomllib.loads(text) if code.startswith("gguf-split-")} == {
        case[0] for case in CASES
    }


def test_members_that_were_not_read_are_judged_by_name_only() -> None:
    unreadable = GgufHeader(NAMES[2])
    assert codes(NAMES, {NAMES[0]: member(0), NAMES[2]: unreadable}) == []


def test_a_whole_model_may_say_that_it_is_split_into_one() -> None:
    whole = member(0, "K2.gguf", split_count=1)
    assert codes(["K2.gguf"], {"K2.gguf": whole}) == []


def test_without_a_tensor_count_none_is_compared() -> None:
    read = {name: member(i, split_tensors_count=None) for i, name in enumerate(NAMES)}
    assert codes(NAMES, read) == []


def test_many_missing_files_are_counted_and_a_few_are_named() -> None:
    (finding,) = check_gguf_sets(["K2-00001-of-99999.gguf"])
    assert finding.count == 99_998
    assert finding.message.endswith("20, 21, …")


def test_names_are_shown_escaped() -> None:
    for finding in check_gguf_sets(["\x1b/a\n.gguf", "\x1b/b-00001-of-00002.gguf"]):
        assert all(str(shown).isprintable() for shown in finding.as_dict().values())
