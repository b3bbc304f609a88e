"""k2compat stage-gguf as it is typed."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.cli.commands import stage_gguf
from k2compat.cli.main import run
from tests.support.models import STAGED, make_ggufs, make_model


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "模型")
    make_ggufs(tmp_path / "ggufs")
    monkeypatch.chdir(tmp_path)


def document(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer = json.loads(capfd.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def test_the_document_names_every_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-gguf", "模型", "ggufs", "--json"]) == 0
    answer = document(capfd)
    assert answer["schema"] == "k2compat.stage-gguf/1"
    assert answer["source"] == "模型"
    assert answer["target"] == str(Path("ggufs").resolve())
    assert answer["dry_run"] is False
    by_action: dict[str, list[str]] = {}
    for file in answer["files"]:
        by_action.setdefault(file["action"], []).append(file["path"])
        assert file["bytes"] > 0
    assert by_action["new"] == list(STAGED)
    assert len(by_action["skipped"]) == 3


def test_check_tells_whether_there_is_something_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["stage-gguf", "模型", "ggufs"]
    assert run([*arguments, "--check", "--json"]) == 1
    assert document(capfd)["dry_run"] is True
    assert run([*arguments, "--dry-run"]) == 0
    assert run(arguments) == 0
    assert run([*arguments, "--check"]) == 0


def test_a_conflict_is_exit_one(capfd: pytest.CaptureFixture[str]) -> None:
    Path("ggufs/README.md").write_text("theirs")
    assert run(["stage-gguf", "模型", "ggufs"]) == 1
    words = capfd.readouterr()
    assert "conflict  README.md" in words.out
    assert "[target-differs]" in words.err


def test_a_refusal_is_exit_two(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["stage-gguf", "模型", "nowhere", "--json"]) == 2
    assert document(capfd)["error"]["code"] == "not-found"


def test_long_lists_are_cut_for_people(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_gguf, "_SHOWN_FILES", 2)
    assert run(["stage-gguf", "模型", "ggufs", "--dry-run"]) == 0
    assert f"… and {len(STAGED) - 2} more" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1709, "1.7 kB"),
        (594_200_000_000, "594.2 GB"),
        (2e15, "2000.0 TB"),
    ],
)
def test_sizes_are_told_in_the_usual_units(count: int, shown: str) -> None:
    assert stage_gguf._size(count) == shown
