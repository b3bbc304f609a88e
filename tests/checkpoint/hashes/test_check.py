"""Files that a real client downloaded, then damaged in each way."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest

from k2compat.checkpoint import HashCheck, HashOutcome, check_hashes, open_checkpoint, plan_hashes
from k2compat.checkpoint.hashes import check as check_module
from k2compat.checkpoint.hashes import hashing, plan
from k2compat.checkpoint.hashes.check import core_count
from k2compat.checkpoint.hashes.findings import download_command
from k2compat.checkpoint.hashes.known import LISTING, KnownHash
from k2compat.errors import HubError, RefusedError
from k2compat.hub import SHA256, Digest, HubRepo
from tests.support.hub_client import REPO, repo_files
from tests.support.hub_endpoint import Hub

FILES = repo_files()
SHARD = "model-1-of-3.safetensors"
SHARDS = [name for name in FILES if name.endswith(".safetensors")]


@pytest.fixture
def commit(hub: Hub) -> str:
    return hub.commit(REPO, FILES)


@pytest.fixture(params=["cache", "local"])
def folder(
    request: pytest.FixtureRequest, commit: str, client: Path, tmp_path: Path
) -> Iterator[Path]:
    """A repo as each of the two ways of downloading leaves it."""
    if request.param == "cache":
        yield Path(huggingface_hub.snapshot_download(REPO))
    else:
        yield local(tmp_path)


def local(tmp_path: Path) -> Path:
    huggingface_hub.snapshot_download(REPO, local_dir=tmp_path / "local")
    return tmp_path / "local"


def checked(folder: Path | str, **options: object) -> HashCheck:
    return check_hashes(plan_hashes(folder, **options))  # type: ignore[arg-type]


def outcomes(check: HashCheck) -> dict[str, HashOutcome]:
    return {file.relative: file.outcome for file in check.files}


def flip(path: Path, *, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.resolve().write_bytes(content)


def codes(check: HashCheck) -> list[str]:
    return [finding.code for finding in check.findings]


def test_a_download_matches(folder: Path) -> None:
    check = checked(folder)
    assert outcomes(check) == dict.fromkeys(sorted(FILES), HashOutcome.MATCHES)
    assert (check.findings, check.not_checked) == ((), ())
    assert check.matching == len(FILES)
    assert check.hashed_bytes == sum(map(len, FILES.values()))


@pytest.mark.sample(5)
@pytest.mark.parametrize("name", [*SHARDS, "tiktoken.model", "tokenization_kimi.py", "LICENSE"])
@pytest.mark.parametrize("at", [0, -1])
def test_one_bit_is_found_in_whatever_file(folder: Path, name: str, at: int) -> None:
    flip(folder / name, at=at)
    check = checked(folder)
    (finding,) = check.findings
    assert (finding.code, finding.where) == ("hash-differs", f"{folder}/{name}")
    assert {path for path, outcome in outcomes(check).items() if outcome != "matches"} == {name}


def test_a_file_that_was_cut_or_continued_differs(folder: Path) -> None:
    with (folder / SHARD).resolve().open("ab") as file:
        file.write(b"\0")
    (folder / "LICENSE").resolve().write_bytes(b"")
    assert codes(checked(folder)) == ["hash-differs", "hash-differs"]


def test_a_config_that_was_edited_later_is_a_warning(
    commit: str, client: Path, tmp_path: Path
) -> None:
    folder = local(tmp_path)
    later = time.time() + 100
    for name in ("config.json", SHARD, "tokenization_kimi.py"):
        flip(folder / name)
        os.utime(folder / name, (later, later))
    found = {finding.where.rpartition("/")[2]: finding for finding in checked(folder).findings}
    assert {name: finding.code for name, finding in found.items()} == {
        "config.json": "hash-edited",
        SHARD: "hash-differs",
        "tokenization_kimi.py": "hash-differs",
    }
    assert "ORG/REPO" in str(found[SHARD].fix)


def test_what_no_download_left_is_counted(folder: Path) -> None:
    (folder / "notes.txt").write_bytes(b"mine")
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_bytes(b"git's")
    check = checked(folder)
    assert check.not_checked == ("notes.txt",)
    (finding,) = check.findings
    assert (finding.code, finding.items) == ("hash-unknown", ("notes.txt",))


def test_where_nothing_is_known_nothing_is_called_compared(tmp_path: Path) -> None:
    (tmp_path / SHARD).write_bytes(FILES[SHARD])
    check = checked(tmp_path)
    assert (codes(check), check.files, check.matching) == (["hash-none-known"], (), 0)


def test_the_listing_of_a_repo_counts_first(
    hub: Hub, commit: str, client: Path, tmp_path: Path
) -> None:
    folder = local(tmp_path)
    newer = hub.commit(REPO, {**FILES, SHARD: b"newer", "new.json": b"{}", "LICENSE": b"new"})
    check = checked(folder, repo=HubRepo(REPO))
    assert [finding.code for finding in check.findings] == [
        "hash-other-version",
        "hash-other-version",
        "hash-file-absent",
    ]
    (absent,) = (one for one in check.findings if one.code == "hash-file-absent")
    assert absent.items == ("new.json",)
    other = next(one for one in check.findings if one.where.endswith(SHARD))
    assert newer in other.message
    assert other.fix == f"k2compat validate {folder} --hash-repo hf://{REPO}@{commit}"
    assert codes(checked(folder, repo=HubRepo(REPO, commit))) == []


def test_a_plain_copy_is_held_against_the_listing(
    hub: Hub, commit: str, client: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert codes(checked(folder, repo=HubRepo(REPO))) == []
    flip(folder / SHARD)
    (folder / "LICENSE").write_bytes(b"longer than it was, by some bytes")
    (folder / "README.md").write_bytes(b"")
    found = {
        finding.where.rpartition("/")[2]: finding
        for finding in checked(folder, repo=HubRepo(REPO)).findings
    }
    assert "other bytes" in found[SHARD].message
    assert "more than hf://" in found["LICENSE"].message
    fix = f"hf download {REPO} {SHARD} --revision {commit} --local-dir {folder} --force-download"
    assert found[SHARD].fix == fix
    (folder / "LICENSE").write_bytes(b"")
    again = checked(folder, repo=HubRepo(REPO))
    assert any("fewer than hf://" in finding.message for finding in again.findings)


GGUFS = {f"{q}/K2-{n}.gguf": f"{q} {n}".encode() for q in ("Q2", "Q4") for n in (1, 2)}


@pytest.mark.parametrize("quantisation", ["Q2", "Q4"])
def test_a_folder_below_the_repo_s_is_found_in_the_listing(
    hub: Hub, client: Path, tmp_path: Path, quantisation: str
) -> None:
    hub.commit(REPO, GGUFS | {"config.json": b"{}"})
    folder = tmp_path / quantisation
    folder.mkdir()
    for name, content in GGUFS.items():
        if name.startswith(quantisation):
            (tmp_path / name).write_bytes(content)
    (folder / "config.json").write_bytes(b"mine")
    # Both quantisations have files of these names: which is meant, the folder's name does not say.
    both = checked(folder, repo=HubRepo(REPO))
    assert both.not_checked == ("K2-1.gguf", "K2-2.gguf")
    hub.commit(REPO, {name: body for name, body in GGUFS.items() if quantisation in name})
    one = checked(folder, repo=HubRepo(REPO))
    assert (one.matching, one.not_checked) == (2, ("config.json",))
    flip(folder / "K2-1.gguf")
    (finding, _) = checked(folder, repo=HubRepo(REPO)).findings
    assert f" {quantisation}/K2-1.gguf " in str(finding.fix)
    assert f"--local-dir {tmp_path} " in str(finding.fix)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    (finding, _) = checked(elsewhere, repo=HubRepo(REPO)).findings
    assert "--local-dir" not in str(finding.fix)


def test_one_file_is_checked_alone(folder: Path) -> None:
    assert outcomes(checked(folder / SHARD)) == {SHARD: HashOutcome.MATCHES}


def test_a_repo_stands_for_its_files_in_the_cache(
    hub: Hub, commit: str, client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedError) as refusal:
        plan_hashes(f"hf://{REPO}")
    assert refusal.value.code == "hash-needs-files"
    snapshot = Path(huggingface_hub.snapshot_download(REPO, allow_patterns=[SHARD]))
    flip(snapshot / SHARD)
    check = checked(f"hf://{REPO}")
    assert [finding.code for finding in check.findings] == ["hash-differs", "hash-file-absent"]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(plan, "is_offline", lambda: True)
    with pytest.raises(HubError):  # the snapshot is not whole
        plan_hashes(f"hf://{REPO}")


def test_a_repo_on_modelscope_has_no_cache_here(monkeypatch: pytest.MonkeyPatch) -> None:
    class Remote:
        name = "ms://org/name"
        digests: dict[str, object] = {}  # noqa: RUF012
        sizes: dict[str, int] = {}  # noqa: RUF012

    monkeypatch.setattr(plan, "list_repo", lambda _: Remote())
    with pytest.raises(RefusedError) as refusal:
        plan_hashes("ms://org/name")
    assert refusal.value.hint.startswith("modelscope download --model org/name ")


def test_a_source_in_place_has_no_files(hub: Hub, commit: str, client: Path) -> None:
    with open_checkpoint(f"hf://{REPO}") as checkpoint, pytest.raises(RefusedError) as refusal:
        plan_hashes(checkpoint.source)
    assert refusal.value.code == "hash-needs-files"


def test_what_cannot_be_read_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = folder / SHARD
    (folder / "LICENSE").resolve().unlink()
    os.mkfifo((folder / "LICENSE").resolve())
    read = os.readv

    def bad_disk(descriptor: int, pieces: list[memoryview]) -> int:
        if os.path.samestat(os.fstat(descriptor), real.stat()):
            raise OSError(5, "Input/output error")
        return read(descriptor, pieces)

    monkeypatch.setattr(os, "readv", bad_disk)
    check = checked(folder)
    assert codes(check) == ["file-unreadable", "file-unreadable"]
    assert check.matching == len(FILES) - 2


def changed_by(
    monkeypatch: pytest.MonkeyPatch, path: Path, change: Callable[[Path], object]
) -> None:
    """Have a file changed once, after its first bytes were read."""
    read, todo = os.readv, [change]

    def readv(descriptor: int, pieces: list[memoryview]) -> int:
        count = read(descriptor, pieces)
        if todo and os.path.samestat(os.fstat(descriptor), path.stat()):
            todo.pop()(path.resolve())
        return count

    monkeypatch.setattr(os, "readv", readv)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more" * 1000)


@pytest.mark.parametrize("change", [append, flip, lambda path: os.truncate(path, 10)])
def test_a_file_that_changes_while_it_is_read_is_no_match(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    changed_by(monkeypatch, folder / SHARD, change)
    check = checked(folder, record=tmp_path / "record")
    assert codes(check) == ["hash-changed-meanwhile"]
    assert SHARD.encode() not in (tmp_path / "record").read_bytes()


def test_the_record_spares_what_was_hashed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    first = checked(folder, record=record)
    assert not any(file.from_record for file in first.files)
    with monkeypatch.context() as patch:
        patch.setattr(check_module, "hash_file", lambda *_: pytest.fail("was hashed again"))
        again = checked(folder, record=record)
    assert all(file.from_record for file in again.files)
    assert outcomes(again) == outcomes(first)
    times = (folder / SHARD).stat()
    flip(folder / SHARD)
    os.utime(folder / SHARD, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` leaves it
    third = checked(folder, record=record)
    assert {file.relative for file in third.files if not file.from_record} == {SHARD}
    assert codes(third) == ["hash-differs"]
    # The record keeps what was found, not that it was right.
    assert codes(checked(folder, record=record)) == ["hash-differs"]


def test_the_record_of_another_folder_is_not_trusted(
    folder: Path, tmp_path: Path, commit: str, client: Path
) -> None:
    checked(folder, record=tmp_path / "record")
    other = tmp_path / "other"
    huggingface_hub.snapshot_download(REPO, local_dir=other)
    flip(other / SHARD)
    check = checked(other, record=tmp_path / "record")
    assert not any(file.from_record for file in check.files)
    assert codes(check) == ["hash-differs"]


def test_no_record_lies_in_the_cache_s_entry(commit: str, client: Path) -> None:
    snapshot = Path(huggingface_hub.snapshot_download(REPO))
    for place in (snapshot / "record", snapshot.parents[1] / "blobs" / "record"):
        with pytest.raises(RefusedError) as refusal:
            plan_hashes(snapshot, record=place)
        assert refusal.value.code == "hash-record-inside"


def test_a_record_that_is_lost_meanwhile_is_a_warning(folder: Path, tmp_path: Path) -> None:
    planned = plan_hashes(folder, record=tmp_path / "record")
    (tmp_path / "record").write_bytes(b"another program's")
    check = check_hashes(planned)
    assert codes(check) == ["hash-record-failed"]
    assert check.matching == len(FILES)
    assert (tmp_path / "record").read_bytes() == b"another program's"


@pytest.mark.parametrize("with_record", [True, False])
def test_an_interruption_keeps_the_record(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_record: bool
) -> None:
    """Ctrl-C after the first file: the run ends at once, with what was done in the record."""
    started = threading.Event()
    hash_file, threads = hashing.hash_file, threading.active_count()

    def slow(path: Path, *others: object) -> object:
        if started.is_set():
            others[-1].wait(60)  # type: ignore[attr-defined]
        result = hash_file(path, *others)  # type: ignore[arg-type]
        started.set()
        return result

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "hash_file", slow)
    record = tmp_path / "record"
    planned = plan_hashes(folder, record=record if with_record else None)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        check_hashes(planned, threads=1, progress=interrupt)
    assert time.monotonic() - begin < 30
    assert threading.active_count() == threads
    if with_record:
        monkeypatch.undo()
        check = checked(folder, record=record)
        largest = max(FILES, key=lambda name: len(FILES[name]))
        assert [file.relative for file in check.files if file.from_record] == [largest]


def test_progress_counts_the_bytes(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_hashes(plan_hashes(folder), progress=lambda *counts: seen.append(counts))
    total = sum(map(len, FILES.values()))
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_there_is_a_core() -> None:
    assert core_count() >= 1


def test_a_folder_of_nothing_is_nothing(tmp_path: Path) -> None:
    check = checked(tmp_path)
    assert (check.files, check.findings) == ((), ())


@pytest.mark.parametrize("folder", [None, Path("/models/K2")])
def test_the_command_for_modelscope(folder: Path | None) -> None:
    known = KnownHash(
        Digest(SHA256, "a" * 64), LISTING, "there", path="x/w", repo="ms://org/name", folder=folder
    )
    where = " --local_dir /models/K2" if folder else ""
    assert download_command((known,), "w") == f"modelscope download --model org/name x/w{where}"
