"""The record: what it is trusted with, and where it may lie."""

import json
import os
from pathlib import Path

import pytest

from k2compat.checkpoint.hashes import record as record_module
from k2compat.checkpoint.hashes.record import FileState, HashRecord, open_record
from k2compat.errors import RefusedError, WriteError
from k2compat.hub import SHA256

STATE = FileState(size=3, mtime_ns=1, ctime_ns=2, inode=4)
DIGESTS = {SHA256: "a" * 64}


def opened(path: Path, folder: Path) -> HashRecord:
    return open_record(path, folder, frozenset({folder}))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


def test_what_was_noted_is_found_by_the_next_run(tmp_path: Path, model: Path) -> None:
    first = opened(tmp_path / "record", model)
    first.add("a\udcff.safetensors", STATE, DIGESTS)
    assert first.save() is None
    again = opened(tmp_path / "record", model)
    assert again.path == tmp_path / "record"
    assert again.find("a\udcff.safetensors", STATE, SHA256) == "a" * 64
    assert again.find("a\udcff.safetensors", STATE, "git blob id") is None
    assert again.find("b.safetensors", STATE, SHA256) is None


@pytest.mark.parametrize("member", FileState.__struct_fields__)
def test_a_file_in_another_state_is_not_known(tmp_path: Path, model: Path, member: str) -> None:
    record = opened(tmp_path / "record", model)
    record.add("a", STATE, DIGESTS)
    values = {name: getattr(STATE, name) for name in FileState.__struct_fields__}
    other = FileState(**{**values, member: values[member] + 1})
    assert record.find("a", other, SHA256) is None


def test_each_folder_has_its_own_entries(tmp_path: Path, model: Path) -> None:
    first = opened(tmp_path / "record", model)
    first.add("a", STATE, DIGESTS)
    other = tmp_path / "other"
    other.mkdir()
    second = opened(tmp_path / "record", other)
    assert second.find("a", STATE, SHA256) is None
    second.add("b", STATE, DIGESTS)
    assert (first.save(), second.save()) == (None, None)
    document = json.loads((tmp_path / "record").read_bytes())
    assert document["schema"] == "k2compat.hash-record/1"
    assert {folder: list(entries) for folder, entries in document["folders"].items()} == {
        str(model): ["a"],
        str(other): ["b"],
    }


def test_writes_are_not_more_frequent_than_need_be(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = opened(tmp_path / "record", model)
    record.add("a", STATE, DIGESTS)
    record.save_at_times()
    assert b'"a"' not in (tmp_path / "record").read_bytes()
    monkeypatch.setattr(record_module, "SECONDS_BETWEEN_WRITES", 0.0)
    record.save_at_times()
    assert b'"a"' in (tmp_path / "record").read_bytes()
    written = (tmp_path / "record").stat()
    assert record.save() is None
    assert (tmp_path / "record").stat().st_ino == written.st_ino


@pytest.mark.parametrize("place", ["model/record", "model/below/record", "link/record"])
def test_no_record_lies_in_the_model_s_folder(tmp_path: Path, model: Path, place: str) -> None:
    (model / "below").mkdir()
    (tmp_path / "link").symlink_to(model)
    with pytest.raises(RefusedError) as refusal:
        opened(tmp_path / place, model)
    assert refusal.value.code == "hash-record-inside"
    assert sorted(model.rglob("*")) == [model / "below"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"schema": "k2compat.hash-record/2", "folders": {}}',
        b'{"schema": "k2compat.hash-record/1", "folders": {"/m": {"a": {"size": "3"}}}}',
        b'{"schema": "k2compat.hash-record/1", "folders": ' + b"[" * 100_000,
        b"\xff",
    ],
)
def test_another_file_is_not_replaced(tmp_path: Path, model: Path, content: bytes) -> None:
    path = tmp_path / "record"
    path.write_bytes(content)
    with pytest.raises(RefusedError) as refusal:
        opened(path, model)
    assert refusal.value.code == "hash-record-foreign"
    assert path.read_bytes() == content


def test_neither_is_what_is_no_regular_file(tmp_path: Path, model: Path) -> None:
    os.mkfifo(tmp_path / "record")
    with pytest.raises(RefusedError) as refusal:
        opened(tmp_path / "record", model)
    assert refusal.value.code == "not-readable"


def test_a_record_that_cannot_be_written_is_refused_before_the_work(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError) as refusal:
        opened(tmp_path / "absent" / "record", model)
    assert refusal.value.code == "not-found"

    def full(*_: object, **__: object) -> None:
        raise WriteError("no-space", "The disk is full.", hint="Free some space.")

    monkeypatch.setattr(record_module, "write_bundle", full)
    with pytest.raises(WriteError):
        opened(tmp_path / "record", model)


def test_a_write_that_fails_later_is_returned(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = opened(tmp_path / "record", model)
    record.add("a", STATE, DIGESTS)
    (tmp_path / "record").write_bytes(b"another program's")
    failure = record.save()
    assert failure is not None
    assert failure.code == "hash-record-foreign"
    (tmp_path / "record").unlink()
    assert record.save() is None
