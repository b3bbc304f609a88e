"""k2compat patch-config as a person or a job sees it."""

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2compat.findings import catalogue
from tests.support.command import Result
from tests.support.configs import KIMI, PATCHED, config_bytes
from tests.support.hub_cache import hub_snapshot
from tests.support.models import make_model

Command = Callable[..., Result]
CONFIG = "config.json"

REFUSED = {
    "config-not-json": b'{"model_type": "kimi_k2"',
    "config-not-utf8": b'{"model_type": "\xff"}',
    "config-not-object": b"[]",
    "config-too-large": b" " * (16 * 1024 * 1024 + 1),
    "config-duplicate-key": b'{"model_type": "kimi_k2", "model_type": "kimi_k2"}',
    "model-type-missing": b"{}",
    "model-type-not-string": b'{"model_type": 1}',
    "model-type-unknown": b'{"model_type": "llama"}',
    "model-type-nested": b'{"model_type": "kimi_k25", "text_config": {"model_type": "kimi_k2"}}',
    "model-other-architecture": b'{"model_type": "kimi_k3"}',
    "fingerprint-missing": b'{"model_type": "deepseek_v3"}',
    "fingerprint-deepseek": config_bytes("deepseek-ai/DeepSeek-V3"),
}


def state(path: Path) -> tuple[Any, ...]:
    status = os.lstat(path)
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("code", REFUSED)
@pytest.mark.parametrize("options", [(), ("--json",), ("--check",), ("--dry-run",)])
def test_a_refusal_has_its_code_and_touches_nothing(
    command: Command, model: Path, code: str, options: tuple[str, ...]
) -> None:
    (model / CONFIG).write_bytes(REFUSED[code])
    before = state(model / CONFIG)
    to = "kimi_k2" if code.startswith("fingerprint") else "deepseek_v3"
    force = ["--force"] if code == "fingerprint-deepseek" else []
    result = command("patch-config", model, "--to", to, *options, *force)
    assert result.code == 2
    if "--json" in options:
        assert result.err == b""
        assert set(result.document) == {"schema", "error", "findings"}
        assert result.document["schema"] == "k2compat.patch-config/1"
        assert result.document["error"]["code"] == code
        assert str(model) in result.document["error"]["message"]
        assert result.document["error"]["hint"]
    else:
        assert result.out == b""
        assert f"[{code}]\nhint: " in result.words
    assert state(model / CONFIG) == before
    assert names(model) == {CONFIG, "model-1-of-1.safetensors"}
    assert code in catalogue()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["."],
        [".", "--to"],
        [".", "--to", "llama"],
        ["", "--to", "kimi_k2"],
        [".", "--to", "kimi_k2", "--overlay", ""],
        [".", ".", "--to", "kimi_k2"],
        [".", "--to", "kimi_k2", "--at", "vision_config"],
        [".", "--to", "kimi_k2", "--overlay", "new", "--backup"],
        [".", "--to", "kimi_k2", "--frobnicate"],
        ["absent", "--to", "kimi_k2"],
        ["/dev/null", "--to", "kimi_k2"],
    ],
)
def test_wrong_usage_is_told_in_both_forms(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(model)
    before = state(model / CONFIG)
    in_words = command("patch-config", *arguments)
    assert (in_words.code, in_words.out) == (2, b"")
    assert in_words.words.startswith("error: ")
    as_json = command("patch-config", "--json", *arguments)
    assert (as_json.code, as_json.err) == (2, b"")
    assert f"[{as_json.document['error']['code']}]" in in_words.words
    assert state(model / CONFIG) == before


def test_it_changes_the_value_and_says_so(command: Command, model: Path) -> None:
    result = command("patch-config", model, "--to", "deepseek_v3")
    path = model / CONFIG
    assert result.code == 0
    assert result.out.decode() == f"{path}: changed model_type from kimi_k2 to deepseek_v3.\n"
    headlines = [line for line in result.words.splitlines() if not line.startswith("  ")]
    assert [line.rpartition(" ")[2] for line in headlines] == [
        "[patch-tokenizer-remote-code]",
        "[patch-tool-call-ids]",
        "[patch-not-needed]",
    ]
    assert path.read_bytes() == PATCHED
    assert names(model) == {CONFIG, "model-1-of-1.safetensors"}


def test_a_second_time_there_is_nothing_to_do(command: Command, model: Path) -> None:
    command("patch-config", model, "--to", "deepseek_v3")
    before = state(model / CONFIG)
    for options in ([], ["--check"], ["--dry-run"], ["--backup"]):
        result = command("patch-config", model, "--to", "deepseek_v3", *options)
        assert result.code == 0
        assert b"nothing to do" in result.out
        assert result.err == b""  # the costs were printed by the run that changed the file
    assert state(model / CONFIG) == before
    assert names(model) == {CONFIG, "model-1-of-1.safetensors"}


def test_the_document_tells_what_was_done(command: Command, model: Path) -> None:
    dry = command("patch-config", model, "--to", "deepseek_v3", "--json", "--dry-run").document
    done = command("patch-config", model, "--to", "deepseek_v3", "--json").document
    assert " ".join(done) == "schema path at from to changed dry_run diff findings"
    assert done == {**dry, "dry_run": False}
    assert (done["path"], done["at"]) == (str(model / CONFIG), None)
    assert (done["from"], done["to"], done["changed"]) == ("kimi_k2", "deepseek_v3", True)
    finding = done["findings"][0]
    assert " ".join(finding) == "code severity where message count expected actual fix"
    again = command("patch-config", model, "--to", "deepseek_v3", "--json").document
    assert (again["changed"], again["diff"], again["from"]) == (False, None, "deepseek_v3")
    assert again["findings"] == []


def test_a_patched_folder_passes_the_check_for_vllm(command: Command, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "Kimi-K2")
    assert command("patch-config", folder, "--to", "deepseek_v3").code == 0
    assert command("validate", folder, "--engine", "vllm").code == 0
    trtllm = command("validate", folder, "--engine", "trtllm")
    assert trtllm.code == 0
    assert "info: " in trtllm.words
    assert "[engine-call-ids]" in trtllm.words


def test_check_exits_with_1_and_writes_nothing(command: Command, model: Path) -> None:
    before = state(model / CONFIG)
    result = command("patch-config", model, "--to", "deepseek_v3", "--check")
    assert result.code == 1
    assert b"would change" in result.out
    assert result.err == b""
    assert state(model / CONFIG) == before
    assert command("patch-config", model, "--to", "kimi_k2", "--check").code == 0


def test_the_dry_run_is_a_diff_that_patch_applies(command: Command, model: Path) -> None:
    before = state(model / CONFIG)
    result = command("patch-config", model, "--to", "deepseek_v3", "--dry-run")
    assert result.code == 0
    assert state(model / CONFIG) == before
    apply = ["patch", "--quiet", str(model / CONFIG)]
    subprocess.run(apply, input=result.out, check=True)
    assert (model / CONFIG).read_bytes() == PATCHED


def test_a_backup_is_kept_when_asked(command: Command, model: Path) -> None:
    command("patch-config", model, "--to", "deepseek_v3", "--backup")
    assert (model / "config.json.bak").read_bytes() == KIMI
    result = command("patch-config", model, "--to", "kimi_k2", "--backup")
    assert result.code == 2
    assert "[backup-exists]" in result.words
    assert (model / CONFIG).read_bytes() == PATCHED


def test_the_other_names_of_a_hard_linked_config_are_mentioned(
    command: Command, model: Path
) -> None:
    os.link(model / CONFIG, model / "other.json")
    result = command("patch-config", model, "--to", "deepseek_v3")
    assert "[config-hard-link]" in result.words
    assert "has 1 more name (hard links); it keeps" in result.words
    assert (model / "other.json").read_bytes() == KIMI


def test_the_nested_value_is_changed_when_asked(command: Command, model: Path) -> None:
    old = config_bytes("moonshotai/Kimi-K2.5")
    (model / CONFIG).write_bytes(old)
    result = command("patch-config", model, "--to", "deepseek_v3", "--at", "text_config")
    assert b"changed text_config.model_type from kimi_k2 to deepseek_v3" in result.out
    new = json.loads((model / CONFIG).read_bytes())
    assert (new["model_type"], new["text_config"]["model_type"]) == ("kimi_k25", "deepseek_v3")
    command("patch-config", model, "--to", "kimi_k2", "--at", "text_config")
    assert (model / CONFIG).read_bytes() == old


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--check",), ("--json",)])
def test_a_hub_cache_is_refused_and_its_blobs_stay(
    command: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    snapshot = hub_snapshot(tmp_path)
    blob = (snapshot / CONFIG).resolve()
    before = state(blob), state(snapshot / CONFIG)
    result = command("patch-config", snapshot, "--to", "deepseek_v3", *options)
    assert result.code == 2
    assert b"config-in-hub-cache" in result.out + result.err
    assert (state(blob), state(snapshot / CONFIG)) == before
    # What is as it was asked for needs no writing, wherever it lies.
    assert command("patch-config", snapshot, "--to", "kimi_k2", *options).code == 0


def test_the_overlay_of_a_hub_cache(command: Command, tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path / "hub")
    folder = tmp_path / "overlay"
    arguments = ("patch-config", snapshot, "--to", "deepseek_v3", "--overlay", folder)
    assert command(*arguments, "--check").code == 1
    assert not folder.exists()
    done = command(*arguments, "--json").document
    assert (done["path"], done["changed"]) == (str(folder / CONFIG), True)
    # What the findings name and what their fixes work on is the overlay, not the model.
    fixes = " ".join(finding["fix"] or "" for finding in done["findings"])
    assert str(folder / CONFIG) in fixes
    assert str(snapshot) not in fixes
    again = command(*arguments)
    assert (again.code, b"nothing to do" in again.out) == (0, True)
    assert "[overlay-links]" in again.words
    assert command(*arguments, "--check").code == 0
    assert command(*arguments[:3], "kimi_k2", "--overlay", folder).code == 2


def test_an_overlay_of_what_needs_no_change_says_so(
    command: Command, model: Path, tmp_path: Path
) -> None:
    arguments = ("patch-config", model, "--to", "kimi_k2", "--overlay", tmp_path / "overlay")
    assert b"would link, model_type is kimi_k2 already" in command(*arguments, "--dry-run").out
    assert b"linked, model_type is kimi_k2 already" in command(*arguments).out


@pytest.mark.parametrize("options", [(), ("--check",), ("--overlay", "overlay")])
def test_a_blob_of_the_hub_cache_is_refused_and_no_overlay_of_it_is_made(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    snapshot = hub_snapshot(tmp_path / "hub")
    blob = (snapshot / CONFIG).resolve()
    result = command("patch-config", blob, "--to", "deepseek_v3", *options)
    assert result.code == 2
    assert "[config-in-hub-cache]" in result.words
    assert f"Name the model's folder in {blob.parents[1] / 'snapshots'}" in result.words
    assert not Path("overlay").exists()


@pytest.mark.parametrize(
    ("address", "download"),
    [
        ("hf://moonshotai/Kimi-K2-Instruct", "hf download moonshotai/Kimi-K2-Instruct"),
        ("hf://moonshotai/Kimi-K2@main", "--local-dir Kimi-K2 --revision main and"),
        ("ms://moonshotai/Kimi-K2-Instruct", "modelscope download --model moonshotai/Kimi-K2-"),
    ],
)
def test_an_address_on_the_hub_gets_the_way_to_a_folder(
    command: Command, address: str, download: str
) -> None:
    result = command("patch-config", address, "--to", "deepseek_v3")
    assert result.code == 2
    assert result.words.startswith(f"error: {address} is a repo; patch-config ")
    assert download in result.words


def test_the_name_of_a_repo_may_be_a_path_misspelt(command: Command) -> None:
    result = command("patch-config", "moonshotai/Kimi-K2-Instruct", "--to", "deepseek_v3")
    assert "error: moonshotai/Kimi-K2-Instruct does not exist. [not-found]" in result.words
    assert "hint: Check the path: patch-config works on a folder of this machine." in result.words
    assert "If you mean the repo hf://moonshotai/Kimi-K2-Instruct: hf download" in result.words
    absolute = command("patch-config", "/moonshotai/Kimi-K2-Instruct", "--to", "deepseek_v3")
    assert "hf download" not in absolute.words


def test_an_owner_that_cannot_be_kept_is_reported(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_not_root(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if os.geteuid() != 0:
        pytest.skip("only root can make a file of another user")
    os.chown(model / CONFIG, 12345, 23456)
    assert command("patch-config", model, "--to", "deepseek_v3").code == 0
    status = os.lstat(model / CONFIG)
    assert (status.st_uid, status.st_gid) == (12345, 23456)  # root gives files away
    monkeypatch.setattr(os, "fchown", is_not_root)
    result = command("patch-config", model, "--to", "kimi_k2")
    assert result.code == 0
    assert "[config-owner-changed]" in result.words
    assert f"  fix: chown 12345:23456 {model / CONFIG}\n" in result.words
