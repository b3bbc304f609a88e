"""Every defect a GGUF header can have is found, named by its code, and its place is said."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from k2compat.checkpoint.gguf_files import cursor as gguf_walk
from k2compat.checkpoint.gguf_files import header as gguf
from k2compat.checkpoint.gguf_files.header import parse_gguf, read_gguf
from k2compat.checkpoint.sources.source import OpenFile
from tests.checkpoint.gguf_files.gguf_bytes import (
    ARRAY,
    BOOL,
    Q8_0,
    STRING,
    UINT8,
    UINT32,
    Bytes,
    Tensor,
)
from tests.checkpoint.gguf_files.gguf_cases import BROKEN

B = Bytes()
HUGE = 1 << 62


class Case(NamedTuple):
    code: str
    content: bytes
    where: str


def _nested(depth: int) -> bytes:
    value = B.array(UINT8, 0)
    for _ in range(depth - 1):
        value = B.array(ARRAY, 1, value)
    return value


CASES = [
    Case("gguf-magic", b"ggjt" + bytes(20), "byte 0"),
    Case("gguf-magic", b"GA", "byte 0"),
    Case("gguf-version", B.file(version=1), "byte 4"),
    Case("gguf-version", B.file(version=0), "byte 4"),
    Case("gguf-version", B.file(version=4), "byte 4"),
    Case("gguf-version", Bytes(">").file(version=9), "byte 4"),
    Case("gguf-byte-order", Bytes(">").file(), "byte 4"),
    Case("gguf-header-truncated", b"GG", "byte 0"),
    Case("gguf-header-truncated", b"GGUF", "byte 4"),
    Case("gguf-header-truncated", B.file()[:-1], "byte 16"),
    Case("gguf-header-truncated", B.file([B.key("k", UINT32, b"\0")]), "key k (byte 37)"),
    Case(
        "gguf-header-truncated",
        B.file([B.key("k", ARRAY, B.array(STRING, 2, B.string("a") + B.uint64(50)))]),
        "key k (byte 66)",
    ),
    Case(
        "gguf-header-truncated",
        B.file([B.key("k", ARRAY, B.array(STRING, 2, B.string("a")))]),
        "key k (byte 58)",
    ),
    Case("gguf-header-truncated", B.file(tensors=[Tensor("t" * 60)])[:60], "tensor 0 (byte 32)"),
    Case("gguf-count", B.file(key_count=HUGE), "header"),
    Case("gguf-count", B.file(tensor_count=HUGE), "header"),
    Case("gguf-count", B.file([B.key("k", ARRAY, B.array(STRING, HUGE))]), "key k (byte 37)"),
    Case("gguf-length", B.file([B.uint64(HUGE) + bytes(20)]), "key 0 (byte 24)"),
    Case("gguf-length", B.file([B.key("k", STRING, B.uint64(HUGE))]), "key k (byte 37)"),
    Case(
        "gguf-length",
        B.file([B.key("k", ARRAY, B.array(STRING, 2, B.string("a") + B.uint64(HUGE)))]),
        "key k (byte 58)",
    ),
    Case(
        "gguf-length",
        B.file([B.key("k", ARRAY, B.array(STRING, 2, B.uint64(HUGE) + B.string("a")))]),
        "key k (byte 49)",
    ),
    Case(
        "gguf-length",
        B.file([B.key("k", ARRAY, B.array(STRING, 2, B.uint64(2**64 - 1) + B.string("a")))]),
        "key k (byte 49)",
    ),
    Case("gguf-trailing-bytes", B.file(tensors=[Tensor("t")], data=129), ""),
    Case("gguf-value-type", B.file([B.key("k", 13, b"")]), "key k (byte 33)"),
    Case("gguf-value-type", B.file([B.key("k", ARRAY, B.array(99, 0))]), "key k (byte 37)"),
    Case("gguf-key-duplicate", B.file([B.key("k", UINT8, b"\1")] * 2), "key k"),
    Case("gguf-value-utf8", B.file([B.key("k", STRING, B.string(b"a\xff"))]), "key k (byte 37)"),
    Case("gguf-bool", B.file([B.key("k", BOOL, b"\2")]), "key k"),
    Case("gguf-bool", B.file([B.key("k", ARRAY, B.array(BOOL, 3, b"\0\1\2"))]), "key k"),
    Case("gguf-array-nested", B.file([B.key("k", ARRAY, _nested(2))]), "key k (byte 49)"),
    Case("gguf-array-depth", B.file([B.key("k", ARRAY, _nested(9))]), "key k (byte 133)"),
    Case("gguf-array-depth", B.file([B.key("k", ARRAY, _nested(2_000))]), "key k (byte 133)"),
    *(
        Case("gguf-alignment", B.file([B.key("general.alignment", *value)]), "general.alignment")
        for value in (
            (UINT32, B.uint32(0)),
            (UINT32, B.uint32(4)),
            (UINT32, B.uint32(48)),
            (UINT8, b"\x20"),
            (STRING, B.string("32")),
        )
    ),
    Case("gguf-name-length", B.file([B.key("", UINT8, b"\1")]), "key 0"),
    Case("gguf-name-length", B.file([B.key("k" * 65_536, UINT8, b"\1")]), "key 0"),
    Case("gguf-name-length", B.file(tensors=[Tensor("t" * 64)], data=128), "tensor 0"),
    Case("gguf-name-utf8", B.file([B.key(b"\xff", UINT8, b"\1")]), "key 0"),
    Case("gguf-name-utf8", B.file(tensors=[Tensor(b"\xff")], data=128), "tensor 0"),
    Case("gguf-name-control", B.file([B.key("a\nb", UINT8, b"\1")]), "key 0"),
    Case("gguf-name-control", B.file(tensors=[Tensor("\x1b[2J")], data=128), "tensor 0"),
    Case(
        "gguf-tensor-duplicate",
        B.file(tensors=[Tensor("t"), Tensor("t", offset=128)], data=256),
        "tensor t",
    ),
    Case("gguf-tensor-dimensions", B.file(tensors=[Tensor("t", [1] * 5)], data=32), "tensor t"),
    Case("gguf-tensor-dimensions", B.file(tensors=[Tensor("t", [1] * 65)], data=32), "tensor t"),
    Case("gguf-tensor-type", B.file(tensors=[Tensor("t", type_id=4)], data=32), "tensor t"),
    Case(
        "gguf-needs-ik-llama", B.file(tensors=[Tensor("t", [256, 4], 144)], data=1024), "model.gguf"
    ),
    Case("gguf-needs-ik-llama", B.file(tensors=[Tensor("t", [32], 133)], data=32), "model.gguf"),
    Case("gguf-tensor-row", B.file(tensors=[Tensor("t", [33], Q8_0)], data=64), "tensor t"),
    Case("gguf-dimension-zero", B.file(tensors=[Tensor("t", [8, 0])]), "tensor t"),
    Case("gguf-dimension-overflow", B.file(tensors=[Tensor("t", [1 << 40] * 2)]), "tensor t"),
    Case("gguf-dimension-overflow", B.file(tensors=[Tensor("t", [2**64 - 1, 0])]), "tensor t"),
    Case("gguf-tensor-unaligned", B.file(tensors=[Tensor("t", offset=4)], data=132), "tensor t"),
    Case(
        "gguf-tensor-overlap",
        B.file(tensors=[Tensor("a"), Tensor("b", offset=96)], data=224),
        "tensor b",
    ),
    Case(
        "gguf-tensor-overlap",
        B.file(
            tensors=[Tensor("a", [64]), Tensor("b", [8]), Tensor("c", [8], offset=64)], data=256
        ),
        "tensor c",
    ),
    Case("gguf-tensor-gap", B.file(tensors=[Tensor("t", offset=32)], data=160), "tensor t"),
    Case(
        "gguf-tensor-order",
        B.file(tensors=[Tensor("a", offset=128), Tensor("b")], data=256),
        "tensor b",
    ),
    Case("gguf-data-truncated", B.file(tensors=[Tensor("t")], data=127), "tensor t"),
    Case("gguf-data-truncated", B.file(tensors=[Tensor("t")])[:-1], "tensor t"),
    Case("gguf-data-truncated", B.file(tensors=[Tensor("t", type_id=4, offset=32)]), "tensor t"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_each_defect_has_its_code_and_its_place(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(case.content)
    found = {finding.code: finding.where for finding in read_gguf(path).findings}
    assert case.code in found, found
    assert found[case.code].startswith(str(path))
    assert case.where in found[case.code]


IN_COMPARISON = {"gguf-architecture-other", "gguf-config-size", "gguf-config-value"}
OF_SEVERAL_FILES = {"gguf-parts", "gguf-joined-set"}  # tests/checkpoint/sources/test_parts.py


def test_every_gguf_code_is_tested() -> None:
    text = (Path(gguf.__file__).parents[1] / "codes.toml").read_text(encoding="utf-8")
    codes = {code for code in tomllib.loads(text) if code.startswith("gguf-")}
    elsewhere = {"gguf-header-size"} | {code for code in codes if code.startswith("gguf-split-")}
    in_models = {case.code for case in BROKEN} | IN_COMPARISON
    assert codes - elsewhere - in_models - OF_SEVERAL_FILES == {case.code for case in CASES}


def test_all_defects_come_in_one_pass() -> None:
    content = B.file(
        [
            B.key("k", BOOL, b"\2"),
            B.key("k", UINT8, b"\1"),
            B.key("a\tb", STRING, B.string(b"\xff")),
        ],
        [Tensor("t"), Tensor("t", [33], Q8_0, 4), Tensor("u", [0], 4, 1 << 20)],
    )
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert {finding.code for finding in header.findings} == {
        "gguf-bool",
        "gguf-key-duplicate",
        "gguf-name-control",
        "gguf-value-utf8",
        "gguf-tensor-duplicate",
        "gguf-tensor-row",
        "gguf-dimension-zero",
        "gguf-tensor-type",
        "gguf-tensor-unaligned",
        "gguf-tensor-overlap",
        "gguf-data-truncated",
    }


def test_control_characters_are_escaped_wherever_they_are_shown() -> None:
    content = B.file([B.key("\x1b[31m\n", UINT8, b"\1")], [Tensor("\u202egnp", [0])])
    header = parse_gguf(content, path="dir\n/x.gguf", file_size=len(content))
    assert header is not None
    assert list(header.metadata) == ["\x1b[31m\n"]
    for finding in header.findings:
        assert all(str(shown).isprintable() for shown in finding.as_dict().values()), finding


def test_metadata_read_before_the_damage_is_kept() -> None:
    content = B.file([B.key("general.name", STRING, B.string("K2"))], tensor_count=HUGE)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert header.metadata == {"general.name": "K2"}
    assert header.tensor_count == HUGE
    assert header.tensors == ()


def test_a_gap_is_not_reported_after_a_tensor_of_unknown_size() -> None:
    tensors = [Tensor("a", type_id=4), Tensor("b", offset=640)]
    content = B.file(tensors=tensors, data=768)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert [finding.code for finding in header.findings] == ["gguf-tensor-type"]
    assert [tensor.end for tensor in header.tensors] == [None, len(content)]


@pytest.mark.parametrize(
    ("limit", "code", "content"),
    [
        ("KEYS_MAX", "gguf-count", B.file([B.key("k", UINT8, b"\1"), B.key("l", UINT8, b"\1")])),
        ("TENSORS_MAX", "gguf-count", B.file(tensors=[Tensor("a", [0]), Tensor("b", [0])])),
    ],
)
def test_counts_the_file_could_hold_are_bounded_too(
    limit: str, code: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, limit, 1)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert [finding.code for finding in header.findings] == [code]


def test_nested_arrays_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_walk, "NESTED_ARRAYS_MAX", 3)
    content = B.file([B.key("k", ARRAY, B.array(ARRAY, 4, B.array(UINT8, 0) * 4))])
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert [finding.code for finding in header.findings] == ["gguf-array-depth"]


def test_a_header_beyond_the_limit_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "HEADER_BYTES_MAX", 64)
    path = tmp_path / "model.gguf"
    path.write_bytes(B.file([B.key("k", STRING, B.string("x" * 40))]))
    (finding,) = read_gguf(path).findings
    assert finding.code == "gguf-header-size"


def test_a_sparse_terabyte_of_zeros_is_answered_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(B.file([B.key("k", ARRAY, B.array(STRING, 1 << 20))]))
        file.truncate(1 << 40)
    # The array's strings are the zeros that follow; then the file claims nothing more.
    header = read_gguf(path)
    assert header.file_size == 1 << 40
    assert header.findings == ()


def test_findings_of_one_code_are_bounded() -> None:
    tensors = [Tensor(f"t{number}", [0]) for number in range(1_500)]
    content = B.file(tensors=tensors)
    header = parse_gguf(content, path="x.gguf", file_size=len(content))
    assert header is not None
    assert len(header.findings) == 1_001
    assert header.findings[-1].count == 500
    assert sum(finding.count for finding in header.findings) == 1_500


def _shrinking(read: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda file, start, length: read(file, start, length)[:30]


def test_a_file_that_shrinks_while_it_is_read_is_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(B.file([B.key("k", STRING, B.string("x" * 40))]))
    monkeypatch.setattr(OpenFile, "read", _shrinking(OpenFile.read))
    (finding,) = read_gguf(path).findings
    assert finding.code == "gguf-header-truncated"


def test_a_file_that_cannot_be_opened_is_a_header_with_a_finding(tmp_path: Path) -> None:
    header = read_gguf(tmp_path / "absent.gguf")
    assert (header.path, header.version) == (str(tmp_path / "absent.gguf"), 0)
    assert [finding.code for finding in header.findings] == ["file-missing"]
