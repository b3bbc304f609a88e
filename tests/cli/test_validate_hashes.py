"""k2compat validate --hash as its users run it: `hf download`, damage, the printed cure."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.amount import only_in_test_all
from tests.support.command import ENVIRONMENT, PROGRAM, Result, k2compat
from tests.support.hub_client import REPO, client_environment, repo_files
from tests.support.hub_endpoint import Hub

Command = Callable[..., Result]
FILES = repo_files()
SHARD = "model-2-of-3.safetensors"
HF = str(Path(sys.executable).with_name("hf"))


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    hub.commit(REPO, FILES)
    return client_environment(hub, tmp_path / "cache")


def download(environment: dict[str, str], *options: str | Path) -> Path:
    """What `hf download` prints: where the repo is."""
    done = subprocess.run(
        [HF, "download", REPO, "--quiet", *options],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Path(done.stdout.strip().splitlines()[-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(content)


@pytest.mark.parametrize("layout", ["cache", "local"])
def test_a_bit_is_found_and_the_printed_command_cures_it(
    environment: dict[str, str], tmp_path: Path, layout: str
) -> None:
    local = tmp_path / "a model's; folder"
    folder = download(environment, *(("--local-dir", local) if layout == "local" else ()))
    sound = k2compat("validate", folder, "--hash", environment=environment)
    assert (sound.code, b"17 as known" in sound.out) == (0, True)
    assert b"Not checked" not in sound.out
    flip(folder / SHARD)
    damaged = k2compat("validate", folder, "--hash", environment=environment)
    assert damaged.code == 1
    assert f"{folder}/{SHARD} has other bytes" in damaged.words
    assert "[hash-differs]" in damaged.words
    fix = re.search(r"fix: .*?(hf download .*)", damaged.words)
    assert fix is not None
    line = fix[1].replace("ORG/REPO", REPO)
    subprocess.run(
        ["bash", "-c", f"{shlex.quote(HF)} {line.removeprefix('hf ')}"],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert k2compat("validate", folder, "--hash", environment=environment).code == 0


def test_the_document_has_a_result_for_each_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = download(environment, "--local-dir", tmp_path / "local")
    (folder / "notes.txt").write_text("mine")
    flip(folder / SHARD)
    record = tmp_path / "record.json"
    first = k2compat("validate", folder, "--hash-record", record, "--json")
    assert first.code == 1
    hashes = first.document["hashes"]
    assert (hashes["matching"], hashes["not_checked"]) == (len(FILES) - 1, ["notes.txt"])
    assert hashes["bytes"] == sum(map(len, FILES.values()))
    (shard,) = (file for file in hashes["files"] if file["path"] == SHARD)
    assert shard["actual"] != shard["expected"]
    assert {key: value for key, value in shard.items() if key not in ("actual", "expected")} == {
        "path": SHARD,
        "bytes": len(FILES[SHARD]),
        "result": "differs",
        "kind": "sha256",
        "known_from": "download",
        "from_record": False,
    }
    assert "the bytes of 1 file: no hash is known" in first.document["not_checked"]
    again = k2compat("validate", folder, "--hash", "--hash-record", record)
    assert "(17 of them from the record)" in again.out.decode()
    assert again.code == 1


def test_without_the_option_the_document_is_as_it_was(
    environment: dict[str, str], command: Command, tmp_path: Path
) -> None:
    folder = download(environment, "--local-dir", tmp_path / "local")
    assert "hashes" not in command("validate", folder, "--json").document


def test_refusals_come_before_the_work(
    hub: Hub, client: Path, command: Command, tmp_path: Path
) -> None:
    hub.commit(REPO, FILES)
    (tmp_path / SHARD).write_bytes(FILES[SHARD])
    for arguments, code in (
        (("validate", tmp_path, "--hash-record", tmp_path / "record"), "hash-record-inside"),
        (("validate", tmp_path, "--hash-repo", "org/name"), "hub-url-malformed"),
        (("validate", f"hf://{REPO}", "--hash-repo", f"hf://{REPO}"), "wrong-usage"),
        (("validate", f"hf://{REPO}", "--hash"), "hash-needs-files"),
        (("validate", tmp_path, "--hash-threads", "0"), "wrong-usage"),
    ):
        result = command(*arguments)
        assert (result.code, f"[{code}]" in result.words) == (2, True), arguments
    assert list(tmp_path.glob("record*")) == []


@only_in_test_all
def test_a_terminal_sees_bytes_done_of_all(environment: dict[str, str], tmp_path: Path) -> None:
    folder = download(environment, "--local-dir", tmp_path / "local")
    begin = (
        "from k2compat.cli import progress; progress.PATIENCE_SECONDS = -1.0; "
        "from k2compat.cli.start import main; main()"
    )
    ours, theirs = os.openpty()
    subprocess.run(
        [sys.executable, "-c", begin, "validate", folder, "--hash"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**ENVIRONMENT, **environment, "TERM": "xterm", "COLUMNS": "120"},
        check=True,
    )
    os.close(theirs)
    shown = b""
    while part := read(ours):
        shown += part
    os.close(ours)
    assert b"hashing" in shown
    assert b"MB" in shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@only_in_test_all
def test_ctrl_c_keeps_the_record(tmp_path: Path) -> None:
    """A small file and one that takes long; the second run hashes only the latter."""
    folder, record = tmp_path / "model", tmp_path / "record"
    metadata = folder / ".cache" / "huggingface" / "download"
    metadata.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(200 << 30)  # sparse: no disk is used, and hashing takes minutes
    for name in (SHARD, "large.bin"):
        (metadata / f"{name}.metadata").write_text(f"{'0' * 40}\n{'0' * 64}\n1.0\n")
    process = subprocess.Popen(
        [PROGRAM, "validate", folder, "--hash-record", record, "--hash-threads", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        deadline = time.monotonic() + 120
        while not (record.is_file() and SHARD.encode() in record.read_bytes()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # where the test fails: it would go on for minutes
    assert (process.returncode, out) == (130, b"")
    assert b"[interrupted]" in err
    assert b"--hash-record" in err
    os.truncate(folder / "large.bin", 10)
    again = k2compat("validate", folder, "--hash-record", record, "--json")
    assert {file["path"]: file["from_record"] for file in again.document["hashes"]["files"]} == {
        SHARD: True,
        "large.bin": False,
    }
