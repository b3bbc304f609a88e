"""Every defect a safetensors header can have is found, named, and its place is said."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from k2compat.checkpoint.safetensors_files import header as safetensors_header
from k2compat.checkpoint.safetensors_files.header import (
    SafetensorsHeader,
    parse_safetensors,
    read_safetensors,
)
from k2compat.checkpoint.sources.source import OpenFile

HUGE = 1 << 70
NO_OFFSETS: list[Any] = [[], [0], [0, 32, 64], [-32, 0], [0.0, 32], ["0", 32], {}, [0, HUGE]]


def file(header: str | bytes, data: int = 0, length: int | None = None) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + bytes(data)


def entry(dtype: Any = "F32", shape: Any = (2, 4), offsets: Any = (0, 32), **more: Any) -> str:
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": offsets, **more})


def header(data: int = 32, /, **entries: str) -> bytes:
    return file("{" + ", ".join(f'"{name}": {text}' for name, text in entries.items()) + "}", data)


def parse(content: bytes) -> SafetensorsHeader:
    return parse_safetensors(content, path="x.safetensors", file_size=len(content))


class Case(NamedTuple):
    code: str
    content: bytes
    where: str


CASES = [
    Case("safetensors-length-missing", b"\2\0\0", ""),
    Case("safetensors-length-zero", bytes(16), "byte 0"),
    Case("safetensors-length-huge", b"GGUF\3\0\0\0" + bytes(16), "byte 0"),
    Case("safetensors-length-huge", file("{}", length=100_000_001), "byte 0"),
    Case("safetensors-header-truncated", file("{}", length=3), "byte 0"),
    Case("safetensors-utf8", file(b'{"\xff":{}}'), "byte 10"),
    Case("safetensors-json", file("{} x"), "character 3"),
    Case("safetensors-json", file('{"a":'), "character 5"),
    Case("safetensors-json", file("\ufeff{}"), "character 0"),
    Case("safetensors-json", file("    "), "character 4"),
    Case("safetensors-not-object", file("[1]"), "header"),
    Case("safetensors-not-object", file("NaN"), "header"),
    Case("safetensors-depth", file("[" * 200_000), "header"),
    Case("safetensors-depth", file('{"a":' * 200_000), "header"),
    Case("safetensors-count", file('{"a":[' + "[]," * 2_200_000 + "1]}"), "header"),
    Case("safetensors-count", file("{" + '"a":{},' * 600_000 + '"a":1}'), "header"),
    *(
        Case("safetensors-metadata", header(0, __metadata__=value), "__metadata__")
        for value in (
            "[]",
            "1",
            '{"a": "\\ud800"}',
            '{"a": 1}',
            '{"a": {"b": "c"}}',
            '{"a": "b", "a": "b"}',
        )
    ),
    Case("safetensors-truncated", header(31, t=entry()), "tensor t"),
    Case("safetensors-trailing-bytes", header(33, t=entry()), ""),
    Case("safetensors-trailing-bytes", file("{}", 1), ""),
    Case("safetensors-tensor-duplicate", file(f'{{"t": {entry()}, "t": {entry()}}}', 32), "header"),
    Case("safetensors-tensor-duplicate", file('{"__metadata__":{},"__metadata__":{}}'), "header"),
    Case("safetensors-name-control", header(**{"a\\n": entry()}), "tensor a\\n"),
    Case("safetensors-name-control", header(**{"\u202egnp": entry()}), "tensor \\u202egnp"),
    Case("safetensors-name-control", header(**{"\\ud800": entry()}), "tensor \\ud800"),
    Case("safetensors-entry", header(0, t="[1, {}, NaN, true, null]"), "tensor t"),
    Case("safetensors-field-missing", header(t='{"dtype": "F32", "shape": [8]}'), "tensor t"),
    Case("safetensors-field-missing", header(t="{}"), "tensor t"),
    Case("safetensors-field-unknown", header(t=entry(strides=[1])), "tensor t"),
    Case("safetensors-field-duplicate", header(t=entry()[:-1] + ', "dtype": "F32"}'), "tensor t"),
    Case("safetensors-dtype", header(t=entry("F31")), "tensor t"),
    Case("safetensors-dtype", header(t=entry(32)), "tensor t"),
    *(
        Case("safetensors-shape", header(t=entry(shape=shape)), "tensor t")
        for shape in (
            [-1, 8],
            [2.0, 4],
            ["2", 4],
            [True, 8],
            8,
            None,
            [HUGE],
            [float("nan")],
            [8, -0.0],
        )
    ),
    Case("safetensors-shape", header(t=entry(shape=[8]).replace("8", "8" * 5_000)), "tensor t"),
    Case("safetensors-shape", header(t=entry(shape=[8]).replace("8", "8e0")), "tensor t"),
    Case("safetensors-shape-overflow", header(t=entry(shape=[1 << 40] * 2)), "tensor t"),
    Case("safetensors-shape-overflow", header(t=entry(shape=[1 << 40, 1 << 40, 0])), "tensor t"),
    *(
        Case("safetensors-offsets", header(t=entry(offsets=offsets)), "tensor t")
        for offsets in NO_OFFSETS
    ),
    Case("safetensors-offsets-reversed", header(t=entry(offsets=[32, 0])), "tensor t"),
    Case("safetensors-offsets-size", header(t=entry(offsets=[0, 31])), "tensor t"),
    Case("safetensors-offsets-size", header(1, t=entry("F4", [3], [0, 1])), "tensor t"),
    Case("safetensors-overlap", header(a=entry(), b=entry(offsets=[16, 48])), "tensor b"),
    Case("safetensors-gap", header(64, t=entry(offsets=[32, 64])), "tensor t"),
    Case("safetensors-gap", header(68, a=entry(), b=entry(offsets=[36, 68])), "tensor b"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_each_defect_has_its_code_and_its_place(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(case.content)
    found = {finding.code: finding.where for finding in read_safetensors(path).findings}
    assert case.code in found, found
    assert found[case.code].startswith(str(path))
    assert case.where in found[case.code]


def test_every_safetensors_code_is_tested() -> None:
    text = (Path(safetensors_header.__file__).parents[1] / "codes.toml").read_text(encoding="utf-8")
    codes = {code for code in tomllib.loads(text) if code.startswith("safetensors-")}
    codes.remove("safetensors-reader-refuses")  # of --deep: test_validation_deep.py
    assert codes == {case.code for case in CASES}


def test_all_defects_come_in_one_pass() -> None:
    content = header(
        200,
        a=entry(dtype="X"),
        b=entry(offsets=[16, 48], more=1),
        c=entry(shape=[-1]),
        d=entry(offsets=[300, 200]),
        e=entry(offsets=[190, 222]),
        f="3",
    )
    found = parse(content)
    assert {finding.code for finding in found.findings} == {
        "safetensors-dtype",
        "safetensors-field-unknown",
        "safetensors-shape",
        "safetensors-offsets-reversed",
        "safetensors-entry",
        "safetensors-overlap",
        "safetensors-truncated",
    }
    assert found.malformed == ("c", "f")
    assert [tensor.name for tensor in found.tensors] == ["a", "b", "d", "e"]


def test_what_is_shown_is_printable() -> None:
    content = header(0, **{"\\u001b[2J": entry("\n", ["\u202e"], {}), "\\n": '"\\u0007"'})
    for finding in parse(content).findings:
        assert all(str(shown).isprintable() for shown in finding.as_dict().values()), finding


def test_a_shape_of_a_million_large_numbers_is_answered_at_once() -> None:
    content = header(t=entry(shape=[1 << 60] * 1_000_000))
    assert [finding.code for finding in parse(content).findings] == ["safetensors-shape-overflow"]


def test_no_more_than_the_limit_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as sparse:
        sparse.write((1 << 39).to_bytes(8, "little"))
        sparse.truncate(1 << 40)
    (finding,) = read_safetensors(path).findings
    assert finding.code == "safetensors-length-huge"


def test_a_file_that_cannot_be_opened_is_a_header_with_a_finding(tmp_path: Path) -> None:
    found = read_safetensors(tmp_path)
    assert [finding.code for finding in found.findings] == ["file-is-directory"]


def test_a_file_that_shrinks_while_it_is_read_is_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(header(t=entry()))
    read = OpenFile.read
    monkeypatch.setattr(
        OpenFile, "read", lambda file, start, length: read(file, start, min(length, 20))
    )
    (finding,) = read_safetensors(path).findings
    assert finding.code == "safetensors-header-truncated"
